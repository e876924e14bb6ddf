"""NumPy's work on large arrays, part by part: in between, Python hears signals."""

from __future__ import annotations

import itertools
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Array = np.ndarray[Any, Any]

PART = 1 << 24
"""Bytes that NumPy is given at a time: some ms."""
PAGE = 1 << 21
"""Bytes that a system may clear when one of them is written to for the first time."""


def is_large(a: Array, itemsize: int = 0) -> bool:
    """Whether an array is cut; `itemsize` is of what its elements become, if that is larger."""
    return a.size * max(a.itemsize, itemsize) > PART


def parts(a: Array, itemsize: int = 0) -> Iterator[tuple[slice, ...]]:
    """Where the parts of a large array are, each of few pages of its memory."""
    n_bytes = max(a.itemsize, itemsize)
    if a.size * n_bytes <= PART >> 8:
        yield ()
        return
    steps = list(a.shape)
    axes = sorted(range(a.ndim), key=lambda axis: abs(a.strides[axis]))
    inner = []
    for axis in axes:
        inner.append(max(n_bytes, min(abs(a.strides[axis]), PAGE)))
        n_bytes = inner[-1] * a.shape[axis]
    while axes and n_bytes > PART:
        n_bytes = inner.pop()
        steps[axes.pop()] = max(1, PART // n_bytes)
    starts = [range(0, n, step) for n, step in zip(a.shape, steps, strict=True)]
    for place in itertools.product(*starts):
        yield tuple(slice(first, first + step) for first, step in zip(place, steps, strict=True))


def places(shape: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the indices of an array. What itertools and NumPy make for it is as long as an axis."""
    if not shape:
        yield ()
        return
    if 0 in shape:
        return
    for i in range(shape[0]):
        for others in places(shape[1:]):
            yield (i, *others)


def distinct(a: Array, end: int | None = None) -> Array:
    """Return `a` with one element of each axis, up to `end`, that, however long, repeats it."""
    return a[tuple(slice(None if step else 1) for step in a.strides[:end])]


def sum_of_squares(a: Array) -> float:
    """Sum of the squares of real numbers."""
    core, total = distinct(a), 0.0
    for part in parts(core, 8):
        values = core[part].astype(np.float64).ravel()
        total += float(values.dot(values))
    return total * (a.size / max(core.size, 1))


def assign(to: Array, source: Array) -> None:
    """Assign all elements of one array to those of another, of the same shape."""
    # Cut as the target is, whose pages may be fresh.
    for some, values in _pairs(to, source):
        some[...] = values


def add(to: Array, source: Array) -> None:
    """Add an array to another."""
    pairs = _pairs(to, source)
    with np.errstate(all="ignore"):
        for some, values in pairs:
            some += values


def _pairs(to: Array, source: Array) -> list[tuple[Array, Array]]:
    """Return views of parts, all made before one is written to: then no memory is lacking."""
    places: list[Any] = [(*part, ...) for part in parts(to, _weight(to.dtype, source.dtype))]
    return [(to[place], source[place]) for place in places]


def pieces(a: Array) -> Iterator[Array]:
    """Return views of the parts, all made before the first is asked for."""
    return iter([a[part] for part in parts(a)])


def _weight(*dtypes: np.dtype[Any]) -> int:
    """Bytes of an element. NumPy converts float16 slowly, the slower if it overflows."""
    return max(32 if dtype.char == "e" else dtype.itemsize for dtype in dtypes)


def copied(a: Array, dtype: np.dtype[Any]) -> Array:
    """Return a C-contiguous copy of another dtype."""
    if not is_large(a, _weight(a.dtype, dtype)):
        return a.astype(dtype, order="C")
    result = np.empty(a.shape, dtype)
    assign(result, a)
    return result


def contiguous(a: Array, dtype: np.dtype[Any]) -> Array:
    """Return `a` as a C-contiguous array of `dtype`: itself, if it is one."""
    return a if a.dtype == dtype and a.flags.c_contiguous else copied(a, dtype)


def applied(do: Callable[..., object], to: Array, *sources: Array) -> Array:
    """Let NumPy write what it computes of arrays to another, all of one shape."""
    for part in parts(to):
        do(*(a[part] for a in sources), out=to[part])
    return to


def conjugate(a: Array) -> Array:
    """Return the complex conjugate: of real numbers, the array itself."""
    if not is_large(a) or a.dtype.kind != "c":
        return a.conj()
    return applied(np.conjugate, np.empty_like(a), a)


def product(a: Array, b: Array, shape: tuple[int, ...]) -> Array:
    """Multiply arrays that are broadcast to a shape; C-contiguous."""
    dtype = np.result_type(a, b)
    if prod(shape) * dtype.itemsize <= PART:
        return np.multiply(a, b, order="C")
    result = np.empty(shape, dtype)
    return applied(np.multiply, result, np.broadcast_to(a, shape), np.broadcast_to(b, shape))


def reshaped(a: Array, shape: tuple[int, ...]) -> Array:
    """Return `a` with neighbouring axes merged, a copy if there is no other way."""
    if is_large(a) and not _can_merge(a, shape):
        a = copied(a, a.dtype)
    return a.reshape(shape)


def _can_merge(a: Array, shape: tuple[int, ...]) -> bool:
    """Whether axes that are merged follow each other in memory, too."""
    axes = [(n, stride) for n, stride in zip(a.shape, a.strides, strict=True) if n > 1]
    for length in shape:
        merged, last = 1, 0
        while merged < length:
            n, stride = axes.pop(0)
            if merged > 1 and last != n * stride:
                return False
            merged, last = merged * n, stride
    return True
