"""From arguments to a problem: scipy's checks, in scipy's order and words.

Whatever the function, mode and boundary, what is left is one problem,

    out[y, x] = sum_i sum_j  P[y + start_y + i, x + start_x + j] * W[i, j]

with P the image, extended as `boundary` says, and W the kernel: rotated by 180 degrees for a
convolution, conjugated for a correlation. Convolution with g is correlation with g rotated by 180
degrees and conjugated, so that either can be written as the other.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.exceptions import ComplexWarning

from fastconv._dispatch import SUPPORTED

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Array = np.ndarray[Any, Any]

MODES = frozenset({"full", "same", "valid"})
FILL, WRAP, SYMM, REFLECT = range(4)
# scipy knows the name 'reflect', and then refuses it in its own way.
BOUNDARIES = {
    "fill": FILL,
    "pad": FILL,
    "wrap": WRAP,
    "circular": WRAP,
    "symm": SYMM,
    "symmetric": SYMM,
    "reflect": REFLECT,
}


class Problem(NamedTuple):
    """One canonical problem; the arrays are of the result's dtype, or of its real part's."""

    image: Array
    kernel: Array
    start_y: int
    start_x: int
    boundary: int
    fill: Array
    rotate: bool
    conjugate: bool


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of the real part."""
    return dtype.type(0).real.dtype if dtype.kind == "c" else dtype


def words_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of the words that an engine computes with."""
    if dtype.kind == "i":
        return np.dtype(f"u{dtype.itemsize}")
    return real_dtype(dtype)


_zeros = {
    np.dtype(char): np.zeros(2, words_dtype(np.dtype(char))) for char in sorted(SUPPORTED)
}


def _swap_needed(shape1: tuple[int, ...], shape2: tuple[int, ...]) -> bool:
    """Whether the second of two shapes is the one that holds the other ('valid' mode)."""
    if shape1[0] >= shape2[0] and shape1[1] >= shape2[1]:
        return False
    if shape2[0] >= shape1[0] and shape2[1] >= shape1[1]:
        return True
    raise ValueError(
        "For 'valid' mode, one must be at least as large as the other in every dimension"
    )


def _result_dtype(in1: Array, in2: Array) -> np.dtype[Any]:
    dtype = in1.dtype
    if dtype is in2.dtype and dtype in _zeros:
        return dtype
    return np.result_type(in1, in2)


def _fill_words(value: object, dtype: np.dtype[Any]) -> Array:
    """Return the fill value as words: its real and its imaginary part."""
    if type(value) is int and value == 0:
        return _zeros[dtype]
    words = np.zeros(2, words_dtype(dtype))
    words[: dtype.itemsize // words.itemsize] = _fill_scalar(value, dtype).view(words.dtype)
    return words


def _fill_scalar(value: Any, dtype: np.dtype[Any]) -> Array:
    """Convert as scipy does: to `dtype`, else by way of complex, which is always an error."""
    try:
        fill = np.asarray(value, dtype)
    except (TypeError, ValueError, OverflowError):
        fill = np.asarray(value, np.complex128)
        warnings.warn(
            "Casting complex values to real discards the imaginary part",
            ComplexWarning,
            stacklevel=5,
        )
        raise ValueError(
            "could not cast `fillvalue` directly to the output type (it was first converted to "
            "complex)."
        ) from None
    if fill.size == 0:
        raise ValueError("`fillvalue` cannot be an empty array.")
    if fill.size > 1:
        raise ValueError("`fillvalue` must be scalar or an array with one element.")
    return fill.reshape(1)


def _as(a: Array, dtype: np.dtype[Any]) -> Array:
    """`a` in `dtype`, or in its real part's dtype where `a` has no imaginary part."""
    if dtype.kind != "c":
        return a if a.dtype is dtype else a.astype(dtype)
    if a.dtype.kind == "c":
        a = a if a.dtype is dtype else a.astype(dtype)
        return a if a.imag.any() else a.real
    return a.astype(real_dtype(dtype), copy=False)


def prepare(
    name: str,
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str,
    boundary: str,
    fillvalue: object,
) -> tuple[Problem, tuple[int, int], np.dtype[Any]]:
    """Check the arguments of the function `name`; return problem, shape and dtype of the result."""
    a = np.asarray(in1)
    b = np.asarray(in2)
    if not a.ndim == b.ndim == 2:
        raise ValueError(f"{name} inputs must both be 2-D arrays")
    correlate = name == "correlate2d"
    swap = mode == "valid" and _swap_needed(a.shape, b.shape)
    if mode not in MODES:
        raise ValueError("Acceptable mode flags are 'valid', 'same', or 'full'.")
    try:
        edge = BOUNDARIES[boundary]
    except KeyError:
        raise ValueError(
            "Acceptable boundary flags are 'fill', 'circular' (or 'wrap'), and 'symmetric' "
            "(or 'symm')."
        ) from None
    if correlate and b.dtype.kind not in "biufc":
        b = b.conj()  # refuses what has no conjugate, in numpy's words
    dtype = _result_dtype(a, b)
    if edge == REFLECT:
        raise ValueError("Incorrect boundary value.")
    if dtype not in _zeros:
        if dtype.kind in "SUT":
            raise ValueError("data type must provide an itemsize")
        raise ValueError("convolve2d not available for this type.")
    fill = _fill_words(fillvalue, dtype) if edge == FILL else _zeros[dtype]

    h, w = a.shape
    kh, kw = b.shape
    if mode == "full":
        start_y, start_x = 1 - kh, 1 - kw
        shape = h + kh - 1, w + kw - 1
    elif mode == "same":
        # The two functions centre an even kernel differently.
        start_y = -((kh - 1) // 2) if correlate else -(kh // 2)
        start_x = -((kw - 1) // 2) if correlate else -(kw // 2)
        shape = h, w
    else:
        start_y = start_x = 0
        shape = abs(h - kh) + 1, abs(w - kw) + 1
    if min(shape) > 0 and 0 in a.shape and 0 not in b.shape and edge != FILL:
        raise ValueError(f"an empty image cannot be extended with boundary {boundary!r}")

    image, kernel, rotate, conjugate = _as(a, dtype), _as(b, dtype), not correlate, correlate
    if not swap and mode != "valid" and b.size > a.size and edge == FILL and not fill.any():
        # Convolution is commutative: let the smaller one be the kernel, unless an Inf or a NaN
        # in either meets the zeros around the image.
        if swap := bool(np.isfinite(image).all() and np.isfinite(kernel).all()):
            start_y += kh - h
            start_x += kw - w
    if swap:
        if correlate:
            kernel = kernel.conj()[::-1, ::-1]
        image, kernel, rotate, conjugate = kernel, image, True, False
    return Problem(image, kernel, start_y, start_x, edge, fill, rotate, conjugate), shape, dtype
