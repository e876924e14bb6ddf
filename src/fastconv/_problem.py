"""From arguments to a problem: scipy's checks, in scipy's order and words.

Whatever the function, mode and boundary, what is left is one problem,

    out[y, x] = sum_i sum_j  P[y + start_y + i, x + start_x + j] * W[i, j]

with P the image, extended as `boundary` says, and W the kernel: rotated by 180 degrees for a
convolution, conjugated for a correlation. Convolution with g is correlation with g rotated by 180
degrees and conjugated, so that either can be written as the other.
"""

from __future__ import annotations

import os
import sys
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastconv._dispatch import PLAIN, SUPPORTED
from fastconv._parts import assign, conjugate, distinct, is_large, parts

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Array = np.ndarray[Any, Any]

UNSUPPORTED = "convolve2d not available for this type."

FULL, SAME, VALID = range(3)
MODES = {"full": FULL, "same": SAME, "valid": VALID}

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
    """One canonical problem; the arrays are of the result's dtype, or of its real part's.

    For a stack of images `image` and `kernel` have more axes before their last two: they hold one
    problem for each place in the stack, all alike but for the numbers.
    """

    image: Array
    kernel: Array
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    start_y: int
    start_x: int
    boundary: int
    fill: Array | None
    rotate: bool
    conjugate: bool


def _swap_needed(h: int, w: int, kh: int, kw: int) -> bool:
    """Whether the second of two shapes is the one that holds the other ('valid' mode)."""
    if h >= kh and w >= kw:
        return False
    if kh >= h and kw >= w:
        return True
    raise ValueError(
        "For 'valid' mode, one must be at least as large as the other in every dimension"
    )


def _result_dtype(a: Array, b: Array) -> np.dtype[Any]:
    try:
        dtype = np.result_type(a, b)
    except TypeError:
        raise ValueError(UNSUPPORTED) from None
    if dtype.kind == "M":
        a.astype(dtype, casting="safe")  # refuses a time span in numpy's words, as scipy's C does
    return dtype


def _assign(value: Any, dtype: np.dtype[Any]) -> Array:
    """Convert as assignment does a scalar, but an array only where the cast is safe."""
    if isinstance(value, np.ndarray):
        return np.asarray(value).astype(dtype, casting="safe")
    return np.asarray(value, dtype)


def _fill_of(value: Any, dtype: np.dtype[Any]) -> Array | None:
    """Convert as scipy does: to `dtype`, else by way of complex, which is always an error."""
    try:
        fill = _assign(value, dtype)
    except (TypeError, ValueError, OverflowError):
        _assign(value, np.dtype(np.complex128)).astype(dtype)  # warns, or refuses what is no number
        raise ValueError(
            "could not cast `fillvalue` directly to the output type (it was first converted to "
            "complex)."
        ) from None
    if fill.size == 0:
        raise ValueError("`fillvalue` cannot be an empty array.")
    if fill.size > 1:
        raise ValueError("`fillvalue` must be scalar or an array with one element.")
    return fill.reshape(1, 1) if fill.any() else None


def kept(fillvalue: Any) -> Any:
    """Return a fill value that stays as it is until it is used."""
    return deepcopy(fillvalue) if isinstance(fillvalue, np.ndarray | list | tuple) else fillvalue


def converted(a: Array, dtype: np.dtype[Any]) -> Array:
    """Return `a` as an array of `dtype`: itself, if it is one."""
    if a.dtype == dtype or not is_large(a, dtype.itemsize):
        return a.astype(dtype, copy=False)
    core = distinct(a)
    result = np.empty_like(core, dtype)
    assign(result, core)
    return np.broadcast_to(result, a.shape)


def real_where_it_can(a: Array, dtype: np.dtype[Any]) -> Array:
    """Convert to `dtype`, or to its real part's dtype where `a` has no imaginary part."""
    if dtype.kind != "c":
        return converted(a, dtype)
    if a.dtype.kind != "c":
        return converted(a, dtype.type(0).real.dtype)
    a = converted(a, dtype)
    imag = distinct(a).imag
    with np.errstate(invalid="ignore"):  # by a signalling NaN
        # A look at a few first: most often that is enough.
        if imag[..., :4].any() or any(imag[part].any() for part in parts(imag)):
            return a
    return a.real


def all_finite(a: Array) -> bool:
    """Whether `a` holds no Inf and no NaN: most often a sum, which takes no memory, is finite."""
    if a.dtype.kind in "iu":
        return True
    a = np.asarray(distinct(a))
    with np.errstate(all="ignore"):
        return all(
            bool(np.isfinite(np.sum(a[part])) or np.isfinite(a[part]).all()) for part in parts(a)
        )


def prepare(
    name: str,
    correlate: bool,
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str,
    boundary: str,
    fillvalue: Any,
    method: str = "auto",
    stacked: bool = False,
) -> Problem:
    """Check the arguments of the function `name` and make them a problem.

    `stacked` allows more axes before the last two; then the problem is a stack of problems.
    Method 'separable' is about `in2`, so that one stays the kernel; but for mode 'valid', where
    the smaller one is it.
    """
    image = np.asarray(in1)
    kernel = np.asarray(in2)
    try:
        h, w = image.shape[-2:] if stacked else image.shape
        kh, kw = kernel.shape[-2:] if stacked else kernel.shape
    except ValueError:
        raise ValueError(f"{name} inputs must both be 2-D arrays") from None
    try:
        extent = MODES[mode]
    except KeyError:
        raise ValueError("Acceptable mode flags are 'valid', 'same', or 'full'.") from None
    swap = False
    if extent == FULL:
        start_y, start_x = 1 - kh, 1 - kw
        shape = h + kh - 1, w + kw - 1
    elif extent == SAME:
        # The two functions centre an even kernel differently.
        start_y = -((kh - 1) // 2) if correlate else -(kh // 2)
        start_x = -((kw - 1) // 2) if correlate else -(kw // 2)
        shape = h, w
    else:
        swap = _swap_needed(h, w, kh, kw)
        start_y = start_x = 0
        shape = abs(h - kh) + 1, abs(w - kw) + 1
    try:
        edge = BOUNDARIES[boundary]
    except KeyError:
        raise ValueError(
            "Acceptable boundary flags are 'fill', 'circular' (or 'wrap'), and 'symmetric' "
            "(or 'symm')."
        ) from None

    dtype = image.dtype
    plain = dtype is kernel.dtype and dtype in PLAIN
    if not plain:
        second = image if swap else kernel
        if correlate and second.dtype.kind not in "biufc":
            second.conj()  # refuses what has no conjugate, in numpy's words
        dtype = _result_dtype(image, kernel)
    if edge == REFLECT:
        raise ValueError("Incorrect boundary value.")
    fill = None
    if edge == FILL:
        if fillvalue.__class__ is not int or fillvalue:
            fill = _fill_of(fillvalue, dtype)
            if extent == VALID:
                fill = None  # nothing outside is read
    elif extent != VALID and 0 in (h, w) and 0 not in (kh, kw) and 0 not in shape:
        raise ValueError(f"an empty image cannot be extended with boundary {boundary!r}")
    if not plain:
        if dtype.kind in "SU":
            raise ValueError("data type must provide an itemsize")
        if dtype.char not in SUPPORTED:
            raise ValueError(UNSUPPORTED)
        if fill is None or not fill.imag.any():
            image = real_where_it_can(image, dtype)
        else:
            image = converted(image, dtype)
        kernel = real_where_it_can(kernel, dtype)

    commutes = edge == FILL and fill is None and method != "separable"
    if extent != VALID and kh * kw > h * w and commutes:
        # Convolution is commutative: let the smaller one be the kernel, unless an Inf or a NaN
        # in either meets the zeros around the image.
        swap = all_finite(image) and all_finite(kernel)
        start_y += (kh - h) * swap
        start_x += (kw - w) * swap
    rotate = not correlate
    if swap:
        if correlate:
            kernel = conjugate(kernel)[..., ::-1, ::-1]
        image, kernel, rotate, correlate = kernel, image, True, False
    # Half the time of Problem(...), which an 8 x 8 image would notice.
    return tuple.__new__(
        Problem,
        (image, kernel, shape, dtype, start_y, start_x, edge, fill, rotate, correlate),
    )


def convolution(
    image: Array,
    kernel: Array,
    start: tuple[int, int],
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    swap: bool,
) -> Problem:
    """Make the part from `start` on of the full convolution of two 2-D arrays a problem.

    The arrays are of `dtype` already, or of its real part's. With `swap` the image becomes the
    kernel, which makes a difference to an Inf or a NaN that meets the zeros around the other.
    """
    (h, w), (kh, kw) = image.shape, kernel.shape
    if swap:
        image, kernel, kh, kw = kernel, image, h, w
    start_y, start_x = start[0] - (kh - 1), start[1] - (kw - 1)
    return Problem(image, kernel, shape, dtype, start_y, start_x, FILL, None, True, False)


def may_overlap(a: Array, b: Array) -> bool:
    """Whether two arrays may share memory, or may be of one file in two places of the memory."""
    if np.may_share_memory(a, b):
        return True
    if a.base is None or b.base is None or not (_is_mapped(a) and _is_mapped(b)):
        return False
    first, second = _file_of(a), _file_of(b)
    return first == second or None in (first, second)


def _is_mapped(a: Any) -> bool:
    """Whether an array is in a map of a file, or of memory that may be mapped again."""
    module = sys.modules.get("mmap")
    while module is not None and a is not None:
        if isinstance(a, module.mmap):
            return True
        a = a.obj if isinstance(a, memoryview) else getattr(a, "base", None)
    return False


def _file_of(a: Any) -> Any:
    """Tell the file of a map from others; None: it cannot be told."""
    maps = Path("/proc/self/maps")
    if maps.exists():
        address = a.__array_interface__["data"][0]
        with maps.open() as lines:
            for line in lines:
                span, _, _, device, inode = line.split()[:5]
                first, end = (int(x, 16) for x in span.split("-"))
                if first <= address < end:
                    # Memory that has no file cannot be mapped twice.
                    return (device, inode) if int(inode) else first
        return None
    while a is not None and not isinstance(a, np.memmap):
        a = getattr(a, "base", None)
    path: Any = getattr(a, "filename", None)
    try:
        found = os.stat(path)  # noqa: PTH116 - it may be a number, too
    except (OSError, TypeError, ValueError):  # it may have another name by now
        return None
    return found.st_dev, found.st_ino


def check_out(out: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse an `out` that the result, of this shape and dtype, cannot be written to."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy.ndarray, not {type(out).__name__}")
    out = np.asarray(out)  # a subclass may say what it likes
    if out.dtype != dtype:
        raise TypeError(f"out has dtype {out.dtype}, the result {dtype}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, the result {shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
