"""A result in blocks: for arrays in files, for those of dask, and to tell how far a call is."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv._cut import blocks_of, is_lazy, read
from fastconv._problem import check_out, kept, may_overlap
from fastconv._workers import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastconv._cut import Cut

    Array = np.ndarray[Any, Any]

# Outputs of a block: some 30 MB.
BLOCK = 1 << 22

# A block is no shorter than so many halos, or most of what it reads is halo.
HALOS = 4


def is_needed(in1: Any, in2: Any, out: Any, progress: Any) -> bool:
    """Whether a call is one for this module, and not of arrays in memory alone."""
    if in1.__class__ is in2.__class__ is np.ndarray and progress is None:
        return out is not None and out.__class__ is not np.ndarray and _is_target(out)
    if is_lazy(in1, in2):
        return True
    if progress is not None and progress is not False:
        return True
    return out is not None and (_is_target(out) or _is_stored(in1))


def _is_array(a: Any, method: str) -> bool:
    if isinstance(a, np.ndarray | np.generic):
        return isinstance(a, np.memmap)
    # pandas indexes in another way, and sparse arrays do.
    return (
        isinstance(getattr(a, "dtype", None), np.dtype)
        and isinstance(getattr(a, "shape", None), tuple)
        and hasattr(a, method)
        and not hasattr(a, "iloc")
        and not hasattr(a, "nnz")
    )


def _is_stored(a: Any) -> bool:
    """Whether an array is read in parts."""
    return _is_array(a, "__getitem__")


def _is_target(a: Any) -> bool:
    """Whether an array is written in parts."""
    return _is_array(a, "__setitem__")


def _is_same(a: Any, b: Any) -> bool:
    """Whether two arrays may be one array of a file."""
    if a is b:
        return True
    if hasattr(a, "store_path") and hasattr(b, "store_path"):  # zarr
        return bool(_place_of(a.store_path) == _place_of(b.store_path))
    if hasattr(a, "virtual_sources") and hasattr(b, "virtual_sources"):  # h5py
        # It looks through links, but not at what is opened in two ways or made of other files.
        plain = not any(x.is_virtual or x.external for x in (a, b))
        near = not _files_of(a).isdisjoint(_files_of(b))
        return bool(a == b) or (near and (a.name == b.name or not plain))
    return False


def _overlaps(out: Any, *inputs: Any) -> bool:
    """Whether an output may share memory with an input."""
    memory = _memory_of(out)
    if memory is None:
        return False
    others = map(_memory_of, inputs)
    return any(other is not None and may_overlap(memory, other) for other in others)


def _memory_of(a: Any) -> Array | None:
    """Return the array in memory that an array is, or that it wraps: one element tells."""
    if isinstance(a, np.ndarray):
        return a
    # What has chunks is in files, or not computed yet.
    if not _is_stored(a) or getattr(a, "chunks", None) or hasattr(a, "virtual_sources"):
        return None
    try:
        a = np.asarray(a[tuple(slice(0, min(n, 1)) for n in a.shape)])
    except Exception:  # it may be only written to
        return None
    base = a
    while isinstance(base, np.ndarray | memoryview):
        a, base = base, base.obj if isinstance(base, memoryview) else base.base
    return np.asarray(a)


def _place_of(path: Any) -> Any:
    """Tell where zarr keeps an array: a folder by the file system's numbers, if it can be had."""
    store, name = path.store, path.path
    while hasattr(store, "_store"):  # one that only wraps another
        store = store._store
    if not hasattr(store, "root"):
        return store, name
    folder = Path(store.root, name)
    try:
        found = folder.stat()
    except OSError:
        return folder.absolute()
    return found.st_dev, found.st_ino


def _files_of(a: Any) -> set[str]:
    """Names, without folders, of the files that may hold a data set of h5py."""
    names = [a.file.filename, *(name for name, *_ in a.external or ())]
    if a.is_virtual:
        names += [source.file_name for source in a.virtual_sources()]  # "." is its own
    return {Path(os.fsdecode(name)).name for name in names}


def _loaded(a: Any) -> Array:
    """Read an array into memory, whatever holds it."""
    if _is_stored(a):
        a = a[tuple(slice(0, n) for n in a.shape)]
    return np.asarray(a)


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
        lengths[axis] = -(-half // chunk) * chunk
    return lengths


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
    if "fillvalue" in arguments:
        arguments["fillvalue"] = kept(arguments["fillvalue"])
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
    overlap = out is not None and (
        any(_is_same(out, x) for x in (in1, in2)) or _overlaps(out, source, kernel)
    )
    # What a subclass does to items is not for results.
    target: Any = np.asarray(out) if isinstance(out, np.ndarray) else out
    if cut is None:
        with _Progress(progress, 1, function.__name__) as report:
            result = whole(_loaded(source), kernel, workers=threads)
            report()
        if out is None:
            return result
        target[...] = result
        return out
    result = np.empty(shape, dtype) if overlap or target is None else target
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
            result[tuple(block)] = cut.solve(part, kernel, workers=threads)
            report()
    if out is None:
        return result
    if overlap:
        target[...] = result
    return out


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
