"""From arguments to a convolution of two arrays of any dimension: scipy's checks, order and words.

Whatever the function, what is left is a `Job`: a part of the full convolution. A correlation is a
convolution with the second array reversed and conjugated. One and two dimensions are one problem
of the 2-D engines; more are a sum of such problems, or go through SciPy's transform.
"""

from __future__ import annotations

import operator
import sys
import warnings
from numbers import Number
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastconv import _fftn
from fastconv._fallback import foreign, to_scipy
from fastconv._parts import assign, conjugate, contiguous, copied, product
from fastconv._problem import (
    FULL,
    MODES,
    SAME,
    all_finite,
    check_out,
    convolution,
    real_where_it_can,
)
from fastconv._slices import (
    Job,
    Slices,
    by_slices,
    calls,
    collapse,
    is_small,
    predict,
    slices_of,
)
from fastconv._solve import compute, solve
from fastconv._workers import resolve

if TYPE_CHECKING:
    from typing import SupportsIndex

    from numpy.typing import ArrayLike

    from fastconv._problem import Problem

    Array = np.ndarray[Any, Any]

METHODS = {"auto": "fast", "direct": "direct", "fft": "fft"}
"""Methods of scipy's names, and what `_solve.solve` calls them."""

METHODLESS = ("fftconvolve", "oaconvolve")
"""Functions that have axes instead."""

FOREIGN = "arrays of other libraries"

NOT_FINITE = (
    "Use of fft convolution on input with NAN or inf results in NAN or inf output. Consider "
    "using method='direct' instead."
)


class Task(NamedTuple):
    """What a call is to compute."""

    job: Job
    dtype: np.dtype[Any]  # of the result
    method: str  # as `_solve.solve` calls it


class Product(NamedTuple):
    """A call that multiplies, element by element, and sums along no axis."""

    job: Job
    dtype: np.dtype[Any]

    def computed(self) -> Array:
        """Multiply."""
        job = self.job
        # NumPy's last bits may depend on the layout.
        a, b = (contiguous(_at_outputs(x, job), x.dtype) for x in (job.a, job.b))
        return product(a, b, job.shape)


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
    a, b, left = arrays(in1, in2)
    if left:
        return _written(to_scipy(name, left, a, b, mode, method), out)
    task = convolution_task(name, a, b, mode, method)
    if not isinstance(task, Task):
        resolve(workers)
        return _written(task, out)
    if method == "fft" and not (all_finite(a) and all_finite(b)):
        warnings.warn(NOT_FINITE, RuntimeWarning, stacklevel=_stack_level())
    return computed(task, out, workers)


def _stack_level() -> int:
    """Where warnings point to: the first frame above that is not of this package."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("fastconv."):
        frame, level = frame.f_back, level + 1
    return level


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
    a, b, left = arrays(in1, in2)
    if left:
        return _written(to_scipy(name, left, a, b, mode, axes), out)
    task = float_task(a, b, mode, axes)
    if not isinstance(task, Task):
        resolve(workers)
        return _written(multiplied(task), out)
    return computed(task, out, workers)


def arrays(in1: Any, in2: Any) -> tuple[Any, Any, str]:
    """Return the inputs as arrays, and why they are left to scipy, if they are."""
    if foreign(in1, in2):
        return in1, in2, FOREIGN
    a, b = np.asarray(in1), np.asarray(in2)
    for array in (a, b):
        if array.dtype.kind not in "biufc":
            return a, b, f"dtype {array.dtype}"
    return a, b, ""


def task_of(name: str, a: Array, b: Array, mode: str, method: str, axes: Any) -> Any:
    """Make the arguments of one of the functions a task or product, or return the result."""
    if name in METHODLESS:
        return float_task(a, b, mode, axes)
    return convolution_task(name, a, b, mode, method)


def result_of(task: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of what `task_of` returned the result of, or will have."""
    if isinstance(task, Task | Product):
        return task.job.shape, task.dtype
    result = np.asarray(task)
    return result.shape, result.dtype


def multiplied(task: Any) -> Any:
    """Return the result of what `task_of` made no task."""
    return task.computed() if isinstance(task, Product) else task


def convolution_task(name: str, a: Array, b: Array, mode: str, method: str) -> Any:
    """Make the arguments of `convolve` or `correlate` a task; return the result if it is there."""
    correlate = name == "correlate"
    if a.ndim == b.ndim == 0:
        return a * (b.conj() if correlate else b)
    if a.ndim != b.ndim:
        inputs = "in1 and in2" if correlate else "volume and kernel"
        raise ValueError(f"{inputs} should have the same dimensionality")
    if correlate:
        extent = _extent_by_name(mode)
        if method not in ("auto", "direct", "fft"):
            raise ValueError("Acceptable method flags are 'auto', 'direct', or 'fft'.")
        b = b[(slice(None, None, -1),) * b.ndim]
        b = conjugate(b)
    a, b = _larger_first(mode, a, b, range(a.ndim))
    if not correlate:
        extent = _extent_by_method(mode, method)

    dtype = a.dtype if a.dtype is b.dtype and a.dtype.isnative else np.result_type(a, b)
    if (
        dtype.kind == "b"
        and method != "fft"
        and (a.ndim > 1 or (extent == SAME and a.size < b.size))
    ):
        raise ValueError("Unsupported type")
    if not (a.size and b.size):
        if extent != SAME or b.size == 0:
            raise ValueError(f"{'v' if a.size else 'a'} cannot be empty")
        return np.empty(a.shape, dtype)
    return Task(job_of(a, b, extent, []), dtype, METHODS[method])


def float_task(a: Array, b: Array, mode: str, axes: Any) -> Any:
    """Make the arguments of `fftconvolve` a task or product, or return the result."""
    if a.ndim == b.ndim == 0:
        return a * b
    if a.ndim != b.ndim:
        raise ValueError("in1 and in2 should have the same dimensionality")
    if not (a.size and b.size):
        return np.array([])
    # Along an axis with a single element there is nothing to sum.
    summed = [i for i in _axes(axes, a.ndim) if a.shape[i] != 1 and b.shape[i] != 1]
    paired = [i for i in range(a.ndim) if i not in summed]
    if not all(a.shape[i] == b.shape[i] or 1 in (a.shape[i], b.shape[i]) for i in paired):
        raise ValueError(f"incompatible shapes for in1 and in2: {a.shape} and {b.shape}")
    a, b = _larger_first(mode, a, b, summed)
    extent = checked_extent(mode, "acceptable mode flags are 'valid', 'same', or 'full'")
    job = job_of(a, b, extent, paired)
    if not summed:
        return Product(job, np.result_type(a, b))
    dtype = a.dtype
    if dtype is not b.dtype or dtype not in TRANSFORMED:
        dtype = np.result_type(_transformed(a.dtype), _transformed(b.dtype))
    return Task(job, dtype, "fast")


def _at_outputs(x: Array, job: Job) -> Array:
    """Elements that outputs of a job are products of, where nothing is summed."""
    ends = zip(x.shape, job.start, job.shape, strict=True)
    return x[tuple(slice(None) if n == 1 else slice(s, s + m) for n, s, m in ends)]


# --- checks --------------------------------------------------------------------------------------


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


TRANSFORMED = frozenset(map(np.dtype, "fdgFDG"))


def _transformed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Dtype in which `scipy.fft` takes an operand."""
    if dtype.kind not in "fc":
        return np.dtype(np.float64)
    return np.result_type(dtype, np.float32) if dtype.char == "e" else dtype


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
    sizes = list(zip(a.shape, b.shape, strict=True))
    if not paired:
        if extent == FULL:
            shape = tuple([n + m - 1 for n, m in sizes])
            return Job(a, b, (0,) * a.ndim, shape, (False,) * a.ndim)
        if extent == SAME:
            return Job(a, b, tuple([(m - 1) // 2 for _, m in sizes]), a.shape, (False,) * a.ndim)
    start, lengths = [], []
    for i, (n, m) in enumerate(sizes):
        length = max(n, m) if i in paired else n + m - 1
        if extent == FULL:
            start.append(0)
            lengths.append(length)
        elif extent == SAME:
            start.append((length - n) // 2)
            lengths.append(n)
        else:
            start.append(0 if i in paired else min(n, m) - 1)
            lengths.append(length if i in paired else abs(n - m) + 1)
    return Job(a, b, tuple(start), tuple(lengths), tuple(i in paired for i in range(a.ndim)))


def promoted(task: Task) -> tuple[Job, np.dtype[Any]]:
    """Return the job with its arrays converted, before any arithmetic, and the dtype of that."""
    job, dtype, _ = task
    word = COMPUTED_IN.get(dtype, dtype)
    if job.a.dtype is word and job.b.dtype is word and word.kind != "c":
        return job, word
    a, b = real_where_it_can(job.a, word), real_where_it_can(job.b, word)
    return job._replace(a=a, b=b), word


def computed(task: Task, out: Array | None, workers: SupportsIndex | None) -> Array:
    """Compute a task; write it to `out`, or a new array."""
    dtype, method = task.dtype, task.method
    if out is not None:
        check_out(out, task.job.shape, dtype)
    job, word = promoted(task)
    own = np.asarray(out) if out is not None and word == dtype else None
    if is_plane(job, word, method):
        result = (_line if len(job.shape) == 1 else _plane)(job, word, method, own, workers)
    else:
        result = _space(job, word, method, resolve(workers))
    if word != dtype:
        with np.errstate(over="ignore", under="ignore"):
            result = copied(result, dtype)
    return out if out is not None and result is own else _written(result, out)


def is_plane(job: Job, dtype: np.dtype[Any], method: str) -> bool:
    """Whether a job is one problem of the 2-D engines."""
    if len(job.shape) > 2 or any(job.paired):
        return False
    return dtype.char not in "gG" or way_of(collapse(job), dtype, method).slices is not None


def plane_problem(job: Job, dtype: np.dtype[Any]) -> Problem:
    """Make one or two dimensions one problem."""
    a, b, start, shape, _ = job
    if len(shape) == 2:
        swap = b.size > a.size and all_finite(a) and all_finite(b)
        return convolution(a, b, (start[0], start[1]), (shape[0], shape[1]), dtype, swap)
    if b.size > a.size:
        a, b = b, a
    return convolution(a[None], b[None], (0, start[0]), (1, shape[0]), dtype, swap=False)


def _plane(
    job: Job, dtype: np.dtype[Any], method: str, out: Array | None, workers: SupportsIndex | None
) -> Array:
    """Two dimensions are one problem."""
    return solve(plane_problem(job, dtype), method, out, workers)


def _line(
    job: Job, dtype: np.dtype[Any], method: str, out: Array | None, workers: SupportsIndex | None
) -> Array:
    """One dimension is an image with one row, but for an Inf or a NaN at the ends."""
    problem = plane_problem(job, dtype)
    if out is not None and (dtype.kind in "iu" or all_finite(problem.kernel)):
        solve(problem, method, out[None], workers)
        return out
    result, n_threads = np.empty(job.shape, dtype), resolve(workers)
    compute(problem, method, result[None], n_threads)
    # A tap that is not finite makes the first output the same, by way of the zeros around.
    if dtype.kind in "fc" and not np.isfinite(result[0]):
        a, b = problem.image[0], problem.kernel[0]
        if b.size > 1 and not all_finite(b):
            _redo_ends(a, b, job.start[0], result, n_threads)
    return result


def _redo_ends(a: Array, b: Array, start: int, result: Array, workers: int) -> None:
    """Leave out what lies outside, as numpy.convolve does: there zero times Inf would be a NaN."""
    n, m, stop = a.size, b.size, start + result.size
    # Outputs before m - 1 and from n on, of n + m - 1, have less than m products.
    if start < m - 1:
        left = _first_outputs(a[: m - 1], b[:-1], result.dtype, workers)[start:stop]
        result[: left.size] = left
    if stop > n:
        # Seen from the other end they are the first.
        right = _first_outputs(a[::-1][: m - 1], b[::-1][:-1], result.dtype, workers)[::-1]
        first = max(start, n)
        result[first - start :] = right[first - n : stop - n]


FEW = 512


def _first_outputs(a: Array, b: Array, dtype: np.dtype[Any], workers: int) -> Array:
    """As many outputs of a full convolution as each of its inputs has elements.

    Each half of a has first outputs with as much of b, and the first half also outputs that have
    all of it, and are an engine's.
    """
    n, half = a.size, a.size // 2
    if n <= FEW:
        with np.errstate(all="ignore"):
            return _convolved(a, b, dtype)[:n]
    result = np.empty(n, dtype)
    result[:half] = _first_outputs(a[:half], b[:half], dtype, workers)
    image, kernel, place = b[np.newaxis, 1:], a[np.newaxis, :half], (0, half - 1)
    inner = convolution(image, kernel, place, (1, n - half), dtype, swap=False)
    compute(inner, "direct", result[np.newaxis, half:], workers)
    with np.errstate(all="ignore"):
        result[half:] += _first_outputs(a[half:], b[: n - half], dtype, workers)
    return result


def _convolved(a: Array, b: Array, dtype: np.dtype[Any]) -> Array:
    """Convolve in NumPy's arithmetic, but for the product of complex Infs, which is BLAS's."""
    if dtype.kind != "c":
        return np.convolve(a, b)
    y = np.empty(a.size + b.size - 1, dtype)
    y.real = np.convolve(a.real, b.real) - np.convolve(a.imag, b.imag)
    y.imag = np.convolve(a.real, b.imag) + np.convolve(a.imag, b.real)
    return y


def _space(job: Job, dtype: np.dtype[Any], method: str, workers: int) -> Array:
    """More dimensions, or axes along which nothing is convolved, are many problems."""
    result = np.empty(job.shape, dtype)
    small = collapse(job)
    flat = result.reshape(small.shape)
    way = way_of(small, dtype, method)
    if way.slices is not None:
        by_slices(way.slices, method, flat, workers)
    else:
        _fftn.convolve(small, dtype, flat, workers)
    return result


FEW_CALLS = 8
"""Calls of the engines that transform better than SciPy, in one and two dimensions."""


class Way(NamedTuple):
    """How a job of many dimensions is computed, and why: by slices, or a transform by SciPy."""

    slices: Slices | None
    why: str


def way_of(job: Job, dtype: np.dtype[Any], method: str) -> Way:
    """Choose how to compute a collapsed job: by its shapes, its dtype, and whether it is finite."""
    slices = slices_of(job, dtype)
    axes = len(_fftn.convolved(job))
    if axes == 0:
        return Way(slices, "nothing is summed")
    if axes <= 2 and calls(slices) <= FEW_CALLS and dtype.char not in "gG":
        return Way(slices, "no more than two axes are summed along")
    if method == "direct":
        return Way(slices, "the method is 'direct'")
    if method != "fft" and is_small(slices):
        return Way(slices, "it is too small to look for anything faster")
    if not _fftn.available():
        return Way(slices, "SciPy, for its Fourier transform, is not installed")
    if not (all_finite(job.a) and all_finite(job.b)):
        return Way(slices, "there is an Inf or a NaN, which a transform would spread")
    if dtype.kind in "iu" and not _fftn.fits(job):
        return Way(slices, "the integers may be too large to come out exact of a transform")
    if method == "fft" and (axes > 2 or dtype.char in "gG"):
        return Way(None, "the method is 'fft'")
    by_slices, by_transform = predict(slices, method)[1], _fftn.seconds(job, dtype)
    if by_transform < by_slices:
        return Way(None, f"sums of 2-D slices take {by_slices / by_transform:.1f} times as long")
    return Way(slices, f"it takes {by_transform / by_slices:.1f} times as long")


def _written(result: Any, out: Array | None) -> Any:
    """Return a result that there is already, in `out` if that is given."""
    if out is None:
        return result
    check_out(out, np.shape(result), np.asarray(result).dtype)
    assign(np.asarray(out), np.asarray(result))
    return out
