"""scipy.signal's convolutions and correlations, at the speed the processor allows.

A call goes through layers, each of which knows only those below:

    signal       the functions: signatures and documentation
    _nd, _images arguments in any dimension -> 2-D problems; scipy's checks and words
    _problem     arguments in two dimensions -> one canonical problem; scipy's checks and words
    _plan        problem -> engine, by measured costs; _explain and plans show and keep that
    _solve       problem -> result
    _dispatch    problem -> compiled module, by word and instruction set
    _direct      the sum, tile by tile, in registers (_direct.pyx, _tiles.pxd, _simd.h)

`patch` and its kin, which put the functions in the place of scipy's, are clients of the first
layer. They are imported when they are first used.
"""

from typing import TYPE_CHECKING, Any

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

_LATE = {"patch", "patched", "report", "unpatch"}
_LATE |= {"load_ipython_extension", "unload_ipython_extension"}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fastconv import _patch

    return getattr(_patch, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
