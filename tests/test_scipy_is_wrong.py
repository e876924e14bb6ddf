"""
Where scipy 1.17 has a wrong answer, fastconv has the right one, against an exact reference.

README.md lists the cases.
"""

import numpy as np
import pytest
from cases import whole_numbers
from oracle import exact, exact_nd, nd_sum, real_sum

import fastconv


def test_int64_near_the_guard_of_auto_is_exact():
    """scipy chooses a transform, and rounds 45 % of the outputs to the wrong integer."""
    rng = np.random.default_rng(1)
    x = rng.integers(-(2**21), 2**21, (128, 128))
    k = rng.integers(-(2**21), 2**21, (32, 32))
    expected = exact("convolve2d", x, k, ring=np.int64)
    for method in ("auto", "fft", "direct"):
        np.testing.assert_array_equal(fastconv.convolve(x, k, method=method), expected)
    cube = rng.integers(-(2**21), 2**21, (20, 20, 20))
    for method in ("auto", "fft"):
        y = fastconv.correlate(cube, cube, "same", method)
        np.testing.assert_array_equal(y, exact_nd("correlate", cube, cube, "same"))


def test_the_least_int64_does_not_slip_through_the_guard_of_auto():
    """Its absolute value is negative, so that scipy takes it for small."""
    least = np.iinfo(np.int64).min
    for shape in ((2000,), (60, 60), (20, 20, 20)):
        x, k = np.full(shape, least), np.arange(np.prod(shape)).reshape(shape)
        assert fastconv.choose_conv_method(x, k) == "direct"
        y = fastconv.convolve(x, k, "same")
        np.testing.assert_array_equal(y, fastconv.convolve(x, k, "same", "direct"))
        assert set(np.unique(y).tolist()) <= {least, 0}


def test_int16_wraps_around_whatever_the_method():
    """scipy's transform overflows on the cast back."""
    rng = np.random.default_rng(2)
    for shapes in (((300,), (80,)), ((90, 90), (30, 30)), ((12, 12, 12), (8, 8, 8))):
        x, k = (whole_numbers(rng, shape, np.int16) for shape in shapes)
        for method in ("auto", "fft", "direct"):
            y = fastconv.convolve(x, k, method=method)
            np.testing.assert_array_equal(y, exact_nd("convolve", x, k))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_auto_takes_an_image_with_a_nan_and_a_kernel_of_integers(value):
    """scipy converts the largest product to an integer to find out whether it is small."""
    for shapes in (((9,), (3,)), ((8, 9), (3, 2)), ((4, 5, 6), (2, 2, 2))):
        x, k = np.ones(shapes[0]), np.ones(shapes[1], int)
        x.flat[5] = value
        for function in (fastconv.convolve, fastconv.correlate):
            y = function(x, k)
            assert np.count_nonzero(~np.isfinite(y)) == k.size
        assert fastconv.choose_conv_method(x, k) in ("direct", "fft")


def test_complex_correlate2d_in_valid_mode_is_not_conjugated_when_it_swaps():
    """scipy returns the conjugate."""
    rng = np.random.default_rng(3)
    for small, large in (((2, 3), (6, 5)), ((1, 1), (2, 2))):
        x, k = (whole_numbers(rng, shape, np.complex128) for shape in (small, large))
        y = fastconv.correlate2d(x, k, "valid")
        np.testing.assert_array_equal(y, exact("correlate2d", x, k, "valid"))
        np.testing.assert_array_equal(y, fastconv.correlate(x, k, "valid", "direct"))


def test_lags_are_right_in_mode_same():
    """scipy's are one too large for odd lengths with even ones."""
    for n in range(1, 12):
        for m in range(1, 12):
            for mode in ("full", "same", "valid"):
                lags = fastconv.correlation_lags(n, m, mode)
                for i in range(n):
                    for j in range(m):
                        x, k = np.zeros(n), np.zeros(m)
                        x[i] = k[j] = 1
                        z = fastconv.correlate(x, k, mode, "direct")
                        assert z.shape == lags.shape
                        assert lags[z == 1].tolist() == [i - j] * (i - j in lags)


@pytest.mark.parametrize("boundary", ["wrap", "symm"])
def test_an_empty_image_does_not_end_the_process(boundary):
    """scipy divides by zero."""
    for function in (fastconv.convolve2d, fastconv.correlate2d):
        for shape in ((0, 3), (3, 0), (0, 0)):
            with pytest.raises(ValueError, match="empty"):
                function(np.ones(shape), np.ones((2, 2)), "full", boundary)


@pytest.mark.parametrize("dtype", "fdFD")
def test_sepfir2d_takes_filters_longer_than_the_image(dtype):
    """scipy reads and writes out of bounds."""
    rng = np.random.default_rng(4)
    for shape in ((1, 1), (1, 7), (6, 2), (3, 4), (2, 9)):
        for n in (1, 3, 5, 9, 21):
            for m in (1, 3, 7, 15):
                image = whole_numbers(rng, shape, dtype)
                row, column = whole_numbers(rng, n, dtype), whole_numbers(rng, m, dtype)
                y = fastconv.sepfir2d(image, row, column)
                kernel = np.multiply.outer(column, row)
                expected = fastconv.convolve2d(image, kernel, "same", "symm")
                np.testing.assert_array_equal(y, expected)
                if dtype in "fd":
                    its = real_sum("convolve2d", image, kernel, "same", "symm")
                    np.testing.assert_array_equal(y, its)
    assert fastconv.sepfir2d(np.ones((0, 3)), np.ones(5), np.ones(5)).shape == (0, 3)


def test_float32_with_float64_is_computed_in_float64():
    """scipy transforms each operand in its own precision: errors of 1e-5 in a float64 result."""
    rng = np.random.default_rng(5)
    for shapes in (((400,), (300,)), ((60, 60), (40, 40)), ((16, 16, 16), (9, 9, 9))):
        single = rng.standard_normal(shapes[0]).astype(np.float32)
        double = rng.standard_normal(shapes[1])
        for x, k in ((single, double), ((single * 100).astype(np.int32), double.astype("f"))):
            expected = nd_sum(x.astype("g"), k.astype("g"))
            for y in (
                fastconv.convolve(x, k),
                fastconv.convolve(x, k, method="fft"),
                fastconv.fftconvolve(x, k),
                fastconv.oaconvolve(x, k),
            ):
                assert y.dtype == np.float64
                assert np.abs(y - expected).max() < 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("function", ["fftconvolve", "oaconvolve"])
def test_a_nan_stays_where_it_is(function):
    """scipy's fftconvolve returns nothing but NaN, its oaconvolve whole blocks of them."""
    x, k = np.ones(100_000), np.ones(50)
    x[40_000] = np.nan
    y = getattr(fastconv, function)(x, k)
    assert np.argwhere(np.isnan(y)).ravel().tolist() == list(range(40_000, 40_050))
    x, k = np.ones((20, 20, 20)), np.ones((9, 9, 9))
    x[10, 10, 10] = np.inf
    y = getattr(fastconv, function)(x, k, "same")
    assert np.count_nonzero(~np.isfinite(y)) == 9**3


def test_a_small_kernel_is_not_sent_through_a_transform():
    """scipy says 'fft', which takes ten times as long as fastconv's direct sum."""
    for dtype in "BhilfdFD":
        x, k = np.ones((512, 512), dtype), np.ones((3, 3), dtype)
        for mode in ("full", "same", "valid"):
            assert fastconv.choose_conv_method(x, k, mode) == "direct"
    assert fastconv.choose_conv_method(np.ones((256,) * 3), np.ones((3,) * 3)) == "direct"
