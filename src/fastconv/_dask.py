"""Results that dask computes, chunk by chunk.

A chunk of the result is one task. It is given the chunk of the image at the same place and, of the
neighbours, the strips that its halo covers. All strips of a chunk are cut by one task: a scheduler
needs about a millisecond for each, however little it does.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import partial
from itertools import accumulate, pairwise, product
from typing import TYPE_CHECKING, Any, NamedTuple

import dask
import dask.array as da
import numpy as np
from dask.highlevelgraph import HighLevelGraph

from fastconv._cut import blocks_of, is_lazy, read, runs
from fastconv._workers import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastconv._cut import Cut

    Array = np.ndarray[Any, Any]


def lazily(
    function: Callable[..., Any], in1: Any, in2: Any, arguments: dict[str, Any], workers: Any
) -> Any:
    """Return an array of dask that will hold the result. A task has one thread, unless asked."""
    in1, in2 = (x if is_lazy(x) else np.asarray(x) for x in (in1, in2))
    for x in (in1, in2):
        if any(n != n for n in x.shape):
            raise ValueError("the shape of an array is not known: call its compute_chunk_sizes()")
    shape, dtype, whole, cut = blocks_of(function, in1, in2, arguments)
    threads = 1 if workers is None else resolve(workers)
    # One key of the graph, whatever the number of chunks.
    kernel = _delayed(in2)
    if cut is None:
        result = dask.delayed(whole, pure=True)(_delayed(in1), kernel, workers=threads)
        return da.from_delayed(result, shape, dtype)
    image = in1 if is_lazy(in1) else da.from_array(in1)
    token = dask.base.tokenize(image, kernel, function.__name__, arguments, threads)
    name = f"{function.__name__}-{token}"
    axes = [_parts(cut, axis, sizes) for axis, sizes in enumerate(image.chunks)]
    graph: dict[Any, Any] = {}
    strips = _Strips(image.name, f"strips-{token}")
    for index in np.ndindex(*map(len, axes)):
        parts = [axis[i] for axis, i in zip(axes, index, strict=True)]
        pieces = [
            strips.piece(*zip(*at, strict=True)) for at in product(*(p.pieces for p in parts))
        ]
        corners, keys, numbers, shapes = zip(*pieces, strict=True)
        lows, highs = zip(*((part.low, part.high) for part in parts), strict=True)
        window = partial(_Window, image.shape, image.dtype, corners, numbers, shapes)
        solve = partial(_solved, window, cut, lows, highs, threads)
        graph[(name, *index)] = (solve, kernel.key, list(keys))
    graph |= strips.tasks()
    return da.Array(
        HighLevelGraph.from_collections(name, graph, dependencies=[image, kernel]),
        name,
        [[part.length for part in axis] for axis in axes],
        meta=np.empty((0,) * len(shape), dtype),
    )


def _delayed(x: Any) -> Any:
    if is_lazy(x) and x.size:
        (block,) = x.rechunk(-1).to_delayed().ravel()
        return block
    # A copy, for whoever has the array may change it before it is used.
    return dask.delayed(np.array(x) if x.size else np.empty(x.shape, x.dtype), pure=True)


class _Part(NamedTuple):
    """A part of an axis of the result: one chunk's."""

    length: int
    low: int  # what it needs of the extended image: low ... high - 1, in the image's coordinates
    high: int
    pieces: list[tuple[int, int, int, range]]  # chunk, its start and length, what is needed of it


def _parts(cut: Cut, axis: int, sizes: tuple[int, ...]) -> list[_Part]:
    """Cut an axis of the result where the image is cut, or in the middle of the halo there."""
    m, before, length = cut.taps[axis], cut.before[axis], cut.shape[axis]
    seams = [0, *accumulate(sizes)]
    n = seams[-1]
    shift = (length - n + 1) // 2
    cuts = [0]
    for seam in seams:
        # No chunk is shorter than half the halo, unless the image is.
        if seam - cuts[-1] > m // 2 and n - seam > m // 2:
            cuts.append(seam)
    ends = [0, *(seam + shift for seam in cuts[1:]), length]
    parts = []
    for start, stop in pairwise(ends):
        low, high = start - before, stop - before + m - 1
        needed: dict[int, tuple[int, int]] = {}
        for _, place, _ in runs(cut, axis, low, high, n):
            chunk = bisect_right(seams, place.start) - 1
            while seams[chunk] < place.stop:
                first, last = max(place.start, seams[chunk]), min(place.stop, seams[chunk + 1])
                other = needed.get(chunk, (first, last))
                needed[chunk] = min(first, other[0]), max(last, other[1])
                chunk += 1
        pieces = [
            (chunk, seams[chunk], sizes[chunk], range(first - seams[chunk], last - seams[chunk]))
            for chunk, (first, last) in needed.items()
        ]
        parts.append(_Part(stop - start, low, high, pieces))
    return parts


class _Strips:
    """What is cut out of chunks for their neighbours."""

    def __init__(self, image: str, name: str) -> None:
        self.image, self.name = image, name
        self.wanted: dict[tuple[int, ...], dict[tuple[range, ...], int]] = {}
        self.shapes: dict[tuple[int, ...], tuple[int, ...]] = {}

    def piece(
        self, chunk: Any, start: Any, length: Any, place: Any
    ) -> tuple[Any, Any, int | None, Any]:
        """Tell where a piece lies, which task returns it as which of its own, and its shape."""
        if all(2 * len(needed) >= n for needed, n in zip(place, length, strict=True)):
            return start, (self.image, *chunk), None, length
        wanted = self.wanted.setdefault(chunk, {})
        self.shapes[chunk] = length
        number = wanted.setdefault(place, len(wanted))
        corner = tuple(p + needed.start for p, needed in zip(start, place, strict=True))
        return corner, (self.name, *chunk), number, tuple(map(len, place))

    def tasks(self) -> dict[Any, Any]:
        return {
            (self.name, *chunk): (
                partial(_cut_out, tuple(places), self.shapes[chunk]),
                (self.image, *chunk),
            )
            for chunk, places in self.wanted.items()
        }


def _check_shape(array: Any, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"a chunk is of shape {array.shape}, not {shape} as declared")


def _cut_out(
    places: tuple[tuple[range, ...], ...], shape: tuple[int, ...], chunk: Any
) -> list[Array]:
    _check_shape(chunk, shape)
    # Copies, or the chunk would live as long as they do.
    return [np.array(chunk[tuple(slice(r.start, r.stop) for r in place)]) for place in places]


def _solved(
    window: Callable[..., _Window],
    cut: Cut,
    lows: tuple[int, ...],
    highs: tuple[int, ...],
    threads: int,
    kernel: Array,
    arrays: list[Any],
) -> Array:
    part = read(cut, window(arrays), lows, highs)
    return np.asarray(cut.solve(part, kernel, workers=threads))


class _Window:
    """The image, of which some pieces are at hand."""

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        corners: tuple[tuple[int, ...], ...],
        numbers: tuple[int | None, ...],
        shapes: tuple[tuple[int, ...], ...],
        arrays: list[Any],
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self.pieces = []
        for corner, number, its, array in zip(corners, numbers, shapes, arrays, strict=True):
            piece = np.asarray(array if number is None else array[number])
            _check_shape(piece, its)
            if not np.can_cast(piece.dtype, dtype, "same_kind"):
                raise TypeError(f"a chunk is of dtype {piece.dtype}, not {dtype} as declared")
            self.pieces.append((corner, piece))

    def __getitem__(self, place: tuple[slice, ...]) -> Array:
        whole = np.empty([s.stop - s.start for s in place], self.dtype)
        for corner, piece in self.pieces:
            inside = [
                slice(max(s.start, p), min(s.stop, p + n))
                for s, p, n in zip(place, corner, piece.shape, strict=True)
            ]
            if all(s.start < s.stop for s in inside):
                whole[_moved(inside, [s.start for s in place])] = piece[_moved(inside, corner)]
        return whole


def _moved(place: Sequence[slice], origin: Sequence[int]) -> tuple[slice, ...]:
    """Return a place as it is counted from an origin."""
    return tuple(slice(s.start - p, s.stop - p) for s, p in zip(place, origin, strict=True))
