"""A call as a part of one larger sum, which can be computed part by part.

Whatever the function, mode and boundary, if the first input is extended along each axis by
`before` and `after` elements, the result is that of mode 'valid'. A block of it needs the same
block of the extended input, longer by the kernel's length less one: the halo.
"""

from __future__ import annotations

import sys
from functools import partial
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastconv import _images, _nd, _solve
from fastconv._problem import BOUNDARIES, FILL, SYMM, all_finite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Array = np.ndarray[Any, Any]


class Cut(NamedTuple):
    """A call that can be cut into blocks."""

    shape: tuple[int, ...]  # of the result
    dtype: np.dtype[Any]
    taps: tuple[int, ...]  # along the axes of the first input; 1: nothing is convolved
    before: tuple[int, ...]
    boundary: int
    fill: Array | None
    solve: Callable[..., Any]  # of an extended block, kernel, out=, workers=: the result's block


class Blocks(NamedTuple):
    """What the arguments of a call say of its result, and the cut, where there is one."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    whole: Callable[..., Any]  # the function, of two arrays
    cut: Cut | None


def is_lazy(*arrays: Any) -> bool:
    """Whether there is an array of dask. Whoever has one has imported dask."""
    lazy = getattr(sys.modules.get("dask.array"), "Array", None)  # it may be half imported
    return lazy is not None and any(isinstance(array, lazy) for array in arrays)


def blocks_of(
    function: Callable[..., Any], in1: Any, in2: Any, arguments: dict[str, Any]
) -> Blocks:
    """Check the arguments of a call by shapes and dtypes, and find out how to cut it.

    The arrays need no more than a shape and a dtype.
    """
    name = function.__name__
    mode = arguments["mode"]
    a, b = (np.broadcast_to(np.zeros((), x.dtype), x.shape) for x in (in1, in2))

    whole = partial(function, **arguments)
    if name in ("convolve2d", "correlate2d"):
        axes, boundary = arguments["axes"], arguments["boundary"]
        problem, pair, shape = _images.stacked(
            name, a, b, mode, boundary, arguments["fillvalue"], axes, arguments["method"]
        )
        dtype, edge, fill = problem.dtype, BOUNDARIES[boundary], problem.fill
        _solve.check_method(arguments["method"])
        # A 2-D kernel has its axes in the result's order; others count them for themselves.
        if b.ndim == 2:
            core = dict(zip(sorted(pair), b.shape, strict=True))
        else:
            own = _images.axes_of(axes, b.ndim)
            core = {i: b.shape[j] for i, j in zip(pair, own, strict=True)}
        kept = {"axes": axes, "method": arguments["method"]}
        plain = a.ndim == len(shape) and b.size == prod(core.values())
    else:
        axes = arguments.get("axes")
        task = _nd.task_of(name, a, b, mode, arguments.get("method", "auto"), axes)
        shape, dtype = _nd.result_of(task)
        if not isinstance(task, _nd.Task):
            if b.size != 1 or not isinstance(task, _nd.Product):
                return Blocks(shape, dtype, whole, None)
            solve = partial(function, mode="valid", axes=axes)
            cut = Cut(shape, dtype, (1,) * a.ndim, (0,) * a.ndim, FILL, None, solve)
            return Blocks(shape, dtype, whole, cut)
        edge, fill = FILL, None
        if dtype.kind == "O":  # SciPy's, for which no zeros can be put around
            return Blocks(shape, dtype, whole, None)
        paired = task.job.paired
        core = {i: b.shape[i] for i in range(a.ndim) if not paired[i]}
        kept = {key: arguments[key] for key in ("axes", "method") if key in arguments}
        plain = all(b.shape[i] == 1 for i in range(a.ndim) if paired[i])
        # In one dimension nothing is multiplied with what lies outside.
        plain &= a.ndim > 1 or (isinstance(in2, np.ndarray) and all_finite(in2))
    if not (plain and core and prod(shape) and all(0 < m <= a.shape[i] for i, m in core.items())):
        return Blocks(shape, dtype, whole, None)
    taps = tuple(core.get(i, 1) for i in range(a.ndim))
    centre = [(m - 1) // 2 if name == "correlate2d" else m // 2 for m in taps]
    before = {"full": [m - 1 for m in taps], "same": centre, "valid": [0] * a.ndim}[mode]
    solve = partial(function, mode="valid", **kept)
    cut = Cut(shape, dtype, taps, tuple(before), edge, fill, solve)
    return Blocks(shape, dtype, whole, cut)


def runs(cut: Cut, axis: int, low: int, high: int, n: int) -> Iterator[tuple[slice, slice, int]]:
    """Where coordinates low ... high - 1 of an extended axis are: to, from, and the direction."""
    # An axis that is not extended has whole chunks only.
    boundary = cut.boundary if cut.taps[axis] > 1 else FILL
    p = low
    while p < high:
        period, q = divmod(p, n)
        length = min(high - p, n - q)
        to = slice(p - low, p - low + length)
        if boundary == SYMM and period % 2:
            yield to, slice(n - q - length, n - q), -1
        elif boundary != FILL or period == 0:
            yield to, slice(q, q + length), 1
        p += length


def read(cut: Cut, source: Any, lows: Sequence[int], highs: Sequence[int]) -> Array:
    """Read a part of the extended input; the coordinates are those of the input itself."""
    shape = [high - low for low, high in zip(lows, highs, strict=True)]
    axes = [
        list(runs(cut, axis, *place))
        for axis, place in enumerate(zip(lows, highs, source.shape, strict=True))
    ]
    if prod(map(len, axes)) == 1 and all(
        (to.start, to.stop) == (0, n) for ((to, _, _),), n in zip(axes, shape, strict=True)
    ):
        return np.asarray(source[tuple(place for ((_, place, _),) in axes)])
    dtype = np.dtype(source.dtype)
    if cut.fill is not None:
        dtype = np.result_type(dtype, cut.dtype)
    extended = np.full(shape, 0 if cut.fill is None else cut.fill.item(), dtype)
    for parts in product(*axes):
        to, place, steps = zip(*parts, strict=True)
        extended[to] = np.asarray(source[place])[tuple(slice(None, None, step) for step in steps)]
    return extended
