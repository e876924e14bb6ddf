"""
NaN, Inf and signed zeros: they reach exactly the outputs whose window holds them.

They behave as in the defining sum with naive complex products of the promoted operands, in which
zeros are really multiplied. Sums of whole numbers make that one answer, whatever the order.
"""

import numpy as np
import pytest
from cases import BOUNDARIES, CALLS, FUNCTIONS, fits, whole_numbers
from oracle import complex_sum, parts, real_sum
from scipy import signal

import fastconv

NAN, INF = np.nan, np.inf

# Corners, edges and both sides of each seam between vectors, blocks and tiles.
COLUMNS = (0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 47, 48, 49, 63, 64, 95, 96, 97, 127, 128, 191, 192)
COLUMNS += (193, 198, 199)
ROWS = (0, 1, 3, 4, 5, 7, 8, 31, 32, 33, 63, 64, 127, 128, 129, 138, 139)


def defining_sum(function, x, k, mode, boundary, fill=0):
    """The reference, in the result's dtype."""
    dtype = np.result_type(x, k)
    x, k, fill = (np.asarray(a).astype(dtype) for a in (x, k, fill))
    with np.errstate(invalid="ignore"):
        if dtype.kind == "f":
            return real_sum(function, x, k, mode, boundary, fill)
        re, im = complex_sum(function, parts(x), parts(k), mode, boundary, parts(fill))
    y = np.empty(re.shape, dtype)
    y.real, y.imag = re, im
    return y


def assert_identical(y, expected):
    """Equal numbers, NaN where NaN is expected, and no -0."""
    assert y.dtype == expected.dtype
    for part, its in zip(parts(y), parts(expected), strict=True):
        np.testing.assert_array_equal(part, its)
        assert not np.any(np.signbit(part) & (part == 0))


def check(function, x, k, mode, boundary, fill=0):
    y = getattr(fastconv, function)(x, k, mode, boundary, fill)
    assert_identical(y, defining_sum(function, x, k, mode, boundary, fill))
    return y


@pytest.mark.parametrize("dtype", "fd")
@pytest.mark.parametrize("value", [NAN, INF, -INF], ids=str)
def test_one_pixel_reaches_its_window_and_nothing_else(value, dtype):
    rng = np.random.default_rng(1)
    clean = whole_numbers(rng, (140, 200), dtype)
    kernel = whole_numbers(rng, (3, 4), dtype)
    kernel[1, 1] = 0  # an Inf under a zero tap is a NaN
    for row in ROWS:
        for column in COLUMNS:
            function, mode, boundary = CALLS[rng.integers(len(CALLS))]
            image = clean.copy()
            image[row, column] = value
            y = check(function, image, kernel, mode, boundary)
            assert mode == "valid" or not np.isfinite(y).all()


@pytest.mark.parametrize("value", [NAN, INF], ids=str)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_nan_covers_its_footprint(function, value):
    for size in (1, 2, 3, 8, 15):
        image, kernel = np.ones((40, 60)), np.ones((size, size))
        image[20, 30] = value
        y = getattr(fastconv, function)(image, kernel, "full")
        assert np.count_nonzero(~np.isfinite(y)) == size * size
        assert_identical(y, getattr(signal, function)(image, kernel, "full"))


@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
@pytest.mark.parametrize("dtype", "fdgFDG")
def test_nonfinite_taps_and_pixels_behave_as_in_the_defining_sum(function, mode, boundary, dtype):
    rng = np.random.default_rng(2)
    for image_shape, kernel_shape in (
        ((9, 40), (3, 4)),
        ((40, 9), (2, 1)),
        ((4, 5), (7, 9)),
        ((1, 300), (1, 20)),
    ):
        if not fits(image_shape, kernel_shape, mode):
            continue
        for where in ("image", "kernel", "both"):
            image = whole_numbers(rng, image_shape, dtype)
            kernel = whole_numbers(rng, kernel_shape, dtype)
            for array in [image] * (where != "kernel") + [kernel] * (where != "image"):
                for part in parts(array) if dtype in "FDG" else [array]:
                    spots = rng.integers(0, array.size, 2)
                    part.flat[spots] = rng.choice([NAN, INF, -INF], 2)
            check(function, image, kernel, mode, boundary)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", "fdFD")
@pytest.mark.parametrize("value", [INF, -INF, NAN], ids=str)
def test_the_border_is_really_multiplied(function, dtype, value):
    """Inf times a border of zeros is NaN; times a border of ones it is Inf."""
    image, kernel = np.ones((5, 40), dtype), np.ones((3, 3), dtype)
    kernel[0, 1] = value
    for mode in ("full", "same"):
        for fill in (0, 1, -1, INF):
            y = check(function, image, kernel, mode, "fill", fill)
            theirs = getattr(signal, function)(image, kernel, mode, "fill", fill)
            if dtype in "fd":
                assert_identical(y, theirs)
    inside = getattr(fastconv, function)(image, kernel, "valid")
    assert not np.isfinite(inside).any()


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("value", [INF, NAN], ids=str)
def test_a_larger_kernel_that_is_not_finite_meets_the_border_too(function, value):
    """The operands could be exchanged, but for what the zeros around them make of an Inf."""
    for spot in ((0, 0), (3, 4), (6, 8)):
        image, kernel = np.ones((2, 3)), np.ones((7, 9))
        kernel[spot] = value
        turned = np.full((7, 9), 1j)
        turned[spot] = complex(0, value)
        for mode in ("full", "same"):
            check(function, image, kernel, mode, "fill")
            check(function, image.astype(complex), kernel, mode, "fill")
            check(function, image, turned, mode, "fill")
            check(function, kernel, image, mode, "fill")


@pytest.mark.parametrize("fill", [NAN, INF, -INF], ids=str)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_fillvalue_that_is_not_finite_reaches_what_sees_the_border(function, fill):
    rng = np.random.default_rng(3)
    for shape in ((6, 50), (50, 6), (1, 100)):
        for dtype in "fdFD":
            image, kernel = whole_numbers(rng, shape, dtype), whole_numbers(rng, (3, 2), dtype)
            check(function, image, kernel, "full", "fill", fill)
            check(function, image, kernel, "same", "fill", fill)
        valid = getattr(fastconv, function)(image[:, :1], kernel[:1, :1], "valid", "fill", fill)
        assert np.isfinite(valid).all()


COMPLEX_VALUES = [
    complex(INF, 0),
    complex(0, INF),
    complex(-INF, 0),
    complex(NAN, 0),
    complex(0, NAN),
    complex(INF, INF),
    complex(INF, NAN),
    complex(INF, 2),
    complex(3, -INF),
]


@pytest.mark.parametrize("dtype", "FDG")
@pytest.mark.parametrize("value", COMPLEX_VALUES, ids=str)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_complex_products_are_the_naive_ones_even_where_a_part_is_missing(function, value, dtype):
    """An operand without imaginary part has zeros there, and zero times Inf is NaN."""
    rng = np.random.default_rng(4)
    real = np.empty(0, dtype).real.dtype
    image, kernel = whole_numbers(rng, (6, 40), dtype), whole_numbers(rng, (3, 2), dtype)
    others = {
        "complex": lambda a: a,
        "zero imaginary part": lambda a: a.real.astype(dtype),
        "real": lambda a: a.real.astype(real),
        "imaginary": lambda a: (1j * a.imag).astype(dtype),
    }
    for image_kind in others.values():
        for kernel_kind in others.values():
            for boundary in BOUNDARIES:
                x, k = image_kind(image).copy(), kernel_kind(kernel).copy()
                x[2, 17] = value if x.dtype == dtype else value.real
                check(function, x, k, "same", boundary)
                x, k = image_kind(image).copy(), kernel_kind(kernel).copy()
                k[1, 0] = value if k.dtype == dtype else value.real
                check(function, x, k, "same", boundary)


def test_the_naive_complex_product_of_inf_is_what_scipy_gives():
    """A worked example: (inf + 0j) * (0 + 1j) is nan + infj."""
    y = fastconv.convolve2d([[complex(INF, 0)]], [[1j]])
    assert np.isnan(y.real).all()
    assert (y.imag == INF).all()
    with np.errstate(invalid="ignore"):
        assert_identical(y, signal.convolve2d([[complex(INF, 0)]], [[1j]]))


@pytest.mark.parametrize("dtype", "fdgFDG")
@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
def test_minus_zero_comes_out_as_zero(function, mode, boundary, dtype):
    for image_shape, kernel_shape in (((4, 40), (2, 3)), ((1, 1), (1, 1)), ((40, 3), (3, 1))):
        if dtype in "fdg":
            pairs = [(-0.0, 1.0), (-0.0, 0.0), (0.0, -1.0), (-0.0, -0.0)]
        else:
            pairs = [(complex(-0.0, -0.0), 1), (complex(-0.0, 0), -1j), (-1, complex(0, -0.0))]
        for pixel, tap in pairs:
            image, kernel = np.full(image_shape, pixel, dtype), np.full(kernel_shape, tap, dtype)
            y = getattr(fastconv, function)(image, kernel, mode, boundary, pixel)
            assert not y.any()
            for part in parts(y):
                assert not np.signbit(part).any()


@pytest.mark.parametrize("dtype", "fd")
def test_sums_that_overflow_are_inf_of_the_right_sign(dtype):
    largest = np.finfo(dtype).max
    image = np.full((8, 50), largest, dtype)
    for sign in (1, -1):
        y = fastconv.convolve2d(image, np.full((2, 2), sign, dtype), "valid")
        assert (y == sign * INF).all()
    image = np.full((8, 50), 1j * largest, np.result_type(dtype, "F"))
    y = fastconv.convolve2d(image, np.ones((2, 2), dtype), "valid")
    assert (y.imag == INF).all()


@pytest.mark.parametrize("dtype", "BHILfdFD")
def test_no_warning_is_given_and_no_error_mode_of_numpy_obeyed(dtype):
    """A sum is not an operation of numpy's: overflow and NaN pass in silence, as in scipy."""
    image = np.full((5, 20), 200, dtype)
    if dtype in "fdFD":
        image[2, 3], image[4, 4], image[0, 0] = NAN, INF, np.finfo(dtype).max
    with np.errstate(all="raise"):
        for kernel in (np.full((2, 2), 200, dtype), np.zeros((3, 3), dtype)):
            for other in (kernel, kernel.astype(np.result_type(kernel, "F"))):
                fastconv.convolve2d(image, other)
                fastconv.correlate2d(image, other, "same", "wrap")
