"""
The accuracy promised for floating-point results, measured in exact arithmetic.

For a real output of n = kh * kw products, computed with unit roundoff u,

    |computed - exact| <= n * u * sum |a| |w|  +  n * (smallest subnormal)

and the real and the imaginary part of a complex one are sums of 2n real products. Every float is
an integer times a power of two, so both sides are computed in Python integers: no rounding.
"""

import numpy as np
import pytest
from cases import BOUNDARIES, CALLS, floats
from oracle import complex_sum, real_sum, swaps

import fastconv

WITH_COMPLEX = "fdgFDG"


def as_integers(array):
    """Integers and power p, such that the array is integers * 2**-p."""
    ratio = np.frompyfunc(lambda value: value.as_integer_ratio(), 1, 1)(array.astype(object))
    power = max(q for _, q in ratio.ravel()).bit_length() - 1
    return np.frompyfunc(lambda pq: pq[0] << power >> pq[1].bit_length() - 1, 1, 1)(ratio), power


def check_plane(computed, exact, magnitude, power, terms, info):
    """
    Check one real plane of outputs; return its largest err/bound.

    `exact` and `magnitude` (sum |a||w|) are in units of 2**-power. Outputs whose partial sums may
    overflow, those with 2 * magnitude > largest number, are left out.
    """
    counts = (2 * magnitude <= int(info.max) << power).astype(bool)
    computed, its_power = as_integers(computed[counts])
    exact, magnitude = exact[counts], magnitude[counts]
    precision = info.nmant + 1  # u = 2**-precision
    smallest = info.nmant - int(info.minexp)  # the smallest subnormal is 2**-smallest

    # Both sides in units of 2**-(unit + precision).
    unit = max(power, its_power, smallest)
    error = abs((computed << unit - its_power) - (exact << unit - power)) << precision
    bound = terms * ((magnitude << unit - power) + (1 << unit - smallest + precision))
    assert np.all(error < bound)
    return max(e / b for e, b in zip(error, bound, strict=True))


def check(function, x, k, mode, boundary="fill", fill=0):
    """Check one call; return its largest err/bound."""
    y = getattr(fastconv, function)(x, k, mode, boundary, fill)
    assert y.dtype == x.dtype == k.dtype
    info = np.finfo(y.dtype)
    n = x.size if swaps(x, k, mode) else k.size

    fill = np.array(fill, x.dtype)
    pixels = [np.append(part(x), part(fill)) for part in (np.real, np.imag)]
    (xr, xi), image_power = as_integers(np.stack(pixels))
    (kr, ki), taps_power = as_integers(np.stack([k.real, k.imag]))
    fr, fi = xr[-1], xi[-1]
    xr, xi = xr[:-1].reshape(x.shape), xi[:-1].reshape(x.shape)
    power = image_power + taps_power

    def magnitude(a, w, f):
        return real_sum(function, abs(a), abs(w), mode, boundary, abs(f))

    if y.dtype.kind == "f":
        exact = real_sum(function, xr, kr, mode, boundary, fr)
        return check_plane(y, exact, magnitude(xr, kr, fr), power, n, info)
    re, im = complex_sum(function, (xr, xi), (kr, ki), mode, boundary, (fr, fi))
    of_re = magnitude(xr, kr, fr) + magnitude(xi, ki, fi)
    of_im = magnitude(xr, ki, fr) + magnitude(xi, kr, fi)
    return max(
        check_plane(y.real, re, of_re, power, 2 * n, info),
        check_plane(y.imag, im, of_im, power, 2 * n, info),
    )


@pytest.mark.parametrize("dtype", WITH_COMPLEX)
@pytest.mark.parametrize("heights", [range(1, 8), range(8, 14), range(14, 20)])
def test_random_data_of_every_size_stay_within_the_bound(dtype, heights, record_ratio):
    rng = np.random.default_rng(1)
    for height in heights:
        for width in range(1, 68, 5 if dtype in "gG" else 1):  # the longest numbers take longest
            function, mode, boundary = CALLS[rng.integers(len(CALLS))]
            kernel_shape = np.minimum(rng.integers(1, 6, 2), (height, width)).tolist()
            x, k = floats(rng, (height, width), dtype), floats(rng, kernel_shape, dtype)
            ratio = check(function, x, k, mode, boundary, floats(rng, (), dtype))
            record_ratio(f"{np.dtype(dtype)}, random, all sizes", ratio)


def spread(rng, shape, dtype, exponents):
    """Normal numbers times powers of two with exponents from the range given."""
    array = floats(rng, shape, dtype)
    array.real = np.ldexp(array.real, rng.integers(*exponents, shape))
    if array.dtype.kind == "c":
        array.imag = np.ldexp(array.imag, rng.integers(*exponents, shape))
    return array


def mixed_scales(rng, shape, dtype):
    """Products from far below one to far above: 10**-300 to 10**300 for float64."""
    reach = min(500, int(0.48 * np.finfo(dtype).maxexp))
    return spread(rng, shape, dtype, (-reach, reach))


def underflowing(rng, shape, dtype):
    """Numbers whose products are about the smallest there are."""
    half = int(np.finfo(dtype).minexp) // 2
    return spread(rng, shape, dtype, (half - 12, half + 4))


def cancelling(rng, shape, dtype):
    """Large numbers that cancel but for their last bits."""
    array = floats(rng, shape, dtype) * np.finfo(dtype).eps.astype(dtype)
    sign = (-1) ** np.add.outer(np.arange(shape[0]), np.arange(shape[1]))
    return (array + sign.astype(dtype)).astype(dtype)


def always_rounding_up(rng, shape, dtype):
    """Squares of these are just above a tie: every rounding goes the same way."""
    eps = np.finfo(dtype).eps.astype(dtype)
    return (np.ones(shape, dtype) + eps * rng.integers(1, 4, shape).astype(dtype)).astype(dtype)


ADVERSARIES = (mixed_scales, underflowing, cancelling, always_rounding_up)


@pytest.mark.parametrize("dtype", WITH_COMPLEX)
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("adversary", ADVERSARIES, ids=lambda f: f.__name__)
def test_adversarial_data_stay_within_the_bound(adversary, boundary, dtype, record_ratio):
    rng = np.random.default_rng(2)
    for kernel_shape in ((1, 1), (3, 3), (4, 5), (11, 7)):
        for function, mode in (("convolve2d", "full"), ("correlate2d", "same")):
            x, k = adversary(rng, (13, 37), dtype), adversary(rng, kernel_shape, dtype)
            ratio = check(function, x, k, mode, boundary)
            record_ratio(f"{np.dtype(dtype)}, {adversary.__name__}", ratio)


@pytest.mark.parametrize("dtype", WITH_COMPLEX)
@pytest.mark.parametrize("scale", ["subnormal", "largest"])
def test_numbers_at_both_ends_of_the_range_stay_within_the_bound(scale, dtype, record_ratio):
    rng = np.random.default_rng(3)
    info = np.finfo(dtype)
    least = int(info.minexp) - info.nmant
    ends = {"subnormal": (least, least + info.nmant + 4), "largest": (-9, int(info.maxexp) - 9)}
    x, k = floats(rng, (9, 130), dtype), spread(rng, (3, 3), dtype, ends[scale])
    for function in ("convolve2d", "correlate2d"):
        for operands in ((x, k), (k, x)):
            ratio = check(function, *operands, "valid")
            record_ratio(f"{np.dtype(dtype)}, {scale}", ratio)
    one = np.ones((1, 1), dtype)
    np.testing.assert_array_equal(fastconv.convolve2d(k, one), k)


@pytest.mark.parametrize("dtype", WITH_COMPLEX)
@pytest.mark.parametrize("make", [floats, cancelling, always_rounding_up], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("image_shape", "kernel_shape"),
    [((33, 50), (30, 31)), ((1, 700), (1, 300)), ((700, 1), (300, 1)), ((3, 2100), (1, 9))],
)
def test_long_sums_stay_within_the_bound(dtype, make, image_shape, kernel_shape, record_ratio):
    rng = np.random.default_rng(4)
    x, k = make(rng, image_shape, dtype), make(rng, kernel_shape, dtype)
    for function in ("convolve2d", "correlate2d"):
        ratio = check(function, x, k, "valid")
        record_ratio(f"{np.dtype(dtype)}, long sums", ratio)


@pytest.mark.parametrize(("first", "second"), [("f", "d"), ("d", "f"), ("i", "f"), ("F", "d")])
def test_operands_are_promoted_before_any_rounding(first, second, record_ratio):
    rng = np.random.default_rng(5)
    x = (1000 * floats(rng, (9, 30), "d")).astype(first)
    k = (1000 * floats(rng, (3, 4), "d")).astype(second)
    common = np.result_type(x, k)
    y = fastconv.convolve2d(x, k)
    assert y.dtype == common
    assert y.tobytes() == fastconv.convolve2d(x.astype(common), k.astype(common)).tobytes()
    ratio = check("convolve2d", x.astype(common), k.astype(common), "full")
    record_ratio(f"{common}, promoted", ratio)
