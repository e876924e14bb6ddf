"""Questions about a convolution: which method is faster, and which lags a correlation has."""

from __future__ import annotations

import timeit
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import _fftn
from fastconv._fallback import to_scipy
from fastconv._nd import FOREIGN, Task, arrays, checked_extent, job_of, promoted
from fastconv._slices import collapse, predict, slices_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from fastconv._slices import Job

    Array = np.ndarray[Any, Any]


def choose_conv_method(
    in1: ArrayLike, in2: ArrayLike, mode: str, measure: bool, call: Callable[..., Any]
) -> Any:
    """Predict, or measure with `call`, which of 'direct' and 'fft' is the faster."""
    a, b, left = arrays(in1, in2)
    if left == FOREIGN:
        return to_scipy("choose_conv_method", left, a, b, mode, measure)
    if measure:
        times = {
            method: _seconds(partial(call, a, b, mode=mode, method=method))
            for method in ("fft", "direct")
        }
        return ("fft" if times["fft"] < times["direct"] else "direct"), times
    if left or a.dtype.kind == b.dtype.kind == "b":
        return "direct"
    words = f"Acceptable mode flags are 'valid', 'same', or 'full', not mode={mode}"
    extent = checked_extent(mode, words)
    if a.ndim != b.ndim or a.ndim == 0 or not (a.size and b.size):
        return "direct"
    job, dtype = promoted(Task(job_of(a, b, extent, []), np.result_type(a, b), "fast"))
    return "fft" if _fft_is_faster(collapse(job), dtype) else "direct"


def _fft_is_faster(job: Job, dtype: np.dtype[Any]) -> bool:
    """Whether `convolve` is predicted to take less time by method 'fft' than by 'direct'."""
    if dtype.kind in "iu" and not _fftn.fits(job):
        return False
    slices = slices_of(job, dtype)
    direct = predict(slices, "direct")[1]
    axes = len(_fftn.convolved(job))
    if axes > 2 or (axes and dtype.char in "gG"):
        return _fftn.available() and _fftn.seconds(job, dtype) < direct
    plan, seconds = predict(slices, "fft")
    return bool(plan.word) and seconds < direct


def _seconds(call: Callable[[], Any]) -> float:
    """Seconds that a call takes: one run if that is slow, the best of three of 5 ms if not."""
    timer = timeit.Timer(call)
    number, seconds = 1, timer.timeit(1)
    while seconds < 5e-4 and number < 10**6:
        number *= 10
        seconds = timer.timeit(number)
    if seconds > 1:
        return seconds / number
    return min(timer.repeat(3, 10 * number)) / (10 * number)


def correlation_lags(in1_len: Any, in2_len: Any, mode: str) -> Array:
    """Tell which lag each element of a correlation of two 1-D arrays has."""
    # NumPy's integers may be too short for the sum.
    in1_len, in2_len = (int(n) if isinstance(n, np.integer) else n for n in (in1_len, in2_len))
    if mode == "full":
        return _range(-in2_len + 1, in1_len)
    if mode == "same":
        full = _range(-in2_len + 1, in1_len)
        first = max(0, (full.size - in1_len) // 2)  # as `job_of` has it
        return full[first : first + in1_len]
    if mode == "valid":
        last = in1_len - in2_len
        return _range(0, last + 1) if last >= 0 else _range(last, 1)
    raise ValueError(f"Mode {mode} is invalid")


def _range(start: Any, stop: Any) -> Array:
    """Return all integers from start on; numpy.arange has none where their size overflows."""
    result = np.arange(start, stop)
    if result.size < stop - start:
        raise ValueError("Maximum allowed size exceeded")
    return result
