"""
Arguments, refusals and words of the functions beside the 2-D pair, compared by running scipy.

What is computed is small, and right in both; test_nd.py and test_scipy_is_wrong.py look closer.
"""

import inspect
import itertools
import subprocess
import sys
import threading
import timeit
from _thread import start_new_thread
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from cases import DTYPES, INTEGERS, SWAPPED
from outcomes import assert_alike
from scipy import signal

import fastconv
from fastconv import _fallback

PAIR = pytest.mark.parametrize("function", ["convolve", "correlate"])
FFTS = pytest.mark.parametrize("function", ["fftconvolve", "oaconvolve"])
ALL = pytest.mark.parametrize("function", ["convolve", "correlate", "fftconvolve", "oaconvolve"])
METHODS = pytest.mark.parametrize("method", ["auto", "direct", "fft"])

IMAGE = np.arange(12.0).reshape(3, 4)
KERNEL = np.array([[1.0, 2], [3, 5]])


# --- signatures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        "convolve",
        "correlate",
        "fftconvolve",
        "oaconvolve",
        "choose_conv_method",
        "correlation_lags",
    ],
)
def test_the_signature_is_scipys_with_keywords_added(function):
    theirs = list(inspect.signature(getattr(signal, function)).parameters.values())
    ours = list(inspect.signature(getattr(fastconv, function)).parameters.values())
    for mine, its in zip(ours, theirs, strict=False):
        assert (mine.name, mine.kind, mine.default) == (its.name, its.kind, its.default)
    added = ours[len(theirs) :]
    expected = ["out", "workers", "progress"]
    if function in ("choose_conv_method", "correlation_lags"):
        expected = []
    assert [parameter.name for parameter in added] == expected
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in added)


def test_sepfir2d_takes_its_operands_by_position():
    with pytest.raises(TypeError, match="positional"):
        fastconv.sepfir2d(IMAGE, hrow=[1.0], hcol=[1.0])
    assert fastconv.sepfir2d(IMAGE, [1.0], [1.0], workers=1).shape == IMAGE.shape


# --- dimensions, shapes and empties --------------------------------------------------------------


@ALL
@pytest.mark.parametrize(
    ("in1", "in2"),
    [
        (2, 3),
        (2.0, 3j),
        (3j, 2 - 1j),
        (True, False),
        (np.float32(2), np.int8(3)),
        (np.uint8(200), np.uint8(2)),
        (1, [1]),
        ([1], 1),
        ([[1]], [1]),
        (np.ones((2, 2, 2)), KERNEL),
        (None, None),
        ("a", "b"),
        ([[1, 2], [3]], [[1]]),
    ],
    ids=repr,
)
def test_scalars_and_unequal_dimensions_are_taken_as_in_scipy(function, in1, in2):
    assert_alike(function, in1, in2)


@ALL
@pytest.mark.parametrize(
    "shapes",
    [((2, 3), (3, 2)), ((1, 5), (2, 4)), ((3, 3, 1), (2, 2, 2)), ((4,), (7,)), ((2, 3), (4, 5))],
    ids=str,
)
def test_valid_takes_and_refuses_shapes_as_scipy(function, shapes):
    in1, in2 = (np.arange(1.0, 1 + np.prod(shape)).reshape(shape) for shape in shapes)
    assert_alike(function, in1, in2, "valid")


@FFTS
@pytest.mark.parametrize("mode", ["full", "same", "valid", "x"])
@pytest.mark.parametrize(
    "shapes", [((0,), (3,)), ((3,), (0,)), ((0, 3), (2, 2)), ((0, 0), (0, 0))], ids=str
)
def test_the_floating_point_functions_make_an_empty_array_of_any_empties(function, mode, shapes):
    in1, in2 = (np.ones(shape, np.float32) for shape in shapes)
    assert_alike(function, in1, in2, mode)


@PAIR
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("shapes", [((0,), (3,)), ((3,), (0,)), ((0,), (0,))], ids=str)
def test_empties_in_one_dimension_are_taken_as_in_scipy(function, mode, shapes):
    assert_alike(function, *(np.ones(shape) for shape in shapes), mode)


@PAIR
@METHODS
@pytest.mark.parametrize("dtype", "ld")
def test_empties_are_refused_but_for_an_empty_same(function, method, dtype):
    """scipy has a different outcome for each dtype, method, mode and number of dimensions."""
    call = getattr(fastconv, function)
    for shape in ((0,), (0, 3), (3, 0, 2)):
        empty, ones = np.ones(shape, dtype), np.ones((2,) * len(shape), dtype)
        y = call(empty, ones, "same", method)
        assert (y.shape, y.dtype) == (shape, empty.dtype)
        for in1, in2, mode in ((empty, ones, "full"), (ones, empty, "full"), (ones, empty, "same")):
            with pytest.raises(ValueError, match=r"^[av] cannot be empty$"):
                call(in1, in2, mode, method)


# --- modes and methods ---------------------------------------------------------------------------

MODES_OF_ALL_KINDS = ["full", "same", "valid", np.str_("same"), "Full", "", b"full", 0, 1, 2, None]
MODES_OF_ALL_KINDS += [("full",), ["full"], {"full"}, float("nan")]


@PAIR
@pytest.mark.parametrize("method", ["auto", "direct", "fft", "Auto", None, 0, ["auto"]], ids=repr)
@pytest.mark.parametrize("mode", MODES_OF_ALL_KINDS, ids=repr)
def test_modes_and_methods_are_taken_and_refused_as_in_scipy(function, mode, method):
    assert_alike(function, IMAGE, KERNEL, mode, method)
    assert_alike(function, IMAGE[0], KERNEL[0], mode=mode, method=method)


@pytest.mark.parametrize("function", ["fftconvolve", "oaconvolve", "choose_conv_method"])
@pytest.mark.parametrize("mode", MODES_OF_ALL_KINDS, ids=repr)
def test_modes_alone_are_taken_and_refused_as_in_scipy(function, mode):
    assert_alike(function, IMAGE, KERNEL, mode)
    assert_alike(function, IMAGE, KERNEL[:1, :1], mode)


FAULTS = {
    "dimensions": {"in2": np.ones(3)},
    "shapes": {"in1": np.ones((2, 9)), "in2": np.ones((3, 3)), "mode": "valid"},
    "mode": {"mode": "nonsense"},
    "method": {"method": "nonsense"},
    "direct": {"method": "direct"},
    "fft": {"method": "fft"},
    "object": {"in1": np.ones((4, 4), object)},
    "text": {"in2": np.ones((2, 2), str)},
}


@PAIR
@pytest.mark.parametrize("first", FAULTS)
@pytest.mark.parametrize("second", FAULTS)
def test_of_two_faults_the_one_that_scipy_names_is_named(function, first, second):
    call = {"in1": np.ones((4, 4)), "in2": np.ones((2, 2))} | FAULTS[second] | FAULTS[first]
    assert_alike(function, **call)


# --- axes ----------------------------------------------------------------------------------------

AXES = [None, 0, 1, -1, -2, 2, -3, np.int64(1), True, 1.0, 1.5, "a", b"\x00", (0,), [1], (0, 1)]
AXES += [(1, 0), (-1, -2), (0, 0), (0, -2), (), [], [0, "a"], [0.0], {0, 1}, np.array([0, 1])]
AXES += [np.array(1), (0, 1, 2), range(2), iter(()), object()]


@FFTS
@pytest.mark.parametrize("case", range(len(AXES)), ids=lambda i: repr(AXES[i])[:20])
def test_axes_are_taken_and_refused_as_in_scipy(function, case):
    for in2 in (np.ones((3, 4)), np.ones((1, 2)), np.ones((3, 2)), np.ones((2, 1)), KERNEL):
        for mode in ("full", "same", "valid"):
            assert_alike(function, IMAGE, in2, mode, axes=AXES[case])


@FFTS
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(
    ("shapes", "axes"),
    [
        (((1, 5), (4, 3)), 1),
        (((1, 5), (4, 1)), None),
        (((4, 1), (4, 5)), 0),
        (((2, 5, 4), (2, 3, 4)), 1),
        (((2, 5, 4), (1, 3, 4)), (1, 2)),
        (((3, 1, 4), (1, 5, 2)), 2),
        (((1, 1), (1, 1)), 0),
        (((3, 5), (4, 5)), 0),
    ],
    ids=str,
)
def test_axes_without_convolution_are_broadcast_as_in_scipy(function, mode, shapes, axes):
    for dtype in "?bldfD":
        in1, in2 = (np.arange(np.prod(shape)).reshape(shape) % 5 for shape in shapes)
        assert_alike(function, in1.astype(dtype), in2.astype(dtype), mode, axes=axes)


# --- dtypes --------------------------------------------------------------------------------------

OTHER_DTYPES = ["?", "e", "O", "U2", "M8[s]", "m8[s]", "V4"]
ALL_DTYPES = [np.dtype(dtype) for dtype in (*DTYPES, *OTHER_DTYPES)]


def is_half(*dtypes):
    return np.result_type(*dtypes) == np.float16 if all(d.kind in "biuf" for d in dtypes) else False


@ALL
@pytest.mark.parametrize("first", ALL_DTYPES, ids=str)
def test_every_pair_of_dtypes_gives_scipys_dtype_or_refusal(function, first):
    for second in ALL_DTYPES:
        in1, in2 = (np.array([1, 0, 1, 1]).astype(dtype) for dtype in (first, second))
        assert_alike(function, in1, in2[:3])
        if not is_half(first, second):
            assert_alike(function, in1.reshape(2, 2), in2[:2].reshape(1, 2))
        # For bool see test_bool_is_or_of_ands.
        if function in ("convolve", "correlate") and not first.kind == second.kind == "b":
            assert_alike(function, in1, in2[:3], "valid", "fft")
            assert_alike(function, in1.reshape(2, 2), in2.reshape(2, 2), "full", "fft")


@PAIR
@METHODS
def test_half_precision_is_computed_in_single_at_every_size(function, method):
    """scipy refuses float16 in two dimensions, unless it happens to choose a transform."""
    rng = np.random.default_rng(1)
    for shapes in (((9,), (4,)), ((3, 4), (2, 2)), ((64, 64), (9, 9)), ((4, 5, 6), (2, 2, 2))):
        in1, in2 = (rng.standard_normal(shape).astype(np.float16) for shape in shapes)
        y = getattr(fastconv, function)(in1, in2, "same", method)
        wide = getattr(fastconv, function)(in1.astype("f"), in2.astype("f"), "same", "direct")
        assert y.dtype == np.float16
        np.testing.assert_allclose(y.astype("f"), wide, rtol=2**-10, atol=1e-3)
    most = np.full(4, 6e4, np.float16)
    assert np.isposinf(getattr(fastconv, function)(most, most, "full", method)).all()


@PAIR
@METHODS
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_bool_is_or_of_ands(function, mode, method):
    rng = np.random.default_rng(2)
    in1, in2 = rng.random(50) < 0.1, rng.random(7) < 0.4
    if method != "fft":
        assert_alike(function, in1, in2, mode, method)
        assert_alike(function, in2, in1, mode, method)
        assert_alike(function, in1[:, None], in2[:, None], mode, method)
        return
    # scipy takes any number of dimensions, and its rounding errors for true.
    for shape in ((-1,), (-1, 1), (1, -1, 1)):
        a, b = in1.reshape(shape), in2.reshape(shape)
        y = getattr(fastconv, function)(a, b, mode, method)
        counts = getattr(fastconv, function)(a.astype(int), b.astype(int), mode, "direct")
        np.testing.assert_array_equal(y, counts != 0)
        assert y.dtype == bool


@ALL
@pytest.mark.parametrize("dtype", SWAPPED, ids=str)
def test_results_are_in_native_byte_order(function, dtype):
    image = IMAGE.astype(dtype)
    assert assert_alike(function, image, KERNEL.astype(dtype)).dtype.isnative
    assert assert_alike(function, image, image).dtype.isnative  # one dtype object


@PAIR
def test_half_precision_of_either_byte_order_is_half(function):
    half = np.arange(1, 5).astype(np.float16)
    swapped = half.astype(half.dtype.newbyteorder("S"))
    for in1, in2 in ((swapped, swapped), (half, swapped)):
        y = getattr(fastconv, function)(in1, in2)
        assert y.dtype == np.float16
        np.testing.assert_array_equal(y, getattr(np, function)(half, half, "full"))


@FFTS
def test_half_precision_of_either_byte_order_becomes_single(function):
    """scipy's oaconvolve lets another order pass, and its transform refuses it."""
    half = np.arange(1, 5).astype(np.float16)
    expected = assert_alike(function, half, half)
    y = getattr(fastconv, function)(half.astype(half.dtype.newbyteorder("S")), half)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, np.rint(expected))


# --- what only SciPy can do ----------------------------------------------------------------------


@pytest.fixture
def fallbacks(monkeypatch):
    """A counter of its own."""
    monkeypatch.setattr(_fallback, "FELL_BACK", type(_fallback.FELL_BACK)())
    return _fallback.FELL_BACK


@PAIR
def test_objects_go_to_scipy_and_are_counted(function, fallbacks):
    in1, in2 = np.array([Fraction(1, 3), 2, 3], object), np.array([Fraction(1, 2), 1], object)
    theirs = assert_alike(function, in1, in2)
    assert theirs.dtype == object
    assert dict(fallbacks) == {(function, "dtype object"): 1}
    out = np.empty(4, object)
    assert getattr(fastconv, function)(in1, in2, out=out) is out
    assert out.tolist() == theirs.tolist()


@FFTS
def test_objects_go_to_scipy_from_the_floating_point_functions(function, fallbacks):
    assert assert_alike(function, np.ones(3, object), np.ones(2)).dtype == np.float64
    assert dict(fallbacks) == {(function, "dtype object"): 1}


def test_the_original_is_called_where_scipys_functions_were_replaced(monkeypatch, fallbacks):
    monkeypatch.setitem(_fallback.ORIGINALS, "fftconvolve", lambda *args: args)
    monkeypatch.setattr(signal, "fftconvolve", fastconv.fftconvolve)
    text = np.array(["1"])
    assert fastconv.fftconvolve(text, text, "same", 0) == (text, text, "same", 0)
    assert fallbacks["fftconvolve", f"dtype {text.dtype}"] == 1


class Foreign:
    """An array of another library."""

    def __array__(self, dtype=None, copy=None):
        return np.ones(3)


@ALL
def test_arrays_of_other_libraries_go_to_scipy_if_it_is_to_tell_them_apart(
    monkeypatch, fallbacks, function
):
    monkeypatch.setitem(_fallback.ORIGINALS, function, lambda in1, in2, *rest: in1)
    mine = Foreign()
    assert getattr(fastconv, function)(mine, [1.0]).tolist() == [1, 1, 1]
    assert not fallbacks
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    assert getattr(fastconv, function)(mine, [1.0]) is mine
    assert getattr(fastconv, function)(np.ones(3), [1.0]).tolist() == [1, 1, 1]
    assert dict(fallbacks) == {(function, "arrays of other libraries"): 1}


def test_which_method_is_faster_for_arrays_of_other_libraries_is_for_scipy_to_say(monkeypatch):
    monkeypatch.setitem(_fallback.ORIGINALS, "choose_conv_method", lambda *rest: "scipy's answer")
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    assert fastconv.choose_conv_method(Foreign(), [1.0]) == "scipy's answer"


WITHOUT_SCIPY = """
import sys
sys.modules["scipy"] = None  # importing it is an error
import numpy as np
import fastconv
ones = np.ones((4, 5, 6), int)
for function in (fastconv.convolve, fastconv.correlate):
    for method in ("auto", "direct", "fft"):
        assert function(ones, ones, "valid", method).tolist() == [[[120]]]
for function in (fastconv.fftconvolve, fastconv.oaconvolve):
    assert np.allclose(function(ones, ones, "valid"), 120)
big = np.ones((40, 40, 40), int)
assert (fastconv.convolve(big, big, "same").max()) == 64000
assert fastconv.choose_conv_method(big, big) in ("direct", "fft")
assert fastconv.sepfir2d(ones[0], [1.0], [2.0]).tolist() == (2 * ones[0]).tolist()
try:
    fastconv.convolve(ones.astype(object), ones)
except TypeError as error:
    assert "SciPy" in str(error)
else:
    raise SystemExit("objects were taken")
"""


def test_all_but_the_fallbacks_works_without_scipy():
    subprocess.run([sys.executable, "-c", WITHOUT_SCIPY], check=True)


# --- out and workers -----------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize("dtype", DTYPES)
def test_out_is_filled_and_returned(function, dtype):
    for ndim in (1, 2, 3):
        in1, in2 = np.arange(4**ndim).reshape((4,) * ndim) % 7, np.ones((2,) * ndim)
        in1, in2 = in1.astype(dtype), in2.astype(dtype)
        y = getattr(fastconv, function)(in1, in2)
        for out in (np.full_like(y, 9), np.full_like(y, 9, order="F"), np.full_like(y, 9)[::-1]):
            assert getattr(fastconv, function)(in1, in2, out=out, workers=2) is out
            np.testing.assert_array_equal(out, y)


class Strict(np.ndarray):
    """An array that no item of is to be set."""

    def __setitem__(self, place, values):
        raise AssertionError


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_an_out_of_a_subclass_is_filled_by_every_engine(ndim):
    rng = np.random.default_rng(6)
    x, k = rng.integers(-9, 9, (150,) * ndim), rng.integers(-9, 9, (4,) * ndim)
    x = x if ndim < 3 else x[:10, :10, :10]
    for dtype, name in itertools.product("qfd", ("convolve", "convolve2d", "fftconvolve")):
        call, a, b = getattr(fastconv, name), x.astype(dtype), k.astype(dtype)
        methods = METHOD_NAMES.get(name, [None])
        if name == "convolve2d" and ndim != 2:
            continue
        for method in methods:
            more = {} if method is None else {"method": method}
            y = call(a, b, "same", **more)
            masked = np.ma.array(np.zeros_like(y), mask=True, hard_mask=True)
            for out in (masked, np.zeros_like(y).view(Strict)):
                assert call(a, b, "same", out=out, **more) is out
                np.testing.assert_array_equal(np.asarray(out), y)
            assert masked.mask.all()
    if ndim == 2:
        out = np.zeros((2, 150, 150)).view(Strict)
        a, b = np.stack([x, x]).astype("d"), np.stack([k, k]).astype("d")
        for kernel in (b, b[:1]):
            fastconv.convolve2d(a, kernel, "same", axes=(1, 2), out=out)
            assert np.asarray(out).any()
            out.view(np.ndarray)[...] = 0
        small = fastconv.plan(b[0], (2, 2), "d", method="direct")
        out = np.zeros((2, *small.out_shape)).view(Strict)
        assert small(np.ones((2, 2, 2)), out=out) is out


METHOD_NAMES = {
    "convolve": ["auto", "direct", "fft"],
    "convolve2d": ["auto", "direct", "fft", "certified"],
}


@ALL
@pytest.mark.parametrize("shape", [(9,), (5, 6), (4, 3, 5)])
def test_out_may_be_an_input(function, shape):
    rng = np.random.default_rng(3)
    in1, in2 = rng.standard_normal(shape), rng.standard_normal((2,) * len(shape))
    y = getattr(fastconv, function)(in1, in2, "same")
    x, k = in1.copy(), in1[::-1].copy()
    assert getattr(fastconv, function)(in1, in2, "same", out=in1) is in1
    np.testing.assert_array_equal(in1, y)
    more = {"method": "direct"} if function in ("convolve", "correlate") else {}
    y = getattr(fastconv, function)(x, k, "same", **more)
    assert getattr(fastconv, function)(x, k, "same", **more, out=k) is k
    np.testing.assert_array_equal(k, y)


@ALL
def test_out_is_taken_for_scalars_and_empties_too(function):
    out = np.zeros(())
    assert getattr(fastconv, function)(2.0, 3.0, out=out) is out
    assert out == 6
    empty = np.zeros(0)
    assert getattr(fastconv, function)([], [1.0], "same", out=empty) is empty


@ALL
@pytest.mark.parametrize("shape", [(4,), (3, 4), (3, 2, 4)])
@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda y: y.tolist(), TypeError),
        (lambda y: y.astype(np.float32), TypeError),
        (lambda y: y[..., :-1], ValueError),
        (lambda y: y[None], ValueError),
        (lambda y: np.broadcast_to(y, y.shape), ValueError),
    ],
)
def test_an_out_that_does_not_match_is_refused(function, shape, change, error):
    in1, in2 = np.ones(shape), np.ones((1,) * (len(shape) - 1) + (2,))
    out = change(getattr(fastconv, function)(in1, in2) * 0)
    with pytest.raises(error, match="out"):
        getattr(fastconv, function)(in1, in2, out=out)


@ALL
@pytest.mark.parametrize(("workers", "error"), [(0, ValueError), (1.5, TypeError)])
def test_workers_are_checked(function, workers, error):
    for shape in ((3,), (3, 3), (3, 3, 3)):
        with pytest.raises(error):
            getattr(fastconv, function)(np.ones(shape), np.ones(shape), workers=workers)


@ALL
@pytest.mark.parametrize("shapes", [((900,), (40,)), ((70, 80), (9, 9)), ((30, 31, 32), (9, 8, 7))])
def test_the_number_of_threads_changes_no_bit(function, shapes):
    rng = np.random.default_rng(4)
    in1, in2 = (rng.standard_normal(shape) for shape in shapes)
    one = getattr(fastconv, function)(in1, in2, workers=1)
    for workers in (2, 3, -1):
        assert getattr(fastconv, function)(in1, in2, workers=workers).tobytes() == one.tobytes()


@FFTS
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_a_product_is_contiguous_and_the_same_for_any_layout(function, mode):
    call = getattr(fastconv, function)
    rng = np.random.default_rng(7)
    a, b = np.arange(5.0).reshape(5, 1), np.arange(4.0).reshape(1, 4)
    if mode != "valid":
        for x, w in ((a, b), (b, a), (np.ones((3, 4), order="F"), np.ones((1, 1)))):
            y = call(x, w, mode)
            assert y.flags.c_contiguous
            assert y.flags.owndata
            np.testing.assert_array_equal(y, getattr(signal, function)(x, w, mode))
    for dtype in "fdFD":
        x, k = (rng.standard_normal((n, n // 20 + 1)).astype(dtype) for n in (64, 1))
        if dtype in "FD":
            x.imag, k.imag = rng.standard_normal(x.shape), 0.3
        y = call(x, k, mode)
        for layout in (x[::-1].copy()[::-1], np.asfortranarray(x), np.repeat(x, 2, 0)[::2]):
            assert call(layout, k, mode).tobytes() == y.tobytes()


@ALL
def test_the_result_is_a_fresh_contiguous_plain_array(function):
    for shape in ((5,), (4, 5), (3, 4, 5)):
        small, large = np.ones((2,) * len(shape)), np.ones(shape)
        for operands in ((small, large), (large, small)):
            for mode in ("full", "valid", "same"):
                y = getattr(fastconv, function)(*operands, mode)
                assert type(y) is np.ndarray
                assert y.flags.c_contiguous
                assert y.flags.owndata
                assert y.flags.writeable


# --- choose_conv_method --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("in1", "in2", "mode"),
    [
        (1, 2, "full"),
        ([1], [[1]], "full"),
        ([[1]], [1], "x"),
        ([], [1.0], "full"),
        (np.ones((2, 9)), np.ones((9, 2)), "valid"),
        (np.ones(3, bool), np.ones(2, bool), "x"),
        (np.ones(3, object), np.ones(2), "x"),
        (np.array([2**51]), np.array([2**51]), "full"),
        (np.ones(8), np.ones(6), "full"),
        (np.ones((8, 8)), np.ones((6, 6)), "valid"),
        (np.ones((512, 512)), np.ones((200, 200)), "same"),
        (np.ones(10**5), np.ones(10**5), "full"),
        (np.ones(8, np.longdouble), np.ones(6, np.longdouble), "full"),
    ],
    ids=lambda value: str(np.shape(value)),
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in log:RuntimeWarning")
def test_the_method_is_scipys_where_there_is_no_question(in1, in2, mode):
    assert_alike("choose_conv_method", in1, in2, mode)


@pytest.mark.parametrize("dtype", "bHlefdgFDG")
def test_a_method_is_chosen_for_every_dtype(dtype):
    in1, in2 = np.ones((9, 9, 9), dtype), np.ones((4, 4, 4), dtype)
    for mode in ("full", "same", "valid"):
        assert fastconv.choose_conv_method(in1, in2, mode) in ("direct", "fft")


@pytest.mark.parametrize("values", [(1j, 2), (1, 2.5), (np.complex64(3), 1j)], ids=str)
def test_the_method_for_scalars_is_scipys(values):
    assert_alike("choose_conv_method", *values)


def test_both_methods_are_measured():
    method, times = fastconv.choose_conv_method(np.ones(50), np.ones(9), measure=True)
    assert set(times) == {"direct", "fft"}
    assert all(seconds > 0 for seconds in times.values())
    assert method == min(times, key=times.get)
    with pytest.raises(ValueError, match="valid"):
        fastconv.choose_conv_method(np.ones((2, 9)), np.ones((9, 2)), "valid", measure=True)


def test_a_call_of_more_than_a_second_is_measured_once(monkeypatch):
    calls = []

    class Timer:
        def __init__(self, call):
            pass

        def timeit(self, number):
            calls.append(number)
            return 3.0

    monkeypatch.setattr(timeit, "Timer", Timer)
    _, times = fastconv.choose_conv_method([1.0], [1.0], measure=True)
    assert times == {"direct": 3.0, "fft": 3.0}
    assert calls == [1, 1]


# --- correlation_lags and sepfir2d ---------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        *((n, m, mode) for n in range(8) for m in range(8) for mode in ("full", "valid")),
        *((n, m, "same") for n in range(0, 8, 2) for m in range(1, 8)),
        (2.5, 3),
        (4.0, 3.0, "valid"),
        (4.0, 3.0, "same"),
        (5, 4, "x"),
        (5, 4, ["x"]),
        (5, 4, None),
        (np.uint8(200), np.int8(100), "same"),
        ("a", 1),
        (5,),
    ],
    ids=str,
)
def test_lags_are_scipys(args):
    ours = fastconv.correlation_lags
    if len(args) < 2:
        with pytest.raises(TypeError):
            ours(*args)
    else:
        assert_alike("correlation_lags", *args)


@pytest.mark.parametrize("image", [*(np.dtype(c) for c in DTYPES), "?", "e", "O", "U1", "M8[s]"])
def test_sepfir2d_has_scipys_dtypes_and_refusals(image):
    image = (np.arange(12).reshape(3, 4) % 2).astype(image)
    filters = [[1, 2, 1], [1.0, 2.0, 1.0], (3,)]
    filters += [np.array([1, 2, 1]).astype(c) for c in "?bhlefdgFD"]
    for taps in filters:
        assert_alike("sepfir2d", image, taps, np.ones(3, np.float32))
        assert_alike("sepfir2d", image, np.ones(1, np.float16), taps)


@pytest.mark.parametrize(
    "args",
    [
        (IMAGE, [1, 1], [1, 1, 1]),
        (IMAGE, [1, 1, 1], [1, 1]),
        (IMAGE, [], [1]),
        (IMAGE[0], [1], [1]),
        (IMAGE[None], [1], [1]),
        (IMAGE, np.ones((1, 1)), [1]),
        (IMAGE, 1, [1]),
        (IMAGE, [1], np.float64(3)),
        (IMAGE, ["a"], [1]),
        (IMAGE, [1j], [1]),
        (IMAGE.tolist(), [1], [1]),
        (np.ones((0, 0)), [1, 1, 1], [1, 1, 1]),
        ("a", [1], [1]),
        (IMAGE.astype(np.dtype("f4").newbyteorder()), [1], [1]),
        (IMAGE.T[::-1], np.ones(6)[1::2], [1]),
        ([[2**70, 1]], [1], [1]),
        ([["1", "2+3j"]], [1], [1]),
        (np.array([[2**70, 1]]), [1], [1]),
        ([[np.clongdouble(1), 2]], [1], [1]),
    ],
    ids=range(19),
)
def test_sepfir2d_takes_and_refuses_what_scipys_does(args):
    assert_alike("sepfir2d", *args)


def test_sepfir2d_takes_out():
    image = np.arange(12.0).reshape(3, 4)
    y = fastconv.sepfir2d(image, [1, 2, 0], [3, 0, 1])
    assert fastconv.sepfir2d(image, [1, 2, 0], [3, 0, 1], out=image) is image
    np.testing.assert_array_equal(image, y)
    with pytest.raises(TypeError, match="out"):
        fastconv.sepfir2d(image, [1], [1], out=np.zeros((3, 4), np.float32))


# --- Inf and NaN ---------------------------------------------------------------------------------


@PAIR
def test_a_transform_of_what_is_not_finite_warns_as_in_scipy(function):
    for value in (np.nan, np.inf):
        in1 = np.ones((1, 9))
        in1[0, 0] = value
        for module in (signal, fastconv):
            words = "^Use of fft convolution on input with NAN"
            with np.errstate(invalid="ignore"), pytest.warns(RuntimeWarning, match=words):
                getattr(module, function)(in1, np.ones((1, 2)), method="fft")
        getattr(fastconv, function)(in1, np.ones((1, 2)))  # no warning


@PAIR
def test_that_warning_points_to_the_caller(function):
    spoilt, ours = np.array([1, np.nan, 2]), getattr(fastconv, function)

    def patched():
        with fastconv.patched():
            getattr(signal, function)(spoilt, [1.0, 2.0], method="fft")

    for call in (
        lambda: ours(spoilt, [1.0, 2.0], method="fft"),
        lambda: ours(spoilt, [1.0, 2.0], method="fft", progress=lambda done, total: None),
        patched,
    ):
        with pytest.warns(RuntimeWarning, match="^Use of fft") as caught:
            call()
        assert [warning.filename for warning in caught] == [__file__]


@PAIR
def test_that_warning_needs_no_caller(function):
    ended = threading.Event()

    def told(done, total):
        ended.set()

    def in_a_thread():
        arguments = [1, np.nan, 2], [1.0, 2.0], "full", "fft"
        start_new_thread(partial(getattr(fastconv, function), *arguments, progress=told), ())
        ended.wait(60)

    with pytest.warns(RuntimeWarning, match="^Use of fft"):
        in_a_thread()


@PAIR
@pytest.mark.parametrize("dtype", "fdFD")
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_in_one_dimension_nothing_outside_is_multiplied(function, mode, dtype):
    rng = np.random.default_rng(5)
    for n, m in ((9, 3), (9, 9), (6, 1), (5, 4)):
        for spot in range(m):
            for value in (np.inf, np.nan, -np.inf):
                in1, in2 = rng.integers(1, 9, n).astype(dtype), rng.integers(1, 9, m).astype(dtype)
                in2[spot] = value
                with np.errstate(invalid="ignore"):
                    theirs = getattr(np, function)(in1, in2, mode)
                    y = getattr(fastconv, function)(in1, in2, mode, "direct")
                if dtype in "fd":
                    np.testing.assert_array_equal(y, theirs)
                else:
                    np.testing.assert_array_equal(np.isfinite(y), np.isfinite(theirs))


@PAIR
@pytest.mark.parametrize("mode", ["full", "same"])
@pytest.mark.parametrize("dtype", "fdgFD")
def test_long_kernels_with_an_inf_multiply_nothing_outside_either(function, mode, dtype):
    rng = np.random.default_rng(8)
    for n, m in ((1500, 1500), (2000, 1200), (1600, 515)):
        in1, in2 = rng.integers(1, 9, n).astype(dtype), rng.integers(1, 9, m).astype(dtype)
        for spots in ([3], [m - 2], [m // 2, m // 3], [0, m - 1]):
            taps = in2.copy()
            taps[spots] = np.inf
            with np.errstate(invalid="ignore"):
                theirs = getattr(np, function)(in1, taps, mode)
                y = getattr(fastconv, function)(in1, taps, mode)
            if dtype in "fdg":
                np.testing.assert_array_equal(y, theirs)
            else:
                np.testing.assert_array_equal(np.isfinite(y), np.isfinite(theirs))
                fine = np.isfinite(y)
                np.testing.assert_array_equal(y[fine], theirs[fine])


@pytest.mark.parametrize("dtype", INTEGERS)
def test_lists_and_scalars_of_one_dtype_are_not_weakly_promoted(dtype):
    y = fastconv.convolve(np.ones(3, dtype), [1.5])
    assert y.dtype == signal.convolve(np.ones(3, dtype), [1.5]).dtype
