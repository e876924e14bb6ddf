"""
The accuracy promised for floating-point results, measured in exact arithmetic.

The bound, and how it is measured, are in `bounds`.
"""

import numpy as np
import pytest
from bounds import check
from cases import (
    ADVERSARIES,
    BOUNDARIES,
    CALLS,
    always_rounding_up,
    cancelling,
    floats,
    spread,
)

import fastconv

WITH_COMPLEX = "fdgFDG"


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
