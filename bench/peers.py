"""
The peers: other packages doing the same work, each called as its users call it.

`calls` gives, for every installed peer that can do a problem, a function of no arguments that
returns what ``convolve2d(image, kernel, 'same')`` returns, with zeros around the image. What can be
prepared once (a flipped kernel, a tensor) is prepared outside the timed function.
Kernels have odd sizes here: with even ones the packages differ in where 'same' starts.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from common import Array, Call

import fastconv

Maker = Callable[[Array, Array], Call | None]


def _optional(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None


signal = import_module("scipy.signal")
ndimage = import_module("scipy.ndimage")
cv2 = _optional("cv2")
torch = _optional("torch")


def _scipy_signal(image: Array, kernel: Array) -> Call | None:
    return lambda: signal.convolve2d(image, kernel, "same")


def _scipy_oaconvolve(image: Array, kernel: Array) -> Call | None:
    # Fourier transforms of blocks: a normwise error bound only, so a peer for speed, not for
    # accuracy. On integers it returns floats.
    if image.dtype.kind not in "fc":
        return None
    return lambda: signal.oaconvolve(image, kernel, "same")


def _scipy_ndimage(image: Array, kernel: Array) -> Call | None:
    flipped = np.ascontiguousarray(kernel[::-1, ::-1])
    return lambda: ndimage.correlate(image, flipped, mode="constant")


def _opencv(image: Array, kernel: Array) -> Call | None:
    # filter2D correlates, and saturates integers where the others wrap around.
    if image.dtype not in ("f4", "f8"):
        return None
    flipped = np.ascontiguousarray(kernel[::-1, ::-1])
    return lambda: cv2.filter2D(image, -1, flipped, borderType=cv2.BORDER_CONSTANT)


def _torch(image: Array, kernel: Array) -> Call | None:
    if image.dtype.kind not in "fc":
        return None
    tensor = torch.from_numpy(image)[None, None]
    weight = torch.from_numpy(np.ascontiguousarray(kernel[::-1, ::-1]))[None, None]
    padding = tuple(size // 2 for size in kernel.shape)
    conv2d = torch.nn.functional.conv2d

    def call() -> object:
        with torch.inference_mode():
            return conv2d(tensor, weight, padding=padding)[0, 0].numpy()

    return call


@dataclass(frozen=True)
class Peer:
    """A function of another package."""

    name: str
    make: Maker


PEERS = [
    Peer("scipy.signal", _scipy_signal),
    Peer("scipy.oaconvolve", _scipy_oaconvolve),
    Peer("scipy.ndimage", _scipy_ndimage),
]
if cv2 is not None:
    PEERS.append(Peer("opencv", _opencv))
if torch is not None:
    PEERS.append(Peer("torch", _torch))


def set_threads(threads: int) -> None:
    """Give every threaded peer this many threads."""
    if cv2 is not None:
        cv2.setNumThreads(threads)
    if torch is not None:
        torch.set_num_threads(threads)


def versions() -> dict[str, str]:
    """Versions of what is compared."""
    modules = (fastconv, np, import_module("scipy"), cv2, torch)
    return {module.__name__: module.__version__ for module in modules if module is not None}


def calls(image: Array, kernel: Array, threads: int, only: Container[str]) -> dict[str, Call]:
    """Return fastconv and every installed peer named in `only` that can do this problem."""
    set_threads(threads)
    found: dict[str, Call] = {
        "fastconv": lambda: fastconv.convolve2d(image, kernel, "same", workers=threads)
    }
    for peer in PEERS:
        call = peer.make(image, kernel) if peer.name in only else None
        if call is not None:
            found[peer.name] = call
    return found
