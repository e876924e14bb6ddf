"""
The peers: other packages doing the same work, each called as its users call it.

`calls` gives, for every installed peer that can do a problem, a function of no arguments that
returns what fastconv's convolution returns, with zeros around the image. What can be prepared
once (a flipped kernel, the factors of one, a tensor) is prepared outside the timed function.

Each peer is a row of `PEERS` with the accuracy it has: 'direct' where the error of every output is
bounded by its own sum, 'fft' where a transform spreads it over a block or the whole image. Only
like is compared with like. fastconv's own engines, forced one by one, are rows of `ENGINES`.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from common import Array, Call
from problems import Problem, factors_of

import fastconv

Maker = Callable[[Problem], Call | None]


def _optional(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None


signal = import_module("scipy.signal")
ndimage = import_module("scipy.ndimage")
scipy_fft = import_module("scipy.fft")
cv2 = _optional("cv2")
ducc0 = _optional("ducc0")
torch = _optional("torch")

# From this number of taps on, OpenCV's filter2D goes through a DFT (in float64 throughout).
OPENCV_DFT = {"f": 130, "d": 50}


def _flipped(kernel: Array) -> Array:
    return np.ascontiguousarray(kernel[::-1, ::-1])


def _image_filter(problem: Problem) -> bool:
    """Whether packages that filter images, and so know 'same' only, can do it."""
    return problem.image.ndim == 2 and problem.mode == "same"


def _numpy_convolve(problem: Problem) -> Call | None:
    if problem.image.ndim != 1:
        return None
    return lambda: np.convolve(problem.image, problem.kernel, problem.mode)  # type: ignore[call-overload]


def _scipy_signal(problem: Problem) -> Call | None:
    if problem.image.ndim != 2:
        return None
    return lambda: signal.convolve2d(problem.image, problem.kernel, problem.mode)


def _scipy_fft(problem: Problem, function: Callable[..., Array]) -> Call | None:
    if problem.image.dtype.kind not in "fc":  # on integers it returns floats
        return None

    def call() -> Array:
        with scipy_fft.set_workers(problem.threads):
            return function(problem.image, problem.kernel, problem.mode)

    return call


def _scipy_ndimage(problem: Problem) -> Call | None:
    if not _image_filter(problem):
        return None
    flipped = _flipped(problem.kernel)
    return lambda: ndimage.correlate(problem.image, flipped, mode="constant")


def _scipy_ndimage_1d(problem: Problem) -> Call | None:
    factors = factors_of(problem.kernel) if _image_filter(problem) else None
    if factors is None:
        return None
    column, row = (factor[::-1] for factor in factors)
    along = partial(ndimage.correlate1d, mode="constant")
    return lambda: along(along(problem.image, row, 1), column, 0)


def _opencv(problem: Problem, accuracy: str) -> Call | None:
    image, kernel = problem.image, problem.kernel
    # filter2D correlates, and saturates integers where the others wrap around.
    if not _image_filter(problem) or image.dtype.char not in OPENCV_DFT:
        return None
    if accuracy != ("fft" if kernel.size >= OPENCV_DFT[image.dtype.char] else "direct"):
        return None
    flipped = _flipped(kernel)
    return lambda: cv2.filter2D(image, -1, flipped, borderType=cv2.BORDER_CONSTANT)


def _opencv_separable(problem: Problem) -> Call | None:
    factors = factors_of(problem.kernel) if _image_filter(problem) else None
    if factors is None or problem.image.dtype.char not in OPENCV_DFT:
        return None
    column, row = (np.ascontiguousarray(factor[::-1]) for factor in factors)
    border = cv2.BORDER_CONSTANT
    return lambda: cv2.sepFilter2D(problem.image, -1, row, column, borderType=border)


def _torch(problem: Problem) -> Call | None:
    odd = all(size % 2 for size in problem.kernel.shape)
    if not _image_filter(problem) or problem.image.dtype.kind not in "fc" or not odd:
        return None
    tensor = torch.from_numpy(problem.image)[None, None]
    weight = torch.from_numpy(_flipped(problem.kernel))[None, None]
    padding = tuple(size // 2 for size in problem.kernel.shape)
    conv2d = torch.nn.functional.conv2d

    def call() -> object:
        with torch.inference_mode():
            return conv2d(tensor, weight, padding=padding)[0, 0].numpy()

    return call


def ours(problem: Problem, method: str = "auto") -> Callable[[], Array]:
    """Return fastconv's call: convolve2d for images, convolve for signals."""
    function = fastconv.convolve2d if problem.image.ndim == 2 else fastconv.convolve
    return partial(
        function,
        problem.image,
        problem.kernel,
        problem.mode,
        method=method,
        workers=problem.threads,
    )


@dataclass(frozen=True)
class Peer:
    """A function to compare with, and the class of its error bound: 'direct' or 'fft'."""

    name: str
    accuracy: str
    make: Maker


PEERS = [
    Peer("numpy.convolve", "direct", _numpy_convolve),
    Peer("scipy.signal", "direct", _scipy_signal),
    Peer("scipy.ndimage", "direct", _scipy_ndimage),
    Peer("scipy.ndimage.1d", "direct", _scipy_ndimage_1d),
    Peer("scipy.fftconvolve", "fft", partial(_scipy_fft, function=signal.fftconvolve)),
    Peer("scipy.oaconvolve", "fft", partial(_scipy_fft, function=signal.oaconvolve)),
]
if cv2 is not None:
    PEERS += [
        Peer("opencv", "direct", partial(_opencv, accuracy="direct")),
        Peer("opencv.sepFilter2D", "direct", _opencv_separable),
        Peer("opencv.dft", "fft", partial(_opencv, accuracy="fft")),
    ]
if ducc0 is not None:
    ducc = import_module("ducc")
    PEERS.append(Peer("ducc0.whole", "fft", ducc.whole))
    # Which tile is the best depends on kernel, dtype and threads: all of them are tried.
    PEERS += [
        Peer(f"ducc0.tiles{side}", "fft", partial(ducc.tiles, side=side))
        for side in (384, 640, 1024, 1536)
    ]
if torch is not None:
    PEERS.append(Peer("torch", "direct", _torch))

ENGINES = [
    Peer("fastconv.direct", "direct", partial(ours, method="direct")),
    Peer("fastconv.separable", "direct", partial(ours, method="separable")),
    # A transform whose outputs are proved to keep the direct sum's bound, or summed again.
    Peer("fastconv.certified", "direct", partial(ours, method="certified")),
    Peer("fastconv.fft", "fft", partial(ours, method="fft")),
]


def names(accuracy: str) -> list[str]:
    """Names of the peers of one accuracy."""
    return [peer.name for peer in PEERS if peer.accuracy == accuracy]


def set_threads(threads: int) -> None:
    """Give every peer whose threads are a global setting this many."""
    if cv2 is not None:
        cv2.setNumThreads(threads)
    if torch is not None:
        torch.set_num_threads(threads)


def versions() -> dict[str, str]:
    """Versions of what is compared."""
    modules = (fastconv, np, import_module("scipy"), cv2, ducc0, torch)
    return {module.__name__: module.__version__ for module in modules if module is not None}


def calls(problem: Problem, only: Container[str], method: str = "auto") -> dict[str, Call]:
    """Return fastconv, and every peer and engine named in `only` that can do this problem."""
    set_threads(problem.threads)
    found: dict[str, Call] = {"fastconv": ours(problem, method)}
    for peer in PEERS + ENGINES:
        call = peer.make(problem) if peer.name in only else None
        if call is not None:
            found[peer.name] = call
    return found
