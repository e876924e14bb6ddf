"""Results that dask computes, chunk by chunk."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
from dask.array.overlap import overlap

from fastconv._blocks import blocks_of, is_lazy
from fastconv._workers import resolve

if TYPE_CHECKING:
    from collections.abc import Callable


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
    widths = [
        (before, m + n - 1 - length - before)
        for n, m, length, before in zip(shape, cut.taps, in1.shape, cut.before, strict=True)
    ]
    if any(map(any, widths)):
        if cut.fill is not None:
            image = image.astype(np.result_type(image.dtype, dtype))
        pad = {"constant_values": 0 if cut.fill is None else cut.fill.item()}
        mode = ("constant", "wrap", "symmetric")[cut.boundary]
        extended = da.pad(image, widths, mode, **(pad if mode == "constant" else {}))
    else:
        extended = image
    # A chunk takes its halo from its neighbours; the first and the last have one of their own.
    own, results, depth = [], [], {}
    for axis, (sizes, m) in enumerate(zip(image.chunks, cut.taps, strict=True)):
        before, behind = widths[axis]
        low = before if before + behind == m - 1 else (m - 1) // 2
        high = m - 1 - low
        lengths = _merged(sizes, max(low, high) + 1)
        lengths[0] += before
        lengths[-1] += behind
        own.append(tuple(lengths))
        lengths[0] -= low
        lengths[-1] -= high
        results.append(tuple(lengths))
        depth[axis] = (low, high)
    extended = overlap(extended.rechunk(own), depth, boundary="none", allow_rechunk=False)
    return extended.map_blocks(
        cut.solve,
        kernel,
        workers=threads,
        chunks=tuple(results),
        dtype=dtype,
        meta=np.empty((0,) * len(shape), dtype),
        name=f"{function.__name__}-{dask.base.tokenize(extended, kernel, arguments, threads)}",
    )


def _delayed(x: Any) -> Any:
    if is_lazy(x):
        (block,) = x.rechunk(-1).to_delayed().ravel()
        return block
    # A copy, for whoever has the array may change it before it is used.
    return dask.delayed(np.array(x), pure=True)


def _merged(sizes: tuple[int, ...], least: int) -> list[int]:
    """Merge chunks until none is shorter than the least, unless all are."""
    seams, length = [0], sum(sizes)
    for end in accumulate(sizes):
        if end - seams[-1] >= least and length - end >= least:
            seams.append(end)
    return [stop - start for start, stop in pairwise([*seams, length])]
