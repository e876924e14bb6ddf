"""
The Fourier engine: its bound, tile by tile, in exact arithmetic, and what keeps it from harm.

Most tests force tiles of a size of their own choice upon it, for the planner's are few.
"""

from itertools import product

import numpy as np
import pytest
from bounds import check_tiles, check_transform, exact_sums, plan_of, problem_of, transformed
from cases import BOUNDARIES, CALLS, COMPLEXES, FUNCTIONS, fits, floats

import fastconv
from fastconv import _plan, _solve

LANES = dict(_solve.lanes())
WORD = {"f": "f32", "d": "f64", "F": "f32", "D": "f64"}
# Image and kernel: real with real is folded, anything else is not.
PAIRS = ("ff", "fF", "Ff", "FF", "dd", "dD", "Dd", "DD")
# Lengths in lanes: all factors, alone and together.
FACTORS = (1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16, 25)


def short_numbers(rng, shape, dtype, bits=14):
    """Numbers of few digits, whose sums are exact in int64."""
    array = np.empty(shape, dtype)
    array.real = rng.integers(-(1 << bits), 1 << bits, shape) * 2.0**-bits
    if array.dtype.kind == "c":
        array.imag = rng.integers(-(1 << bits), 1 << bits, shape) * 2.0**-bits
    return array


# --- every grid ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", ["ff", "FF", "dd", "DD"])
@pytest.mark.parametrize("height", FACTORS)
def test_tiles_of_every_size_keep_their_bound(height, pair, record_ratio):
    rng = np.random.default_rng([1, height])
    lanes = LANES[WORD[pair[0]]]
    for width in FACTORS:
        if height * width > 100:
            continue
        h, w = height * lanes, width * lanes
        most = h * (2 if pair in ("ff", "dd") else 1), w
        kernel_shape = rng.integers(1, np.minimum(most, 6), endpoint=True)
        function, mode, boundary = CALLS[rng.integers(len(CALLS))]
        # One tile, or two, or four; they are full, or nearly.
        image_shape = [
            int(n) + int(rng.integers(0, n // 3 + 1)) * int(rng.integers(0, 2)) for n in most
        ]
        image_shape = np.maximum(image_shape - kernel_shape * (mode == "full"), kernel_shape)
        x = short_numbers(rng, image_shape, pair[0])
        k = short_numbers(rng, kernel_shape, pair[1])
        ratio = check_transform(function, x, k, mode, boundary, 0.5, (h, w, False))
        record_ratio(f"{np.result_type(x, k)}, transforms of every size", ratio)
