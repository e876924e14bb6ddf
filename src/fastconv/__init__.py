"""scipy.signal's convolutions and correlations, at the speed the processor allows.

The functions are scipy's, by name, argument and answer: `convolve2d`, `correlate2d`, `convolve`,
`correlate`, `fftconvolve`, `oaconvolve`, `sepfir2d`, `choose_conv_method`, `correlation_lags`.

>>> import numpy as np
>>> import fastconv
>>> fastconv.convolve2d(np.eye(3), np.ones((2, 2)), mode="same")
array([[1., 1., 0.],
       [1., 2., 1.],
       [0., 1., 2.]])

Besides these, `plan` makes a kernel ready for many images, `explain` tells how a call is computed,
`error_bound` how far off a result can be, `set_workers` sets the number of threads, and `patch`
puts the functions in the place of scipy's.
"""

from typing import TYPE_CHECKING, Any

from fastconv import _openmp  # noqa: F401 - before what uses OpenMP
from fastconv._config import __version__, show_config
from fastconv._error_bound import error_bound
from fastconv._explain import Explanation, explain
from fastconv._workers import get_workers, set_workers
from fastconv.plans import plan
from fastconv.signal import (
    choose_conv_method,
    convolve,
    convolve2d,
    correlate,
    correlate2d,
    correlation_lags,
    fftconvolve,
    oaconvolve,
    sepfir2d,
)

if TYPE_CHECKING:
    from fastconv._patch import patch, patched, report, unpatch

__all__ = [
    "Explanation",
    "__version__",
    "choose_conv_method",
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "correlation_lags",
    "error_bound",
    "explain",
    "fftconvolve",
    "get_workers",
    "oaconvolve",
    "patch",
    "patched",
    "plan",
    "report",
    "sepfir2d",
    "set_workers",
    "show_config",
    "unpatch",
]

# Imported when they are first used.
_LATE = {"patch", "patched", "report", "unpatch"}
_LATE |= {"load_ipython_extension", "unload_ipython_extension"}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fastconv import _patch

    return getattr(_patch, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
