"""From arguments to a convolution of two arrays of any dimension: scipy's checks, order and words.

Whatever the function, what is left is a `Job`: a part of the full convolution. A correlation is a
convolution with the second array reversed and conjugated. One and two dimensions are one problem
of the 2-D engines; more are a sum of such problems, or go through SciPy's transform.
"""

from __future__ import annotations

import operator
import warnings
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import _fftn
from fastconv._fallback import foreign, to_scipy
from fastconv._problem import (
    FULL,
    MODES,
    SAME,
    all_finite,
    check_out,
    convolution,
    real_where_it_can,
)
from fastconv._slices import Job, by_slices, collapse, predict, slices_of
from fastconv._solve import solve
from fastconv._workers import resolve

if TYPE_CHECKING:
    from typing import SupportsIndex

    from numpy.typing import ArrayLike

    Array = np.ndarray[Any, Any]

METHODS = {"auto": "fast", "direct": "direct", "fft": "fft"}
"""Methods of scipy's names, and what `_solve.solve` calls them."""

NOT_FINITE = (
    "Use of fft convolution on input with NAN or inf results in NAN or inf output. Consider "
    "using method='direct' instead."
)


def convolve(
    name: str,
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str,
    method: str,
    out: Array | None,
    workers: SupportsIndex | None,
) -> Any:
    """Convolve, or correlate if that is the name."""
    correlate = name == "correlate"
    if foreign(in1, in2):
        return _scipys(name, "arrays of other libraries", out, in1, in2, mode, method)
    a, b = np.asarray(in1), np.asarray(in2)
    if not is_numeric(a, b):
        return _scipys(name, _odd_dtype(a, b), out, a, b, mode, method)
    if a.ndim == b.ndim == 0:
        return _written(a * (b.conj() if correlate else b), out)
    if a.ndim != b.ndim:
        arrays = "in1 and in2" if correlate else "volume and kernel"
        raise ValueError(f"{arrays} should have the same dimensionality")
    if correlate:
        extent = _extent_by_name(mode)
        if method not in ("auto", "direct", "fft"):
            raise ValueError("Acceptable method flags are 'auto', 'direct', or 'fft'.")
        b = b[(slice(None, None, -1),) * b.ndim]
        if b.dtype.kind == "c":
            b = b.conj()
    a, b = _larger_first(mode, a, b, range(a.ndim))
    if not correlate:
        extent = _extent_by_method(mode, method)

    dtype = np.result_type(a, b)
    by_numpy = a.ndim == 1 and not (extent == SAME and a.size < b.size)
    if dtype.kind == "b" and method != "fft" and not by_numpy:
        raise ValueError("Unsupported type")
    if not (a.size and b.size):
        if extent != SAME or b.size == 0:
            raise ValueError(f"{'v' if a.size else 'a'} cannot be empty")
        return _written(np.empty(a.shape, dtype), out)
    job = job_of(a, b, extent, [])
    if method == "fft" and not (_is_finite(a) and _is_finite(b)):
        warnings.warn(NOT_FINITE, RuntimeWarning, stacklevel=3)
    return _computed(job, dtype, METHODS[method], out, workers)


def fftconvolve(
    name: str,
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str,
    axes: Any,
    out: Array | None,
    workers: SupportsIndex | None,
) -> Any:
    """Convolve along some axes, element by element along the others, in floating point."""
    if foreign(in1, in2):
        return _scipys(name, "arrays of other libraries", out, in1, in2, mode, axes)
    a, b = np.asarray(in1), np.asarray(in2)
    if not is_numeric(a, b):
        return _scipys(name, _odd_dtype(a, b), out, a, b, mode, axes)
    if a.ndim == b.ndim == 0:
        return _written(a * b, out)
    if a.ndim != b.ndim:
        raise ValueError("in1 and in2 should have the same dimensionality")
    if not (a.size and b.size):
        return _written(np.array([]), out)
    # Along an axis with a single element there is nothing to sum.
    summed = [i for i in _axes(axes, a.ndim) if a.shape[i] != 1 and b.shape[i] != 1]
    paired = [i for i in range(a.ndim) if i not in summed]
    if not all(a.shape[i] == b.shape[i] or 1 in (a.shape[i], b.shape[i]) for i in paired):
        raise ValueError(f"incompatible shapes for in1 and in2: {a.shape} and {b.shape}")
    a, b = _larger_first(mode, a, b, summed)
    extent = checked_extent(mode, "acceptable mode flags are 'valid', 'same', or 'full'")
    job = job_of(a, b, extent, paired)
    if not summed:
        parts = tuple(slice(s, s + n) for s, n in zip(job.start, job.shape, strict=True))
        return _written((a * b)[parts], out)
    dtype = np.result_type(_transformed(a.dtype), _transformed(b.dtype))
    return _computed(job, dtype, "fast", out, workers)


# --- checks --------------------------------------------------------------------------------------


def is_numeric(a: Array, b: Array) -> bool:
    return a.dtype.kind in "biufc" and b.dtype.kind in "biufc"


def _odd_dtype(a: Array, b: Array) -> str:
    return f"dtype {a.dtype if a.dtype.kind not in 'biufc' else b.dtype}"


def checked_extent(mode: Any, words: str) -> int:
    for name, extent in MODES.items():
        if mode == name:
            return extent
    raise ValueError(words)


def _extent_by_name(mode: Any) -> int:
    try:
        return MODES[mode]
    except KeyError:
        raise ValueError("Acceptable mode flags are 'valid', 'same', or 'full'.") from None


def _extent_by_method(mode: Any, method: Any) -> int:
    """Check the mode where `scipy.signal.convolve` does, which depends on the method."""
    if method == "auto":
        return checked_extent(
            mode, f"Acceptable mode flags are 'valid', 'same', or 'full', not mode={mode}"
        )
    if method == "fft":
        return checked_extent(mode, "acceptable mode flags are 'valid', 'same', or 'full'")
    if method != "direct":
        raise ValueError("Acceptable method flags are 'auto', 'direct', or 'fft'.")
    return _extent_by_name(mode)


def _larger_first(mode: Any, a: Array, b: Array, axes: Any) -> tuple[Array, Array]:
    """Exchange the operands if 'valid' mode needs it; convolution is commutative."""
    if mode != "valid":
        return a, b
    if all(a.shape[i] >= b.shape[i] for i in axes):
        return a, b
    if all(a.shape[i] <= b.shape[i] for i in axes):
        return b, a
    raise ValueError(
        "For 'valid' mode, one must be at least as large as the other in every dimension"
    )


def _axes(axes: Any, ndim: int) -> list[int]:
    if axes is None:
        return list(range(ndim))
    try:
        each: Any = (axes,) if isinstance(axes, Number) else axes
        given = [operator.index(i) for i in each]
    except TypeError:
        raise ValueError("axes must be a scalar or iterable of integers") from None
    given = [i + ndim if i < 0 else i for i in given]
    if any(not 0 <= i < ndim for i in given):
        raise ValueError("axes exceeds dimensionality of input")
    if len(set(given)) != len(given):
        raise ValueError("all axes must be unique")
    if not given:
        raise ValueError("when provided, axes cannot be empty")
    return given


# --- dtypes --------------------------------------------------------------------------------------


def _transformed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Dtype in which `scipy.fft` takes an operand."""
    if dtype.kind not in "fc":
        return np.dtype(np.float64)
    return np.result_type(dtype, np.float32) if dtype == np.float16 else dtype


# There is no arithmetic for these; a sum that is not zero is true.
COMPUTED_IN: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(bool): np.dtype(np.intp),
    np.dtype(np.float16): np.dtype(np.float32),
}


# --- the way to the result -----------------------------------------------------------------------


def job_of(a: Array, b: Array, extent: int, paired: Any) -> Job:
    """Describe what a mode asks for."""
    if extent == FULL and b.size > a.size:
        a, b = b, a
    start, shape = [], []
    for i, (n, m) in enumerate(zip(a.shape, b.shape, strict=True)):
        length = max(n, m) if i in paired else n + m - 1
        if extent == FULL:
            start.append(0)
            shape.append(length)
        elif extent == SAME:
            start.append((length - n) // 2)
            shape.append(n)
        else:
            start.append(0 if i in paired else min(n, m) - 1)
            shape.append(length if i in paired else abs(n - m) + 1)
    return Job(a, b, tuple(start), tuple(shape), tuple(i in paired for i in range(a.ndim)))


def _computed(
    job: Job,
    dtype: np.dtype[Any],
    method: str,
    out: Array | None,
    workers: SupportsIndex | None,
) -> Array:
    """Compute a job in arithmetic for `dtype`; write it to `out`, or a new array."""
    if out is not None:
        check_out(out, job.shape, dtype)
    word = COMPUTED_IN.get(dtype, dtype)
    # Promoted before any arithmetic.
    job = job._replace(a=real_where_it_can(job.a, word), b=real_where_it_can(job.b, word))
    own = out if word == dtype else None
    if len(job.shape) <= 2 and not any(job.paired):
        result = (_line if len(job.shape) == 1 else _plane)(job, word, method, own, workers)
    else:
        result = _space(job, word, method, own, resolve(workers))
    if word != dtype:
        with np.errstate(over="ignore"):
            result = result.astype(dtype)
    return result if result is out else _written(result, out)


def _plane(
    job: Job, dtype: np.dtype[Any], method: str, out: Array | None, workers: SupportsIndex | None
) -> Array:
    """Two dimensions are one problem."""
    a, b, (start_y, start_x), (h, w), _ = job
    swap = b.size > a.size and all_finite(a) and all_finite(b)
    problem = convolution(a, b, (start_y, start_x), (h, w), dtype, swap)
    return solve(problem, method, out, workers)


def _line(
    job: Job, dtype: np.dtype[Any], method: str, out: Array | None, workers: SupportsIndex | None
) -> Array:
    """One dimension is an image with one row, but for an Inf or a NaN at the ends."""
    a, b, (start,), (length,), _ = job
    if b.size > a.size:
        a, b = b, a
    result = np.empty(length, dtype) if out is None else out
    problem = convolution(a[None], b[None], (0, start), (1, length), dtype, swap=False)
    solve(problem, method, result[None], workers)
    # A tap that is not finite makes the first output the same, by way of the zeros around a.
    if b.size > 1 and dtype.kind in "fc" and not np.isfinite(result[0]) and not all_finite(b):
        _redo_ends(a, b, start, result)
    return result


def _redo_ends(a: Array, b: Array, start: int, result: Array) -> None:
    """Leave out what lies outside, as numpy.convolve does: there zero times Inf would be a NaN."""
    n, m, stop = a.size, b.size, start + result.size
    # Outputs before m - 1 and from n on, of n + m - 1, have less than m products.
    with np.errstate(all="ignore"):
        if start < m - 1:
            left = np.convolve(a[: m - 1], b[:-1])[start : min(m - 1, stop)]
            result[: left.size] = left
        if stop > n:
            right = np.convolve(a[1 - m :], b[1:])[m - 2 :]
            first = max(start, n)
            result[first - start :] = right[first - n : stop - n]


def _space(job: Job, dtype: np.dtype[Any], method: str, out: Array | None, workers: int) -> Array:
    """More dimensions, or axes along which nothing is convolved, are many problems."""
    if (
        out is None
        or not out.flags.c_contiguous
        or np.may_share_memory(out, job.a)
        or np.may_share_memory(out, job.b)
    ):
        out = np.empty(job.shape, dtype)
    if out.size:
        small = collapse(job)
        flat = out.reshape(small.shape)
        way, _ = _way(small, dtype, method)
        if way != "fftn" or not _fftn.convolve(small, dtype, flat, workers):
            by_slices(small, dtype, method, flat, workers)
    return out


def _way(job: Job, dtype: np.dtype[Any], method: str) -> tuple[str, str]:
    """Choose how to compute a collapsed job: by its shapes, its dtype, and whether it is finite."""
    if len(job.shape) <= 2 and not any(job.paired):
        return "plane", "it is one problem for the 2-D engines"
    summed = len(_fftn.convolved(job))
    if summed <= 2:
        return "slices", "a stack of problems for the 2-D engines"
    if method == "direct":
        return "slices", "the method is 'direct'"
    if not _fftn.available():
        return "slices", "SciPy, for its transform, is not installed"
    if not (all_finite(job.a) and all_finite(job.b)):
        return "slices", "there is an Inf or a NaN"
    if method == "fft":
        return "fftn", "the method is 'fft'"
    if _fftn.seconds(job, dtype) < predict(slices_of(job, dtype), method)[1]:
        return "fftn", "it is predicted to be faster than slices"
    return "slices", "they are predicted to be faster than a transform"


def _written(result: Any, out: Array | None) -> Any:
    """Return a result that there is already, in `out` if that is given."""
    if out is None:
        return result
    check_out(out, np.shape(result), np.asarray(result).dtype)
    out[...] = result
    return out


def _is_finite(a: Array) -> bool:
    """Tell for sure; large finite numbers may have a sum that is not."""
    return all_finite(a) or bool(np.isfinite(a).all())


def _scipys(name: str, reason: str, out: Array | None, *args: Any) -> Any:
    return _written(to_scipy(name, reason, *args), out)


# --- which way ----------------------------------------------------------------------------------


def route(
    name: str,
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    method: str = "auto",
    axes: Any = None,
) -> tuple[str, str]:
    """Tell which way a call of `name` takes, and why.

    'scipy', 'multiply', 'plane' (one 2-D problem), 'slices' (a sum or stack of them) or 'fftn'.
    For arguments that the function takes; integers that a transform might get wrong go from
    'fftn' to 'slices'.
    """
    a, b = np.asarray(in1), np.asarray(in2)
    if foreign(in1, in2) or not is_numeric(a, b):
        return "scipy", "there is no engine for these arrays"
    paired = []
    if name in ("fftconvolve", "oaconvolve"):
        method = "auto"
        summed = [i for i in _axes(axes, a.ndim) if a.shape[i] != 1 and b.shape[i] != 1]
        paired = [i for i in range(a.ndim) if i not in summed]
        dtype = np.result_type(_transformed(a.dtype), _transformed(b.dtype))
    else:
        dtype = np.result_type(a, b)
    if len(paired) == a.ndim or not (a.size and b.size):
        return "multiply", "there is nothing to sum"
    a, b = _larger_first(mode, a, b, [i for i in range(a.ndim) if i not in paired])
    job = collapse(job_of(a, b, MODES[mode], paired))
    dtype = COMPUTED_IN.get(dtype, dtype)
    way, why = _way(job, dtype, METHODS[method])
    if way == "fftn" and dtype.kind in "iu" and not _fftn.fits(job):
        return "slices", "rounding might not give the right integers"
    return way, why
