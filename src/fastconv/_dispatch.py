"""The compiled modules: which one runs a problem, and with which instructions.

The only importer of engines. A module of a level above the processor's must not even be imported,
for its very initialisation runs instructions of that level.
"""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from operator import attrgetter, methodcaller
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import _runtime
from fastconv._parts import pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from fastconv._problem import Problem

    Array = np.ndarray[Any, Any]

BUILT: tuple[str, ...] = _runtime.BUILD["levels"]
"""Instruction-set levels of this build, lowest first."""


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_runtime.before_fork, after_in_child=_runtime.after_fork)


def _choose_level() -> str:
    usable = BUILT[: BUILT.index(_runtime.level()) + 1] if _runtime.level() in BUILT else BUILT
    forced = os.environ.get("FASTCONV_ISA")
    if forced is None:
        return usable[-1]
    if forced not in BUILT:
        raise ImportError(f"FASTCONV_ISA={forced}: this build of fastconv has {', '.join(BUILT)}")
    if forced not in usable:
        raise ImportError(f"FASTCONV_ISA={forced}: this processor runs {', '.join(usable)}")
    return forced


LEVEL = _choose_level()
"""The level that is used."""


# dtype.char: the word of its engine, and the view of an array as words of that kind, if it is
# not one already. Complex arrays are handed over as their real parts: the imaginary part is the
# next word. NumPy lends no long double whose dtype names the byte order, as those of files do.
_WORDS: dict[str, tuple[str, Callable[[Array], Array] | None]] = {
    "f": ("f32", None),
    "d": ("f64", None),
    "g": ("ld", methodcaller("view", np.dtype("g"))),
    "F": ("f32", attrgetter("real")),
    "D": ("f64", attrgetter("real")),
    "G": ("ld", lambda a: a.real.view(np.dtype("g"))),
}
for _char in "bBhHiIlLqQ":
    _bits = 8 * np.dtype(_char).itemsize
    _WORDS[_char] = (f"u{_bits}", methodcaller("view", np.dtype(f"u{_bits // 8}")))

FOURIER_WORDS = ("f32", "f64")

SUPPORTED = frozenset(_WORDS)
"""Type codes of the results that there is an engine for."""

PLAIN = frozenset(np.dtype(char) for char in _WORDS if char not in "FDG")
"""Native dtypes of real numbers: arrays of them need no conversion, nor a look at their parts."""


@cache
def engine_for(engine: str, word: str) -> ModuleType:
    """Return the compiled module of an engine that computes with `word` at the level in use."""
    # long double has no vectors, so one level serves.
    level = "baseline" if word == "ld" else LEVEL
    return import_module(f"fastconv._{engine}_{word}_{level}")


# All at once, which takes two milliseconds: a module takes the first OpenMP runtime that it finds,
# and PyTorch, if it is imported later, brings one that would be found before that of a wheel. Then
# what `_runtime` does about threads and forks would be done to another runtime.
for _word in sorted({word for word, _ in _WORDS.values()}):
    engine_for("direct", _word)
for _word in FOURIER_WORDS:
    engine_for("fft", _word)


def word_of(dtype: np.dtype[Any]) -> str:
    """Return the word that the direct engine computes a result of this dtype in."""
    return _WORDS[dtype.char][0]


_engines: dict[np.dtype[Any], tuple[Callable[..., Any], Callable[[Array], Array] | None]] = {}


def _offsets(stack: Array) -> Array:
    """Bytes from the first image of a stack to each, in C order of its leading axes."""
    if stack.ndim == 3:
        return stack.strides[0] * np.arange(stack.shape[0], dtype=np.intp)
    offsets = np.zeros((), np.intp)
    for length, stride in zip(stack.shape[:-2], stack.strides[:-2], strict=True):
        offsets = np.add.outer(offsets, stride * np.arange(length, dtype=np.intp))
    return np.ascontiguousarray(offsets.ravel())


def run(
    problem: Problem, out: Array, workers: int, factors: tuple[Array, Array] | None = None
) -> None:
    """Sum `problem` into `out`, which overlaps none of its arrays.

    The kernel may be the outer product of two factors, a column and a row. A stack of images, and
    of outputs, has more axes before the last two. Nothing is allocated from the first output on.
    """
    image, kernel, _, dtype, start_y, start_x, boundary, fill, rotate, conjugate = problem
    try:
        engine, view = _engines[dtype]
    except KeyError:
        word, view = _WORDS[dtype.char]
        engine = engine_for("direct", word).run
        _engines[dtype] = engine, view
    image_words = kernel_words = 1
    column, row = factors or (None, None)
    imag: Iterator[Array] | None = None
    if view is not None:
        image_words += image.dtype.kind == "c"
        kernel_words += kernel.dtype.kind == "c"
        if dtype.kind == "c" and image_words == kernel_words == 1:
            imag = pieces(out.imag)
        image, kernel, out = view(image), view(kernel), view(out)
        if factors is not None:
            column, row = map(view, factors)
        fill = fill if fill is None else view(fill)
    image_offsets = out_offsets = None
    if out.ndim > 2:
        image_offsets, out_offsets = _offsets(image), _offsets(out)
        first = (0,) * (out.ndim - 2)
        image, out = image[first], out[first]
    engine(
        image,
        kernel,
        row,
        column,
        out,
        image_words,
        kernel_words,
        start_y,
        start_x,
        boundary,
        fill,
        rotate,
        conjugate,
        workers,
        image_offsets,
        out_offsets,
    )
    if imag is not None:  # an iterator of nothing would take memory, too late
        for part in imag:
            part.fill(0)
