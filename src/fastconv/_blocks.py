"""A result in blocks: for arrays in files, and to tell how far a call is.

Whatever the function, mode and boundary, if the first input is extended along each axis by
`before` and `after` elements, the result is that of mode 'valid'. A block of it needs the same
block of the extended input, longer by the kernel's length less one: the halo.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastconv import _images, _nd, _solve
from fastconv._problem import BOUNDARIES, FILL, SYMM, all_finite, check_out
from fastconv._workers import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Array = np.ndarray[Any, Any]

# Outputs of a block: some 30 MB.
BLOCK = 1 << 22

# A block is no shorter than so many halos, or most of what it reads is halo.
HALOS = 4


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


def is_needed(in1: Any, in2: Any, out: Any, progress: Any) -> bool:
    """Whether a call is one for this module, and not of arrays in memory alone."""
    if in1.__class__ is in2.__class__ is np.ndarray and progress is None:
        return out is not None and out.__class__ is not np.ndarray and _is_target(out)
    if is_lazy(in1, in2):
        return True
    if progress is not None and progress is not False:
        return True
    return out is not None and (_is_target(out) or _is_stored(in1))


def is_lazy(*arrays: Any) -> bool:
    """Whether there is an array of dask. Whoever has one has imported dask."""
    module = sys.modules.get("dask.array")
    return module is not None and any(isinstance(array, module.Array) for array in arrays)


def _is_array(a: Any, method: str) -> bool:
    if isinstance(a, np.ndarray | np.generic):
        return isinstance(a, np.memmap)
    # pandas indexes in another way.
    return (
        isinstance(getattr(a, "dtype", None), np.dtype)
        and hasattr(a, "shape")
        and hasattr(a, method)
        and not hasattr(a, "iloc")
    )


def _is_stored(a: Any) -> bool:
    """Whether an array is read in parts."""
    return _is_array(a, "__getitem__")


def _is_target(a: Any) -> bool:
    """Whether an array is written in parts."""
    return _is_array(a, "__setitem__")


def _is_same(a: Any, b: Any) -> bool:
    """Whether two arrays may share memory, or are known to be of one file."""
    if a is b:
        return True
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        return False
    files = {getattr(x, "filename", None) for x in (a, b)}
    return np.may_share_memory(a, b) or (len(files) == 1 and None not in files)


def _loaded(a: Any) -> Array:
    """Read an array into memory, whatever holds it."""
    if _is_stored(a):
        a = a[tuple(slice(0, n) for n in a.shape)]
    return np.asarray(a)


# --- what a call asks for ------------------------------------------------------------------------


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
        if name in _nd.METHODLESS and a.ndim == b.ndim > 0 and a.size and b.size == 1:
            # A product, which would be computed to see its shape: one of few elements tells.
            few = a[(slice(0, 2),) * a.ndim]
            dtype = _nd.task_of(name, few, b, mode, "auto", axes).dtype
            solve = partial(function, mode="valid", axes=axes)
            cut = Cut(a.shape, dtype, (1,) * a.ndim, (0,) * a.ndim, FILL, None, solve)
            return Blocks(a.shape, dtype, whole, cut)
        task = _nd.task_of(name, a, b, mode, arguments.get("method", "auto"), axes)
        if not isinstance(task, _nd.Task):
            result = np.asarray(task)
            return Blocks(result.shape, result.dtype, whole, None)
        shape, dtype, edge, fill = task.job.shape, task.dtype, FILL, None
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


# --- one block after the other -------------------------------------------------------------------


def _lengths(cut: Cut, chunks: Any) -> list[int]:
    """Lengths of a block: few halos, and whole chunks of where it is written to."""
    if not (
        isinstance(chunks, tuple)
        and len(chunks) == len(cut.shape)
        and all(isinstance(c, int) and c > 0 for c in chunks)
    ):
        chunks = (1,) * len(cut.shape)
    lengths = list(cut.shape)
    while prod(lengths) > BLOCK:
        # Where a cut adds least to what is read.
        few = [
            HALOS * m if c == 1 else max(HALOS * m, c)
            for m, c in zip(cut.taps, chunks, strict=True)
        ]
        can = [i for i, n in enumerate(lengths) if n > few[i]]
        if not can:
            break
        axis = max(can, key=lambda i: lengths[i] / cut.taps[i])
        half, chunk = -(-lengths[axis] // 2), chunks[axis]
        shorter = -(-half // chunk) * chunk
        if shorter == lengths[axis]:
            shorter = half // chunk * chunk
        lengths[axis] = shorter
    return lengths


def _runs(low: int, high: int, n: int, boundary: int) -> Iterator[tuple[slice, slice, int]]:
    """Where coordinates low ... high - 1 of an extended axis are: to, from, and the direction."""
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


def read(cut: Cut, source: Any, lows: list[int], highs: list[int]) -> Array:
    """Read a part of the extended input; the coordinates are those of the input itself."""
    runs = [
        list(_runs(low, high, n, cut.boundary if m > 1 else FILL))
        for low, high, n, m in zip(lows, highs, source.shape, cut.taps, strict=True)
    ]
    shape = [high - low for low, high in zip(lows, highs, strict=True)]
    if prod(map(len, runs)) == 1 and all(
        (to.start, to.stop) == (0, n) for ((to, _, _),), n in zip(runs, shape, strict=True)
    ):
        return np.asarray(source[tuple(place for ((_, place, _),) in runs)])
    dtype = np.dtype(source.dtype)
    if cut.fill is not None:
        dtype = np.result_type(dtype, cut.dtype)
    extended = np.full(shape, 0 if cut.fill is None else cut.fill.item(), dtype)
    for parts in product(*runs):
        to, place, steps = zip(*parts, strict=True)
        extended[to] = np.asarray(source[place])[tuple(slice(None, None, step) for step in steps)]
    return extended


def call(
    function: Callable[..., Any],
    in1: Any,
    in2: Any,
    out: Any,
    workers: Any,
    progress: Any,
    **arguments: Any,
) -> Any:
    """Compute a result block by block, or let dask do so."""
    axes = arguments.get("axes")
    if axes is not None and np.iterable(axes):
        arguments["axes"] = tuple(axes)  # it is used more than once, and later
    if is_lazy(out):
        raise ValueError("an array of dask cannot be written to")
    if is_lazy(in1, in2):
        if out is not None or progress:
            raise ValueError("what dask computes has no out and no progress")
        from fastconv._dask import lazily

        return lazily(function, in1, in2, arguments, workers)
    source = in1 if _is_stored(in1) else np.asarray(in1)
    kernel = _loaded(in2)
    shape, dtype, whole, cut = blocks_of(function, source, kernel, arguments)
    threads = resolve(workers)
    _check_target(out, shape, dtype)
    overlap = out is not None and any(_is_same(out, x) for x in (in1, in2, source, kernel))
    if cut is None or overlap:
        with _Progress(progress, 1, function.__name__) as report:
            result = whole(_loaded(source), kernel, workers=threads)
            report()
        if out is None:
            return result
        out[...] = result
        return out
    target = np.empty(shape, dtype) if out is None else out
    lengths = _lengths(cut, getattr(out, "chunks", None))
    starts = [range(0, n, step) for n, step in zip(shape, lengths, strict=True)]
    with _Progress(progress, prod(map(len, starts)), function.__name__) as report:
        for place in product(*starts):
            block = [
                slice(p, min(p + step, n)) for p, step, n in zip(place, lengths, shape, strict=True)
            ]
            lows = [s.start - before for s, before in zip(block, cut.before, strict=True)]
            highs = [
                s.stop - before + m - 1
                for s, before, m in zip(block, cut.before, cut.taps, strict=True)
            ]
            part = read(cut, source, lows, highs)
            target[tuple(block)] = cut.solve(part, kernel, workers=threads)
            report()
    return target


def _check_target(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse an `out` that the result cannot be written to."""
    if out is None:
        return
    if isinstance(out, np.ndarray) or not _is_target(out):
        check_out(out, shape, dtype)
        return
    stands = np.broadcast_to(np.empty((), out.dtype), out.shape)
    stands.flags.writeable = True
    check_out(stands, shape, dtype)


class _Progress:
    """Tells how many blocks are done: a function, or a bar."""

    def __init__(self, progress: Any, total: int, name: str) -> None:
        self.done, self.total = 0, total
        self.close: Callable[[], object] = lambda: None
        self.tell: Callable[[int, int], object] = lambda done, total: None
        if callable(progress):
            self.tell = progress
        elif progress:
            self._bar(name)

    def _bar(self, name: str) -> None:
        try:
            tqdm = import_module("tqdm.auto").tqdm
        except ModuleNotFoundError:
            self.tell = lambda done, total: print(
                f"\r{name}: {100 * done // total} %", end="", file=sys.stderr, flush=True
            )
            self.close = lambda: print(file=sys.stderr)
            return
        bar = tqdm(total=self.total, desc=name, unit="block")
        self.tell = lambda done, total: bar.update()
        self.close = bar.close

    def __enter__(self) -> Callable[[], None]:
        return self._step

    def _step(self) -> None:
        self.done += 1
        self.tell(self.done, self.total)

    def __exit__(self, *_: object) -> None:
        self.close()
