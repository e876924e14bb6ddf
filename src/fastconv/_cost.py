"""How long the ways to a convolution take, as far as shapes and dtype tell.

All constants are nanoseconds on one core of an AMD Zen 4 with AVX-512, measured; threads speed all
ways up alike. They decide which way is taken, never what is right.
"""

from __future__ import annotations

from math import log2, prod
from typing import TYPE_CHECKING, Any

from fastconv import _fftn

if TYPE_CHECKING:
    import numpy as np

    from fastconv._slices import Job

CALL = 5e3
"""One call of a 2-D engine, and the sum of its result with the one before."""

# One multiplication and addition, by the number of bytes of a real number: 15x15 taps, 256x256.
_INTEGER = {1: 0.014, 2: 0.012, 4: 0.025, 8: 0.047}
_FLOAT = {4: 0.019, 8: 0.038, 12: 2.7, 16: 2.7}
# Four of these make a complex one.
_COMPLEX = 4.0

# One point of a transform per factor of two of its length: scipy.fft in three dimensions, tiles in
# the cache in one and two.
_TRANSFORM = {4: 0.18, 8: 0.41, 12: 8.0, 16: 8.0}
_TILE = {4: 0.06, 8: 0.12, 12: 8.0, 16: 8.0}
_SETUP = 4e4


def _bytes(dtype: np.dtype[Any]) -> int:
    size: int = dtype.itemsize
    return size // 2 if dtype.kind == "c" else size


def _direct(job: Job, dtype: np.dtype[Any], calls: int) -> float:
    """Nanoseconds of the direct sum in so many calls of a 2-D engine."""
    each = _INTEGER[dtype.itemsize] if dtype.kind in "iu" else _FLOAT[_bytes(dtype)]
    if dtype.kind == "c":
        # Real operands of a complex result are real here.
        each *= _COMPLEX / 2 ** [job.a.dtype.kind, job.b.dtype.kind].count("f")
    taps = prod(
        1 if paired else min(n, m)
        for n, m, paired in zip(job.a.shape, job.b.shape, job.paired, strict=True)
    )
    return float(each * taps * prod(job.shape) + CALL * max(calls, 1))


def fftn_is_faster(job: Job, dtype: np.dtype[Any], calls: int) -> bool:
    """Whether scipy.fft takes less time than slices, for a job with three axes to sum along."""
    points = prod(_fftn.fast_lengths(_fftn.full_lengths(job)))
    rows = prod(
        max(n, m)
        for i, (n, m) in enumerate(zip(job.a.shape, job.b.shape, strict=True))
        if i not in _fftn.convolved(job)
    )
    each = _TRANSFORM[8 if dtype.kind in "iu" else _bytes(dtype)] * (2 if dtype.kind == "c" else 1)
    transform = 3 * each * rows * points * log2(points)
    return bool(_SETUP + transform < _direct(job, dtype, calls))


def fft_is_faster(job: Job, dtype: np.dtype[Any], calls: int) -> bool:
    """Whether 'fft' takes less time than 'direct': tiles in up to two dimensions."""
    axes = _fftn.convolved(job)
    if len(axes) > 2:
        return _fftn.available() and fftn_is_faster(job, dtype, calls)
    points = tiles = 1.0
    for axis in axes:
        n, m = sorted((job.a.shape[axis], job.b.shape[axis]))[::-1]
        tile = 1 << (max(4 * m, 128 if len(axes) == 2 else 1024) - 1).bit_length()
        tile = min(tile, 1 << (n + m - 2).bit_length())
        tiles *= -(-job.shape[axis] // (tile - m + 1))
        points *= tile
    rows = prod(length for axis, length in enumerate(job.shape) if axis not in axes)
    each = _TILE[8 if dtype.kind in "iu" else _bytes(dtype)] * (2 if dtype.kind == "c" else 1)
    transform = (2 * tiles * rows + 1) * each * points * max(1.0, log2(points))
    return bool(_SETUP + transform < _direct(job, dtype, calls))
