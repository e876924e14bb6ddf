"""From a problem to its result: where it is written, and by which engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv._dispatch import run
from fastconv._problem import Problem, all_finite
from fastconv._workers import resolve

if TYPE_CHECKING:
    from typing import SupportsIndex

    Array = np.ndarray[Any, Any]

METHODS = ("auto", "direct", "separable", "fft", "fast")


def solve(problem: Problem, method: str, out: Array | None, workers: SupportsIndex | None) -> Array:
    if method not in METHODS:
        raise ValueError("Acceptable method flags are 'auto' or 'direct'.")
    n_threads = resolve(workers)
    if out is None:
        result = np.empty(problem.shape, problem.dtype)
    else:
        _check_out(out, problem)
        overlap = np.may_share_memory(out, problem.image) or np.may_share_memory(
            out, problem.kernel
        )
        result = np.empty(problem.shape, problem.dtype) if overlap else out
    if not result.size:
        pass
    elif not problem.kernel.size:
        result[...] = 0
    else:
        run(problem, result, n_threads)
        if problem.dtype.kind == "c":
            _complete(problem, result, n_threads)
    if out is None:
        return result
    if result is not out:
        out[...] = result
    return out


def _check_out(out: object, problem: Problem) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy.ndarray, not {type(out).__name__}")
    if out.dtype != problem.dtype:
        raise TypeError(f"out has dtype {out.dtype}, the result {problem.dtype}")
    if out.shape != problem.shape:
        raise ValueError(f"out has shape {out.shape}, the result {problem.shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")


def _complete(problem: Problem, out: Array, n_threads: int) -> None:
    """Account for imaginary parts that were left out of a complex problem.

    They cost no work, but zero times Inf is NaN: where the result is not finite, the sum is done
    again as it is defined.
    """
    image, kernel = problem.image, problem.kernel
    if image.dtype.kind == "c" and kernel.dtype.kind == "c":
        return
    if image.dtype.kind == kernel.dtype.kind:
        out.imag = 0
    if not all_finite(out):
        promoted = problem._replace(image=image.astype(out.dtype), kernel=kernel.astype(out.dtype))
        run(promoted, out, n_threads)
