"""
The same answers, refusals, words and warnings as scipy.signal, compared by running both.

And the places where fastconv has an answer of its own, each checked against what is right.
"""

import array
import decimal
import fractions
import inspect

import numpy as np
import pytest
from cases import BOUNDARIES, CALLS, DTYPES, FUNCTIONS, INTEGERS, SWAPPED, whole_numbers
from oracle import exact
from outcomes import assert_same_outcome, refused
from process import printed
from scipy import signal, sparse

import fastconv

BOTH = pytest.mark.parametrize("function", FUNCTIONS)

IMAGE = np.arange(12).reshape(3, 4)
KERNEL = np.array([[1, 2], [3, 5]])


# --- arguments -----------------------------------------------------------------------------------

WRONG_NUMBERS_OF_DIMENSIONS = [
    (np.ones(3), np.ones(3)),
    (np.ones((3, 3)), np.ones(3)),
    (np.ones(3), np.ones((3, 3))),
    (np.ones((2, 3, 3)), np.ones((3, 3))),
    (np.ones((2, 2, 2)), np.ones((2, 2, 2))),
    (1, 2),
    (None, None),
    ([[1]], None),
    ([], []),
    ("text", "text"),
    (sparse.eye(3), np.ones((3, 3))),
    ([[1, 2], [3]], [[1]]),
    ([[1]], [[1, 2], [3]]),
]


@BOTH
@pytest.mark.parametrize("mode", ["full", "valid", "nonsense"])
@pytest.mark.parametrize("case", range(len(WRONG_NUMBERS_OF_DIMENSIONS)))
def test_inputs_that_are_not_two_dimensional_are_refused_as_in_scipy(function, mode, case):
    in1, in2 = WRONG_NUMBERS_OF_DIMENSIONS[case]
    assert refused(assert_same_outcome(function, in1, in2, mode))


@BOTH
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shapes", [((2, 3), (3, 2)), ((1, 5), (2, 4)), ((5, 1), (4, 2))], ids=str)
def test_valid_refuses_shapes_of_which_neither_holds_the_other(function, boundary, shapes):
    in1, in2 = map(np.ones, shapes)
    assert refused(assert_same_outcome(function, in1, in2, "valid", boundary))


MODES_OF_ALL_KINDS = ["full", "same", "valid", np.str_("same"), type("Text", (str,), {})("valid")]
MODES_OF_ALL_KINDS += ["Full", "FULL", "", "f", "full ", b"full", 0, 1, 2, None, True, ("full",)]
MODES_OF_ALL_KINDS += [["full"], {"full"}, np.array("full"), np.array(["same"]), float("nan")]


@BOTH
@pytest.mark.parametrize("mode", MODES_OF_ALL_KINDS, ids=repr)
def test_modes_are_taken_and_refused_as_in_scipy(function, mode):
    assert_same_outcome(function, IMAGE, KERNEL, mode)
    assert_same_outcome(function, IMAGE, KERNEL, mode=mode)


BOUNDARIES_OF_ALL_KINDS = ["fill", "pad", "wrap", "circular", "symm", "symmetric", np.str_("wrap")]
BOUNDARIES_OF_ALL_KINDS += ["reflect", "constant", "mirror", "nearest", "Fill", "", b"fill", 0, 4]
BOUNDARIES_OF_ALL_KINDS += [None, ("fill",), ["fill"], {"wrap": 1}, np.array("symm")]


@BOTH
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("boundary", BOUNDARIES_OF_ALL_KINDS, ids=repr)
def test_boundaries_are_taken_and_refused_as_in_scipy(function, mode, boundary):
    assert_same_outcome(function, IMAGE, KERNEL, mode, boundary)
    assert_same_outcome(function, IMAGE, KERNEL, mode, boundary=boundary, fillvalue=3)


@BOTH
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((IMAGE,), {}),
        ((IMAGE, KERNEL, "full", "fill", 0, 0), {}),
        ((IMAGE, KERNEL), {"weights": 0}),
        ((IMAGE, KERNEL), {"in1": IMAGE}),
        ((), {"in1": IMAGE, "in2": KERNEL, "mode": "same", "boundary": "symm", "fillvalue": 1}),
    ],
)
def test_arguments_have_scipys_names_and_places(function, args, kwargs):
    assert_same_outcome(function, *args, **kwargs)


@BOTH
def test_the_signature_is_scipys_with_keywords_added(function):
    theirs = list(inspect.signature(getattr(signal, function)).parameters.values())
    ours = list(inspect.signature(getattr(fastconv, function)).parameters.values())
    for mine, its in zip(ours, theirs, strict=False):
        assert (mine.name, mine.kind, mine.default) == (its.name, its.kind, its.default)
    added = ours[len(theirs) :]
    assert [parameter.name for parameter in added] == [
        "axes",
        "method",
        "out",
        "workers",
        "progress",
    ]
    assert {parameter.kind for parameter in added} == {inspect.Parameter.KEYWORD_ONLY}


# What makes a call wrong, in the order in which scipy looks for it.
FAULTS = {
    "dimensions": {"in2": np.ones(3)},
    "shapes": {"in1": np.ones((2, 9)), "in2": np.ones((3, 3)), "mode": "valid"},
    "mode": {"mode": "nonsense"},
    "boundary": {"boundary": "nonsense"},
    "conjugate": {"in2": np.array([["a"]])},
    "conjugate of the exchanged": {"in1": np.array([["a"]]), "mode": "valid"},
    "no conjugate": {"in2": np.full((5, 5), "a"), "mode": "valid"},
    "reflect": {"boundary": "reflect"},
    "fillvalue": {"fillvalue": [1, 2]},
    "cast": {"fillvalue": 1j},
    "dtype": {"in1": np.ones((3, 3), bool), "in2": np.ones((2, 2), bool)},
    "object": {"in1": np.ones((3, 3), object)},
}


@BOTH
@pytest.mark.parametrize("first", FAULTS)
@pytest.mark.parametrize("second", FAULTS)
def test_of_two_faults_the_one_that_scipy_names_is_named(function, first, second):
    call = {"in1": np.ones((4, 4)), "in2": np.ones((2, 2))} | FAULTS[second] | FAULTS[first]
    assert refused(assert_same_outcome(function, **call))


# --- dtypes --------------------------------------------------------------------------------------

OTHER_DTYPES = ["?", "e", "O", "S3", "U2", "V8", "M8[s]", "m8[s]", [("a", "i4")]]
OTHER_DTYPES += [np.dtypes.StringDType()]
ALL_DTYPES = [np.dtype(dtype) for dtype in (*DTYPES, *OTHER_DTYPES)]


@BOTH
@pytest.mark.parametrize("first", ALL_DTYPES, ids=str)
def test_every_pair_of_dtypes_gives_scipys_dtype_or_refusal(function, first):
    for second in ALL_DTYPES:
        if (first.kind, second.kind) != ("U", "T"):  # refused in words about numpy's C interface
            assert_same_outcome(function, np.zeros((3, 4), first), np.zeros((2, 2), second))


@BOTH
@pytest.mark.parametrize("dtype", SWAPPED, ids=str)
def test_results_are_in_native_byte_order(function, dtype):
    theirs = assert_same_outcome(function, IMAGE.astype(dtype), KERNEL.astype(dtype))
    assert theirs[0][1].isnative


# --- fillvalue -----------------------------------------------------------------------------------

FILLVALUES = [0, 1, -1, 300, 2**40, 2**63, 2**64, -(2**70), 10**400, True, None]
FILLVALUES += [1.5, -1.5, -0.0, 1e300, 1e-320, float("nan"), float("inf"), -float("inf")]
FILLVALUES += [1j, 2 + 0j, complex("nan"), np.complex64(1 + 2j)]
FILLVALUES += [np.int64(3), np.uint8(200), np.float64(3.0), np.float32(0.1), np.bool_(True)]
FILLVALUES += [np.longdouble(1) / 3, np.array(7), np.array([2.5]), np.array([[3 - 1j]])]
FILLVALUES += ["1", "1.5", "1j", "a", "", "nan", b"1", np.str_("4"), object(), dict, {}, set()]
FILLVALUES += [[1], [[3]], (2,), [], [[]], [1, 2], [[1], [2, 3]], ["5"], [None], [1j], range(1)]
FILLVALUES += [np.zeros((2, 2)), np.zeros((0, 3)), np.ones((1, 1, 1)), np.ma.masked]
FILLVALUES += [np.ma.array(3, mask=True), np.datetime64("2020-01-01"), np.timedelta64(3, "s")]
FILLVALUES += [fractions.Fraction(1, 2), decimal.Decimal("1.5"), np.array("7"), np.array(None)]


@BOTH
@pytest.mark.parametrize("dtype", [*DTYPES, *SWAPPED[1:3]], ids=str)
@pytest.mark.parametrize("case", range(len(FILLVALUES)), ids=lambda i: repr(FILLVALUES[i])[:30])
def test_fillvalues_are_converted_and_refused_as_in_scipy(function, dtype, case):
    # A single tap lets fillvalue through as it is, whatever the order of the sums.
    image, kernel = IMAGE.astype(dtype), np.diag([0, 1]).astype(dtype)
    assert_same_outcome(function, image, kernel, "full", "fill", FILLVALUES[case])


@BOTH
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("mode", ["same", "valid"])
@pytest.mark.parametrize("fillvalue", ["abc", [], [1, 2], 1j, 300, None], ids=repr)
def test_fillvalue_is_looked_at_where_scipy_looks_at_it(function, boundary, mode, fillvalue):
    for dtype in "Bd":
        image, kernel = IMAGE.astype(dtype), KERNEL.astype(dtype)
        assert_same_outcome(function, image, kernel, mode, boundary, fillvalue)


# --- empty arrays --------------------------------------------------------------------------------

EMPTY_SHAPES = [((0, 3), (2, 2)), ((3, 0), (2, 2)), ((0, 0), (2, 2)), ((3, 3), (0, 2))]
EMPTY_SHAPES += [((3, 3), (2, 0)), ((3, 3), (0, 0)), ((0, 0), (0, 0)), ((0, 3), (0, 2))]
EMPTY_SHAPES += [((0, 3), (2, 0)), ((3, 0), (0, 2)), ((0, 1), (1, 1)), ((2, 2), (0, 0))]


def scipy_divides_by_zero(shapes, mode, boundary):
    """Tell whether scipy looks for a pixel of the image where there is none."""
    (h, w), (kh, kw) = shapes
    shape = h + kh - 1, w + kw - 1
    reads = (h == 0 and kh) or (w == 0 and kh and kw)
    return mode == "full" and boundary != "fill" and reads and min(shape) > 0


@pytest.mark.parametrize("dtype", "Bdl")
@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
@pytest.mark.parametrize("shapes", EMPTY_SHAPES, ids=str)
def test_empty_inputs_give_what_scipy_gives(shapes, function, mode, boundary, dtype):
    image, kernel = (np.ones(shape, dtype) for shape in shapes)
    if not scipy_divides_by_zero(shapes, mode, boundary):
        assert_same_outcome(function, image, kernel, mode, boundary, 5)
    elif kernel.size:
        with pytest.raises(ValueError, match="empty"):
            getattr(fastconv, function)(image, kernel, mode, boundary)
    else:  # sums of nothing
        y = getattr(fastconv, function)(image, kernel, mode, boundary)
        assert y.size
        assert not y.any()


# --- absurd shapes -------------------------------------------------------------------------------

# An exbibyte that is one element, repeated. To look at all of it would take for ever.
ABSURD = """
import sys
import numpy as np
import fastconv
function, mode, dtype = sys.argv[1:]
huge, small = np.broadcast_to(np.ones((), dtype), (2**29, 2**28)), np.ones((3, 3), dtype)
for operands in ((huge, small), (small, huge), (huge, huge)):
    if mode == "same" and operands[0] is small or mode == "valid" and operands[1] is operands[0]:
        continue  # a small result, at the end of a large sum
    try:
        getattr(fastconv, function)(*operands, mode)
    except (MemoryError, ValueError):
        continue
    raise SystemExit("it was possible")
"""


@BOTH
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("dtype", "BdD")
def test_absurd_shapes_are_refused_at_once(function, mode, dtype):
    # The time is the limit of patience, for a call that would never end.
    printed("-c", ABSURD, function, mode, dtype)


# --- kinds of arrays -----------------------------------------------------------------------------


class Subclass(np.ndarray):
    """An ndarray that is not one."""


class WithArray:
    """Something that can make itself an array."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


class WithInterface:
    """Something that describes its memory."""

    def __init__(self, values):
        self.values = values
        self.__array_interface__ = values.__array_interface__


KINDS = {
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(map(tuple, a.tolist())),
    "list of arrays": list,
    "subclass": lambda a: a.view(Subclass),
    "masked array": lambda a: np.ma.array(a, mask=a % 2 == 0),
    "__array__": WithArray,
    "__array_interface__": WithInterface,
    "memoryview": memoryview,
    "array.array": lambda a: [array.array(a.dtype.char, row) for row in a.tolist()],
    "object scalars": lambda a: [list(row) for row in a],
}


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_numpy_makes_an_array_of_is_taken(function, kind):
    make = KINDS[kind]
    for values, taps in ((IMAGE, KERNEL), (IMAGE * 1.0, KERNEL * 1.0), (IMAGE, KERNEL * 1.0)):
        for in1, in2 in ((make(values), make(taps)), (make(values), taps), (values, make(taps))):
            theirs = assert_same_outcome(function, in1, in2, "same", "symm")
            assert theirs[0][0] is np.ndarray


@BOTH
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_a_matrix_is_convolved_not_multiplied(function):
    theirs = assert_same_outcome(function, np.matrix(IMAGE), np.matrix(KERNEL))
    assert theirs[0][0] is np.ndarray


@BOTH
def test_python_numbers_are_not_weakly_promoted(function):
    image = np.ones((2, 2), np.float32)
    assert getattr(fastconv, function)(image, [[1.5]]).dtype == np.float64
    assert_same_outcome(function, image, [[1.5]])
    assert_same_outcome(function, image, [[1]])
    assert_same_outcome(function, np.ones((2, 2), np.int8), [[1]])


@BOTH
def test_what_an_input_raises_is_raised(function):
    class Refuses:
        def __array__(self, dtype=None, copy=None):
            raise KeyError("not today")

    for args in ((Refuses(), KERNEL), (IMAGE, Refuses())):
        assert refused(assert_same_outcome(function, *args))


# --- one image as both operands ------------------------------------------------------------------


@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
def test_an_image_may_be_its_own_kernel(function, mode, boundary):
    x = np.arange(20).reshape(4, 5)
    assert_same_outcome(function, x, x, mode, boundary)
    assert_same_outcome(function, x, x[:2, 1:3], mode, boundary)


# --- where fastconv has an answer of its own -----------------------------------------------------


@pytest.mark.parametrize("dtype", "FDG")
@pytest.mark.parametrize("shapes", [((2, 3), (6, 5)), ((1, 1), (2, 2)), ((3, 4), (3, 9))], ids=str)
def test_valid_correlation_with_a_larger_kernel_is_not_conjugated(dtype, shapes):
    """scipy.signal.correlate2d gives the conjugate of this; scipy.signal.correlate is right."""
    rng = np.random.default_rng(1)
    small, large = (whole_numbers(rng, shape, dtype) for shape in shapes)
    y = fastconv.correlate2d(small, large, "valid")
    np.testing.assert_array_equal(y, signal.correlate(small, large, "valid", "direct"))
    np.testing.assert_array_equal(y, exact("correlate2d", small, large, "valid"))
    wrong = signal.correlate2d(small, large, "valid")
    np.testing.assert_array_equal(y, wrong.conj())
    assert not np.array_equal(y, wrong)


@pytest.mark.parametrize("dtype", "FD")
def test_valid_correlation_with_one_complex_operand_is_right(dtype):
    rng = np.random.default_rng(2)
    for small_dtype, large_dtype in ((dtype, "f"), ("f", dtype)):
        small = whole_numbers(rng, (2, 3), small_dtype)
        large = whole_numbers(rng, (7, 6), large_dtype)
        y = fastconv.correlate2d(small, large, "valid")
        np.testing.assert_array_equal(y, signal.correlate(small, large, "valid", "direct"))


@BOTH
@pytest.mark.parametrize("boundary", ["wrap", "circular", "symm", "symmetric"])
def test_extending_an_empty_image_is_refused(function, boundary):
    """scipy divides by zero and kills the process."""
    for shape in ((0, 3), (3, 0), (0, 0)):
        with pytest.raises(ValueError, match="empty"):
            getattr(fastconv, function)(np.ones(shape), np.ones((2, 2)), "full", boundary)


# --- method, out and workers ---------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("method", ["auto", "direct"])
def test_both_methods_give_the_direct_answer(function, method):
    y = getattr(fastconv, function)(IMAGE, KERNEL, method=method)
    np.testing.assert_array_equal(y, getattr(signal, function)(IMAGE, KERNEL))


@BOTH
@pytest.mark.parametrize("method", ["Direct", "", None, 0], ids=repr)
def test_other_methods_are_refused(function, method):
    with pytest.raises(ValueError, match="method"):
        getattr(fastconv, function)(IMAGE, KERNEL, method=method)


@BOTH
@pytest.mark.parametrize("dtype", DTYPES)
def test_out_is_filled_and_returned(function, dtype):
    image, kernel = IMAGE.astype(dtype), KERNEL.astype(dtype)
    out = np.full((4, 5), 99, dtype)
    assert getattr(fastconv, function)(image, kernel, out=out) is out
    np.testing.assert_array_equal(out, getattr(signal, function)(image, kernel))


@BOTH
@pytest.mark.parametrize(
    ("out", "error"),
    [
        ([[0] * 5] * 4, TypeError),
        (0, TypeError),
        ("auto", TypeError),
        (memoryview(np.zeros((4, 5), IMAGE.dtype)), TypeError),
        (np.zeros((4, 5), np.float64), TypeError),
        (np.zeros((4, 5), np.uint64), TypeError),
        (np.zeros((4, 5), np.int32), TypeError),
        (np.zeros((4, 5), np.dtype(np.int64).newbyteorder()), TypeError),
        (np.zeros((5, 4), np.int64), ValueError),
        (np.zeros((4, 6), np.int64), ValueError),
        (np.zeros(20, np.int64), ValueError),
        (np.zeros((1, 4, 5), np.int64), ValueError),
        (np.zeros((0, 0), np.int64), ValueError),
    ],
    ids=lambda value: getattr(value, "__name__", None) or type(value).__name__,
)
def test_an_out_that_does_not_match_is_refused_and_left_alone(function, out, error):
    before = np.array(out)
    with pytest.raises(error, match="out"):
        getattr(fastconv, function)(IMAGE.astype(np.int64), KERNEL.astype(np.int64), out=out)
    np.testing.assert_array_equal(np.array(out), before)


@BOTH
def test_a_read_only_out_is_refused(function):
    out = np.zeros((4, 5), np.int64)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        getattr(fastconv, function)(IMAGE.astype(np.int64), KERNEL.astype(np.int64), out=out)
    assert not out.any()


@BOTH
def test_a_refused_call_leaves_out_alone(function):
    out = np.full((4, 5), 7.0)
    for wrong in ({"mode": "x"}, {"boundary": "x"}, {"fillvalue": [1, 2]}, {"workers": 0}):
        with pytest.raises(ValueError, match=r"mode|boundary|fillvalue|workers"):
            getattr(fastconv, function)(np.ones((3, 4)), np.ones((2, 2)), out=out, **wrong)
    assert (out == 7).all()


@BOTH
@pytest.mark.parametrize("dtype", INTEGERS)
def test_out_may_be_a_subclass_and_stays_one(function, dtype):
    out = np.zeros((4, 5), dtype).view(Subclass)
    assert getattr(fastconv, function)(IMAGE.astype(dtype), KERNEL.astype(dtype), out=out) is out
    expected = getattr(signal, function)(IMAGE.astype(dtype), KERNEL.astype(dtype))
    np.testing.assert_array_equal(out.view(np.ndarray), expected)


@BOTH
def test_an_empty_out_is_returned(function):
    out = np.zeros((0, 3))
    assert getattr(fastconv, function)(np.ones((0, 3)), np.ones((2, 2)), "same", out=out) is out
