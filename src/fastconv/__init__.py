"""scipy.signal's convolutions and correlations, at the speed the processor allows.

A call goes through layers, each of which knows only those below:

    signal       the functions: signatures and documentation
    _nd, _images arguments in any dimension -> 2-D problems; scipy's checks and words
    _problem     arguments in two dimensions -> one canonical problem; scipy's checks and words
    _solve       problem -> result
    _dispatch    problem -> compiled module, by word and instruction set
    _direct      the sum, tile by tile, in registers (_direct.pyx, _tiles.pxd, _simd.h)
"""

from fastconv._config import __version__, show_config
from fastconv._workers import get_workers, set_workers
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

__all__ = [
    "__version__",
    "choose_conv_method",
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "correlation_lags",
    "fftconvolve",
    "get_workers",
    "oaconvolve",
    "sepfir2d",
    "set_workers",
    "show_config",
]
