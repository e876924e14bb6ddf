"""scipy.signal's 2-D convolution and correlation, at the speed the processor allows.

A call goes through four layers, each of which knows only the next:

    signal       the functions: signatures, documentation, out
    _problem     arguments -> one canonical problem; scipy's checks and words
    _dispatch    problem -> compiled module, by word and instruction set
    _direct      the sum, tile by tile, in registers (_direct.pyx, _tiles.pxd, _simd.h)
"""

from fastconv._config import __version__, show_config
from fastconv._workers import get_workers, set_workers
from fastconv.signal import convolve2d, correlate2d

__all__ = [
    "__version__",
    "convolve2d",
    "correlate2d",
    "get_workers",
    "set_workers",
    "show_config",
]
