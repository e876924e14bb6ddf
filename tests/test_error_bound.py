"""error_bound: never below an error, and not far above the bound that is promised."""

import math

import corpus
import numpy as np
import pytest
from bounds import Tiles, exact_sums, problem_of
from cases import CALLS

import fastconv
from fastconv import _error_bound, _solve


def numbers(rng, shape, char):
    x = rng.integers(-(1 << 15), 1 << 15, shape) * 2.0**-9
    if np.dtype(char).kind == "c":
        x = x + 1j * rng.integers(-(1 << 15), 1 << 15, shape)
    return x.astype(char)


def sum_bounds(function, x, k, mode, boundary, fill):
    """n u sum |a||w|, of integers, for each real part of the outputs."""
    planes, power = exact_sums(function, x, k, mode, boundary, fill)
    n = min(x.size, k.size) if mode == "valid" else k.size
    n *= 2 if x.dtype.kind == k.dtype.kind == "c" else 1
    u = float(np.finfo(np.result_type(x, k)).eps) / 2
    return [n * u * np.ldexp(sizes.astype(np.float64), -power) for _, sizes in planes]


@pytest.mark.parametrize("pair", ["ff", "dd", "fd", "df", "gg", "FF", "DD", "fF", "Dd"])
@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS[::3])
def test_the_bound_of_a_sum_is_the_promised_one(function, mode, boundary, pair):
    rng = np.random.default_rng(1)
    for shape, taps, fill in (((9, 12), (3, 4), 0), ((7, 6), (1, 1), 2), ((1, 30), (1, 7), 0)):
        x, k = numbers(rng, shape, pair[0]), numbers(rng, taps, pair[1])
        fill = fill if boundary == "fill" else 0
        bound = fastconv.error_bound(x, k, mode, boundary, fill, function=function, method="direct")
        result = getattr(fastconv, function)(x, k, mode, boundary, fill)
        assert bound.shape == result.shape
        assert bound.dtype == (np.longdouble if "g" in pair else np.float64)
        for promised in sum_bounds(function, x, k, mode, boundary, fill):
            assert (bound >= promised).all()
            if result.dtype.kind != "c":
                assert (bound <= promised * (1 + 1e-5) + 1e-30).all()
        # As the size of a complex number counts the sum of those of its parts.
        total = sum(sum_bounds(function, x, k, mode, boundary, fill))
        assert (bound <= 2 * total * (1 + 1e-5) + 1e-30).all()


@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
def test_what_a_problem_reads_is_the_extended_image(function, mode, boundary):
    rng = np.random.default_rng(7)
    shapes = (
        ((6, 7), (2, 3)),
        ((2, 3), (6, 7)),
        ((1, 9), (1, 4)),
        ((3, 2), (9, 11)),
        ((3, 2), (3, 2)),
    )
    for shape, taps in shapes:
        for fill in (0, 2, 1 + 3j) if boundary == "fill" else (0,):
            x = rng.integers(-9, 10, shape).astype("D" if fill == 1 + 3j else "d")
            k = rng.integers(-9, 10, taps).astype("d")
            problem = problem_of(function, x, k, mode, boundary, fill)
            kernel = problem.kernel[::-1, ::-1] if problem.rotate else problem.kernel
            (m_y, m_x), (kh, kw) = problem.shape, kernel.shape
            read = _error_bound._extended(problem)
            if mode == "full":
                assert read.shape == (m_y + kh - 1, m_x + kw - 1)
            read = read[: m_y + kh - 1, : m_x + kw - 1]
            expected = getattr(fastconv, function)(x, k, mode, boundary, fill)
            assert (fastconv.correlate2d(read, kernel, "valid") == expected).all()


@pytest.mark.parametrize("pair", ["ff", "dd", "FF", "DD", "fF"])
@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS[::7])
def test_the_bound_of_transforms_is_that_of_their_tiles(function, mode, boundary, pair):
    rng = np.random.default_rng(2)
    for shape, taps in (((100, 90), (30, 20)), ((1, 2000), (1, 150)), ((1500, 2), (100, 1))):
        x, k = numbers(rng, shape, pair[0]), numbers(rng, taps, pair[1])
        x[: shape[0] // 2, : shape[1] // 2] *= 1000
        fill = 3 if boundary == "fill" and mode == "same" else 0
        bound = fastconv.error_bound(x, k, mode, boundary, fill, function=function, method="fft")
        problem = problem_of(function, x, k, mode, boundary, fill)
        plan = _solve.choose(problem, "fft")[0]
        assert plan.engine == "fft"
        for place, promised in Tiles(problem, plan):
            assert (bound[place] >= float(promised) * (1 - 1e-12)).all()
            # What is read right of a tile counts, whether it is read or not.
            norm = np.linalg.norm(problem.image) * np.linalg.norm(problem.kernel)
            assert bound[place].max() <= float(promised) * norm
        planes, power = exact_sums(function, x, k, mode, boundary, fill)
        y = getattr(fastconv, function)(x, k, mode, boundary, fill, method="fft")
        for part, (exact, _) in zip((y.real, y.imag), planes, strict=False):
            error = abs(part.astype(np.longdouble) - np.ldexp(exact.astype(np.longdouble), -power))
            assert (error <= bound).all()


def test_a_star_raises_the_bound_of_its_own_tile_alone():
    rng = np.random.default_rng(3)
    x, k = rng.random((600, 600)), rng.random((31, 31))
    plain = fastconv.error_bound(x, k, "same", method="fft")
    x[5, 5] = 1e12
    with_star = fastconv.error_bound(x, k, "same", method="fft")
    assert with_star[0, 0] > 1e6 * plain[0, 0]
    assert with_star[-1, -1] == plain[-1, -1]


def test_a_faint_tile_has_a_bound_of_its_size():
    rng = np.random.default_rng(3)
    x, k = rng.random((600, 600)) * 1e-8, rng.random((31, 31))
    plain = fastconv.error_bound(x, k, "same", method="fft")
    x[5, 5] = 1e300
    bound = fastconv.error_bound(x, k, "same", method="fft")
    assert bound[-1, -1] == plain[-1, -1]
    y = fastconv.convolve2d(x, k, "same", method="fft")
    exact = fastconv.convolve2d(x.astype("g"), k.astype("g"), "same", method="direct")
    assert (abs(y - exact) <= bound).all()


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_an_inf_beside_a_tile_leaves_its_bound_large_enough(value):
    rng = np.random.default_rng(8)
    x, k = rng.random((400, 400)), rng.random((31, 31))
    x[200, ::7] = value
    y = fastconv.convolve2d(x, k, "same", method="fft")
    bound = fastconv.error_bound(x, k, "same", method="fft")
    exact = fastconv.convolve2d(x.astype("g"), k.astype("g"), "same", method="direct")
    finite = np.isfinite(y)
    assert (abs(y[finite] - exact[finite]) <= bound[finite]).all()


@pytest.mark.parametrize("dtype", "bBhHiIqQ")
def test_integers_are_exact(dtype):
    x, k = np.ones((40, 50), dtype), np.ones((9, 8), dtype)
    for function in ("convolve2d", "correlate2d", "convolve", "correlate"):
        for method in ("auto", "direct", "fft"):
            bound = fastconv.error_bound(x, k, "same", function=function, method=method)
            assert bound.shape == (40, 50)
            assert not bound.any()


# --- other functions -----------------------------------------------------------------------------

OTHERS = [
    ("convolve", (500,), (60,), {}),
    ("correlate", (60,), (500,), {"method": "direct"}),
    ("convolve", (40, 50), (60, 70), {"method": "fft"}),
    ("fftconvolve", (9000,), (300,), {}),
    ("oaconvolve", (15, 20, 25), (3, 4, 5), {}),
    ("fftconvolve", (9, 40, 50), (9, 4, 5), {"axes": (1, 2)}),
    ("fftconvolve", (2, 150, 160), (2, 20, 30), {"axes": (1, 2)}),
    ("fftconvolve", (30, 400), (30, 40), {"axes": 1}),
    ("convolve", (14, 15, 16), (9, 8, 7), {"method": "fft"}),
    ("correlate", (14, 15, 16), (9, 8, 7), {"method": "direct"}),
    ("convolve", (3, 4, 5, 6), (3, 2, 2, 2), {}),
    ("convolve", (), (), {}),
    ("convolve", (1,), (1,), {}),
]


@pytest.mark.parametrize("char", "fdFD")
@pytest.mark.parametrize(("function", "shape", "taps", "keywords"), OTHERS)
def test_errors_in_any_dimension_are_below(function, shape, taps, keywords, char):
    rng = np.random.default_rng(4)
    x, k = numbers(rng, shape, char), numbers(rng, taps, char)
    wide = "G" if np.dtype(char).kind == "c" else "g"
    exact = fastconv.convolve
    axes = keywords.get("axes")
    for mode in ("full", "same", "valid"):
        if mode == "valid" and any(m > n for m, n in zip(taps, shape, strict=True)):
            continue
        y = getattr(fastconv, function)(x, k, mode, **keywords)
        bound = fastconv.error_bound(x, k, mode, function=function, **keywords)
        assert bound.shape == np.shape(y)
        if axes is None:
            name = "correlate" if function == "correlate" else "convolve"
            exact = getattr(fastconv, name)(x.astype(wide), k.astype(wide), mode, method="direct")
        else:
            pairs = zip(x.astype(wide), k.astype(wide), strict=True)
            exact = np.stack([fastconv.convolve(a, b, mode, method="direct") for a, b in pairs])
        error = y - exact
        assert (np.maximum(abs(error.real), abs(error.imag)) <= bound).all()
        assert (bound <= 1e-3 * np.abs(exact).max(initial=1) * max(1, math.prod(taps))).all()


@pytest.mark.parametrize("method", ["auto", "direct", "fft", "separable"])
def test_stacks_have_the_bounds_of_their_images(method):
    rng = np.random.default_rng(5)
    x, k = rng.random((3, 2, 60, 70), np.float32), rng.random((2, 17, 18), np.float32)
    if method == "separable":
        k[...] = 0.5
    arguments = {"axes": (-2, -1), "method": method}
    bound = fastconv.error_bound(x, k, "same", "wrap", **arguments)
    y = fastconv.convolve2d(x, k, "same", "wrap", **arguments)
    assert bound.shape == y.shape
    exact = fastconv.convolve2d(
        x.astype(float), k.astype(float), "same", "wrap", axes=(-2, -1), method="direct"
    )
    assert (abs(y - exact) <= bound).all()
    for i, j in np.ndindex(3, 2):
        one = fastconv.error_bound(x[i, j], k[j], "same", "wrap", method=method)
        assert (bound[i, j] >= one).all()
        assert (bound[i, j] <= 3 * one).all()
    empty = fastconv.error_bound(x[:0], k, "same", "wrap", **arguments)
    assert empty.shape == (0, 2, 60, 70)


def test_the_bound_of_a_stack_is_that_of_its_own_engine():
    rng = np.random.default_rng(12)
    x, k = rng.random((64, 40, 40)), rng.random((1, 13, 13))
    arguments = {"axes": (1, 2), "method": "fast"}
    assert fastconv.explain(x[:1], k, "same", **arguments).engine == "direct"
    assert fastconv.explain(x, k, "same", **arguments).engine == "fft"
    for images, method in ((x[:1], "direct"), (x, "fft")):
        bound = fastconv.error_bound(images, k, "same", **arguments)
        expected = fastconv.error_bound(images, k, "same", axes=(1, 2), method=method)
        assert np.array_equal(bound, expected)


def test_half_precision_is_rounded_twice():
    rng = np.random.default_rng(6)
    x, k = (rng.random(n).astype(np.float16) for n in (300, 20))
    y = fastconv.convolve(x, k).astype(float)
    exact = np.convolve(x.astype(float), k.astype(float))
    bound = fastconv.error_bound(x, k, function="convolve")
    assert (abs(y - exact) <= bound).all()
    assert (abs(y - exact) > 0.2 * bound).any()


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("method", ["auto", "fft"])
def test_outputs_that_no_inf_or_nan_is_part_of_have_a_bound(value, method):
    rng = np.random.default_rng(7)
    x, k = rng.random((300, 300)), rng.random((21, 21))
    x[50, 60] = value
    y = fastconv.convolve2d(x, k, "same", method=method)
    bound = fastconv.error_bound(x, k, "same", method=method)
    assert np.isfinite(bound[np.isfinite(y)]).all()


def test_nothing_has_no_bound():
    empty = np.zeros((0, 5))
    assert fastconv.error_bound(empty, np.ones((1, 1)), "same").shape == (0, 5)
    assert (
        fastconv.error_bound(np.ones((3, 3)), np.ones((0, 2)), "same").tolist() == [[0.0] * 3] * 3
    )


def test_what_the_function_refuses_is_refused():
    x, k = np.ones((4, 4)), np.ones((2, 2))
    for keywords, words in (
        ({"function": "sepfir2d"}, "function must be one of"),
        ({"method": "quick"}, "Acceptable method flags"),
        ({"function": "convolve", "boundary": "wrap"}, "no boundary but zeros"),
        ({"function": "convolve", "axes": 0}, "has no axes"),
        ({"function": "oaconvolve", "method": "fft"}, "has no method"),
        ({"mode": "most"}, "Acceptable mode flags"),
        ({"method": "separable", "in2": np.eye(2)}, "not separable"),
    ):
        arguments = {"in1": x, "in2": k} | keywords
        with pytest.raises(ValueError, match=words):
            fastconv.error_bound(**arguments)
    with pytest.raises(ValueError, match="no bound for dtype object"):
        fastconv.error_bound(x.astype(object), k, function="convolve")


def test_a_product_of_two_numbers_has_a_bound_too():
    for function in ("convolve", "fftconvolve"):
        assert fastconv.error_bound(3, 4, function=function).tolist() == 0
        assert 0 < fastconv.error_bound(3.0, 4.0, function=function) < 1e-14


# --- hostile inputs ------------------------------------------------------------------------------

CELLS = [(engine, char) for engine, (*_, chars) in corpus.ENGINES.items() for char in chars]


@pytest.mark.parametrize(("engine", "char"), CELLS)
def test_errors_of_a_corpus_are_below(engine, char, record_ratio):
    if np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant:
        pytest.skip("no numbers with more digits to compare with")
    found, _, _ = corpus.cell(engine, char, 1, scale=0.15)
    record_ratio(f"{np.dtype(char)}, corpus, {engine}", found)
    assert 0 < found < 1


@pytest.mark.parametrize("char", corpus.INTEGERS)
def test_integers_of_a_corpus_are_exact(char):
    wrong, done = corpus.integer_cell(char, 1, scale=0.05)
    assert done > 10000
    assert wrong == 0


def test_of_integers_too_what_the_function_refuses_is_refused():
    image, kernel = np.ones((40, 40), int), np.array([[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="not separable"):
        fastconv.error_bound(image, kernel, method="separable")
    assert not fastconv.error_bound(image, kernel, method="fft").any()


def test_the_bound_of_integers_and_no_taps_is_zero():
    image, kernel = np.ones((4, 5), "i"), np.ones((0, 3), "i")
    expected = fastconv.convolve2d(image, kernel)
    assert np.array_equal(fastconv.error_bound(image, kernel, function="convolve2d"), expected)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("method", ["direct", "fft"])
@pytest.mark.parametrize("scale", [1e-300, 1e-320, 1e300])
@pytest.mark.parametrize("dtype", ["d", "g"])
def test_a_bound_at_the_ends_of_the_range_is_no_fault(dimensions, method, scale, dtype):
    a, w = np.full((9,) * dimensions, scale), np.ones((3,) * dimensions, dtype)
    with np.errstate(all="raise"):
        assert (fastconv.error_bound(a, w, function="convolve", method=method) > 0).all()


@pytest.mark.parametrize(("method", "taps"), [("direct", 3), ("auto", 9), ("fft", 9)])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("char", "efFd")
def test_where_a_part_of_a_sum_may_overflow_nothing_is_promised(char, dimensions, method, taps):
    """Sums that end in the range, of numbers that may leave it on the way."""
    if char == "d" and np.finfo(np.longdouble).maxexp <= np.finfo(np.float64).maxexp:
        pytest.skip("no numbers with a larger range to compare with")
    rng = np.random.default_rng(9)
    largest = float(np.finfo(char).max)
    shape = {1: (4000,), 2: (90, 80), 3: (20, 18, 16)}[dimensions]
    # From what is safe along to what is sure to overflow.
    sizes = np.linspace(1e-4, 0.9, shape[0]).reshape(-1, *[1] * (dimensions - 1)) * largest
    x = (sizes * rng.choice([-1.0, 1.0], shape)).astype(char)
    k = np.ones((taps,) * dimensions, char)
    functions = ["convolve"] + ["convolve2d"] * (dimensions == 2 and char != "e")
    for function in functions:
        with np.errstate(all="ignore"):
            y = getattr(fastconv, function)(x, k, method=method)
            wide = np.result_type(char, np.longdouble)
            exact = fastconv.convolve(x.astype(wide), k.astype(wide), method="direct")
            error = (y - exact).real
        bound = fastconv.error_bound(x, k, method=method, function=function)
        assert ((abs(error) <= bound) | np.isinf(bound)).all()
        assert not np.isfinite(error).all()
        told = fastconv.explain(x, k, method=method, function=function)
        if told.engine not in ("fft", "scipy.fft"):  # there, the norms of tiles count
            all_sizes = fastconv.convolve(abs(x).astype(wide), k.astype(wide), method="direct").real
            assert np.isfinite(bound[all_sizes < 0.99 * largest]).all()
            assert np.isinf(bound[all_sizes > 1.001 * largest]).all()


def test_a_sum_that_overflows_on_its_way_has_no_bound():
    x, k = np.array([[3e38, 3e38, -3e38]], "f"), np.ones((1, 3), "f")
    assert fastconv.convolve2d(x, k, "valid") == np.inf
    assert fastconv.error_bound(x, k, "valid") == np.inf
    assert fastconv.error_bound(x / 4, k, "valid") < 1e33


@pytest.mark.parametrize("function", ["convolve2d", "convolve"])
def test_bounds_of_nothing_have_the_precision_of_all_others(function):
    for char in "fdgG":
        for shape, taps in (((0, 5), (1, 1)), ((4, 5), (0, 2)), ((4, 5), (2, 2))):
            if function == "convolve" and 0 in taps:
                continue  # NumPy's words: v cannot be empty
            x, k = np.ones(shape, char), np.ones(taps, char)
            bound = fastconv.error_bound(x, k, "same", function=function)
            result = getattr(fastconv, function)(x, k, "same")
            assert bound.shape == result.shape
            assert bound.dtype == np.result_type(result.real, np.float64)


# Functions, axes along which nothing is convolved, and shapes.
ROWS = [
    ("fftconvolve", (12, 600), (12, 600), {"axes": 1}),
    ("oaconvolve", (600, 12), (600, 1), {"axes": 0}),
    ("fftconvolve", (5, 12, 12, 12), (5, 12, 12, 12), {"axes": (1, 2, 3)}),
    ("fftconvolve", (9, 40, 40), (9, 20, 20), {"axes": (1, 2)}),
    ("fftconvolve", (5, 20, 3, 20), (5, 20, 1, 20), {"axes": (1, 3)}),
    ("convolve", (20, 64, 18), (20, 1, 18), {"method": "fft"}),
]


def scaled(a, powers):
    """Times two to some powers."""
    if a.dtype.kind == "c":
        return (scaled(a.real, powers) + 1j * scaled(a.imag, powers)).astype(a.dtype)
    return np.ldexp(a, powers)


@pytest.mark.parametrize("char", "fdFDgG")
@pytest.mark.parametrize(("function", "shape", "taps", "keywords"), ROWS)
def test_arrays_of_a_stack_are_of_a_size_each(function, shape, taps, keywords, char):
    """As near to the ends of the range as they may be; each is as accurate as it is alone."""
    rng = np.random.default_rng(13)
    end = int(np.finfo(char).maxexp)
    axis = next(i for i in range(len(shape)) if i not in np.ravel(keywords.get("axes", (0, 2))))
    powers = rng.permuted(np.resize([end - 60, 0, 5, -end // 2, 60 - end], shape[axis]))
    x, k = numbers(rng, shape, char), numbers(rng, taps, char)
    spread = scaled(x, np.expand_dims(powers, [i for i in range(len(shape)) if i != axis]))
    y = getattr(fastconv, function)(spread, k, **keywords)
    bound = fastconv.error_bound(spread, k, function=function, **keywords)
    keywords = {"function": function, **keywords}
    one_by_one = fastconv.explain(spread, k, **keywords).engine == "scipy.fft"
    least = np.finfo(np.empty(0, char).real.dtype).smallest_subnormal
    for i, power in enumerate(powers):
        place = (slice(None),) * axis + (slice(i, i + 1),)
        one, its = x[place], k[place] if k.shape[axis] > 1 else k
        alone = fastconv.convolve(one, its, method="direct")
        of_sum = fastconv.error_bound(one, its, function="convolve", method="direct")
        with np.errstate(over="ignore"):
            error = abs(scaled(y[place], -power) - alone)
            allowed = scaled(bound[place], -power)
            underflow = scaled(least, -power)
        assert (error <= 2 * (allowed + of_sum)).all()
        norms = np.linalg.norm(one.astype("D")) * np.linalg.norm(its.astype("D"))
        if one_by_one:
            times = 1000 + its.size  # of the transform, or the sum
            assert (allowed < times * np.finfo(char).eps * norms + 2 * underflow).all()


@pytest.mark.parametrize("mode", ["full", "same"])
def test_an_axis_that_is_broadcast_may_be_cut(mode):
    rng = np.random.default_rng(14)
    for shape, taps, axes in (((1, 4, 3, 4), (3, 4, 3, 4), (0, 2)), ((1, 90), (7, 90), 1)):
        x, k = rng.random(shape), rng.random(taps)
        y = fastconv.oaconvolve(x, k, mode, axes=axes)
        bound = fastconv.error_bound(x, k, mode, axes=axes, function="oaconvolve")
        assert bound.shape == y.shape
        exact = fastconv.oaconvolve(x.astype("g"), k.astype("g"), mode, axes=axes)
        assert (abs(y - exact) <= 2 * bound).all()


def test_a_part_of_a_sum_may_overflow_in_a_transform_too():
    """An image that is zero nearly everywhere, so that nothing else tells of it."""
    x = np.zeros(4000, "f")
    x[100:110:2], x[101:111:2] = 1.5e38, -1.5e38
    k = np.array([1, -1] * 5, "f")
    with np.errstate(all="ignore"):
        assert not np.isfinite(fastconv.convolve(x, k, method="fft")[109])
    assert fastconv.error_bound(x, k, function="convolve", method="fft")[109] == np.inf
    small = fastconv.error_bound(x / 100, k, function="convolve", method="fft")
    assert np.isfinite(small).all()


def test_sizes_of_complex_numbers_near_the_largest_are_in_the_range():
    x = np.array([[1.2e308 + 1.2e308j, 1]])
    for k in ([[1e-300]], [[1e-300, 0]], [[1e-300j, 1e-300]]):
        exact = fastconv.convolve2d(x * 1e-200, k) * 1e200
        bound = fastconv.error_bound(x, k)
        assert np.isfinite(bound).all()
        assert (bound >= 1e-16 * abs(exact)).all()


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_of_a_line_no_tap_reaches_farther_than_it_does(value):
    x = np.arange(1.0, 9)
    for k in ([value, 1, 1], [1, value, 1], [1, 1, value]):
        for mode in ("full", "same", "valid"):
            for method in ("auto", "direct"):
                y = fastconv.convolve(x, k, mode, method)
                bound = fastconv.error_bound(x, k, mode, function="convolve", method=method)
                assert np.array_equal(np.isfinite(bound), np.isfinite(y))
