"""Convolution through SciPy's transform, where SciPy is installed: what the engines have none for.

That is three and more dimensions, and long double.

The transform of a product of lengths N, all of them 5-smooth, with accurate roots of unity, is a
chain of passes of radix 2 to 5. A pass of radix r seen as a dense sum has a normwise error of
at most (sqrt(5) + r) sqrt(r) u, its twiddles (1 + sqrt(5)) u: for r = 5, the worst, 8.4 u for each
factor of two. Three transforms and a product make

    |computed - exact| <= C log2(N) u norm(a) norm(b)

with C = 3 * 8.4 < 32, where the norms are 2-norms, u is 2**-53 for integers, which are transformed
in float64, and the result is an integer once this is below 1/2. Compare Brent, Percival and
Zimmermann, "Error bounds on complex floating-point multiplication", Math. Comp. 76 (2007).
"""

from __future__ import annotations

import atexit
import os
from _thread import _local, allocate_lock, get_ident, start_new_thread
from collections import deque
from contextlib import suppress
from functools import cache, partial
from importlib import import_module
from itertools import pairwise
from math import log2, prod, sqrt
from mmap import mmap
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from fastconv import _costs
from fastconv._parts import applied, contiguous, parts, sum_of_squares

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from fastconv._slices import Job

    Array = np.ndarray[Any, Any]

C = 32.0
"""Factor of the error bound; see above."""

# The norms are computed, and the result of a transform of this many points is one of float64's
# integers: both cost less than this.
_ROOM = 1 + 2.0**-10


@cache
def available() -> bool:
    """Whether there is SciPy's transform."""
    try:
        import_module("scipy.fft")
    except ModuleNotFoundError:
        return False
    return True


def fast_lengths(lengths: list[int]) -> list[int]:
    """5-smooth lengths that are at least these."""
    return [_smooth(n) for n in lengths]


def _smooth(n: int) -> int:
    best = 1 << (n - 1).bit_length()
    power5 = 1
    while power5 < best:
        power3 = power5
        while power3 < best:
            rest = -(-n // power3)
            best = min(best, power3 << (rest - 1).bit_length())
            power3 *= 3
        power5 *= 5
    return best


def full_lengths(job: Job) -> list[int]:
    """Lengths of the whole convolution along the axes that are convolved."""
    a, b = job.a.shape, job.b.shape
    return [a[axis] + b[axis] - 1 for axis in convolved(job)]


def convolved(job: Job) -> list[int]:
    """Axes along which there is something to sum."""
    a, b = job.a.shape, job.b.shape
    return [i for i, paired in enumerate(job.paired) if not paired and a[i] > 1 and b[i] > 1]


def cut(job: Job, axes: Collection[int]) -> tuple[slice, ...]:
    """Part of the whole convolution that is the job's, but for all along some axes."""
    places = enumerate(zip(job.start, job.shape, strict=True))
    return tuple(slice(None) if i in axes else slice(s, s + m) for i, (s, m) in places)


def seconds(job: Job, dtype: np.dtype[Any]) -> float:
    """Predict how long `convolve` takes on one thread."""
    axes = convolved(job)
    points = prod(fast_lengths(full_lengths(job)))
    lengths = enumerate(zip(job.a.shape, job.b.shape, strict=True))
    rows = prod(max(pair) for axis, pair in lengths if axis not in axes)
    if dtype.kind == "c":
        return 2 * _costs.fftn(dtype.itemsize // 2, points, rows)
    return _costs.fftn(8 if dtype.kind in "iu" else dtype.itemsize, points, rows)


def norm(a: Array) -> float:
    """2-norm of real numbers, a little too large rather than too small."""
    return sqrt(sum_of_squares(a)) * _ROOM


def fits(job: Job) -> bool:
    """Whether a transform of integers surely rounds to the right ones."""
    points = prod(fast_lengths(full_lengths(job)))
    return C * max(1.0, log2(points)) * 2.0**-53 * norm(job.a) * norm(job.b) < 0.25


def _words(a: Array) -> Array:
    """Real numbers that a contiguous array is made of, with an axis more."""
    return a.view(np.finfo(a.dtype).dtype).reshape(*a.shape, -1)


def _scaled(a: Array, axes: list[int]) -> tuple[Array, Array]:
    """Array divided by powers of two, where its numbers are far from one, and the exponents.

    What is transformed together, along all the `axes`, has one of them.
    """
    words = _words(a)
    limit = int(np.finfo(a.dtype).maxexp) // 4
    far = False
    flat = words.reshape(-1)
    for start in range(0, flat.size, CACHED):
        sizes = abs(flat[start : start + CACHED])
        sizes[sizes == 0] = 1  # those do not count
        far |= bool(np.frexp(sizes.max())[1] >= limit or np.frexp(sizes.min())[1] <= -limit)
    if not far:  # most often, and it takes less time to see than the largest of each
        return a, np.zeros((), np.intc)
    ones = [1 if i in axes else n for i, n in enumerate(a.shape)]
    largest = np.zeros(ones, words.dtype)
    for half in (words[..., i] for i in range(words.shape[-1])):
        for part in parts(half):
            its = largest[tuple(slice(None) if i in axes else s for i, s in enumerate(part))]
            np.maximum(its, abs(half[part]).max(axis=tuple(axes), keepdims=True), out=its)
    exponents = np.frexp(largest)[1][..., np.newaxis]
    exponents[abs(exponents) < limit] = 0
    if not exponents.any():  # a small number among others
        return a, exponents
    result = np.empty_like(words)
    applied(_multiply, result, words, np.broadcast_to(-exponents, words.shape))
    return result.view(a.dtype).reshape(a.shape), exponents


def _multiply(words: Array, exponents: Array, out: Array) -> None:
    """Multiply by powers of two."""
    with np.errstate(all="ignore"):
        np.ldexp(words, exponents, out=out)


# SciPy's threads take lines in vectors, and those left over one by one. Where the compiler fused
# multiplications with additions, as on AArch64, the last bits tell how many threads there were. So
# each call of SciPy has one thread, and parts that depend on the shape alone are shared out here.
PARTS = 16
PART = 1 << 18
"""Points of a part: milliseconds. Fewer are not worth a thread; in between, signals are heard."""
LONG = 8
"""Points of other words whose transform takes as long as that of one of long double."""
HEARD = 0.02
"""Seconds between looks for signals."""
CACHED = 1 << 15
"""Numbers that are looked at in one go: they stay in the cache meanwhile."""
GRACE = 1.0
"""Seconds that a thread which Python does not wait for stays out of SciPy, once Python ends."""
ROOM = 1 << 20
"""Bytes there must be for a thread to begin with."""
FEW = 1 << 13
"""Points whose transform takes less than a call for each axis does."""


def _shares(shape: tuple[int, ...], axis: int, most: int = PART) -> deque[tuple[slice, ...]]:
    n, points = shape[axis], prod(shape)
    parts = min(n, max(PARTS, points // most)) if points > most else 1
    seams = [i * n // parts for i in range(parts + 1)]
    before = (slice(None),) * axis
    return deque((*before, slice(*ends)) for ends in pairwise(seams))


def _share(
    do: Callable[[tuple[slice, ...]], object],
    parts: deque[tuple[slice, ...]],
    workers: int,
    long: bool = False,
) -> None:
    """Do something to all parts, each by one of so many threads.

    Where a part takes `long`, this thread does none, and hears signals. When one raises, threads
    are left to end the part that they are at.
    """
    caller = _enter()
    try:
        _share_out(do, parts, workers, long)
    finally:
        _leave(caller)


def _share_out(
    do: Callable[[tuple[slice, ...]], object],
    parts: deque[tuple[slice, ...]],
    workers: int,
    long: bool,
) -> None:
    n_threads = min(workers, len(parts))
    if n_threads == 1 and not long:
        for part in parts:
            do(part)
        return
    failed: list[BaseException | None] = [None]  # it takes no memory to write it here

    def work() -> None:
        while failed[0] is None:
            try:
                part = parts.popleft()
            except IndexError:
                return
            try:
                do(part)
            except BaseException as error:
                failed[0] = error

    running: list[Any] = []
    try:
        with suppress(OSError, RuntimeError):  # no room, or the system refuses: fewer, then
            for _ in range(n_threads - (not long)):
                _start(work, running)
        if not long:
            work()
        _wait_for(running)
        work()  # what threads left that were refused, or had no memory to begin
    except BaseException:
        parts.clear()
        if not long:
            _wait_for(running)
        raise
    error, failed[0] = failed[0], None
    if error is not None:
        try:
            raise error
        finally:
            del error  # which refers to this frame by its traceback, and so to the arrays


_own = _local()


def _throw() -> None:
    """Let SciPy throw an exception of C++, once on each thread.

    The first one takes memory, and where there is none, glibc ends the process. So it must not be
    the one that says so.
    """
    if not hasattr(_own, "once"):
        with suppress(ValueError):
            import_module("scipy.fft").dct(np.zeros(2), type=5)  # there are four types
        _own.once = True


# Not of threading, whose weak references are called back when a thread is forgotten: what a signal
# handler raises meanwhile is lost.
class _Thread:
    """What a thread alone refers to, so it is gone if the thread never began."""

    def __init__(self, ident: int | None) -> None:
        self.ident = ident
        self.ended = allocate_lock()
        self.ended.acquire()


_running: dict[Any, ref[_Thread]] = {}
"""Threads that have not ended, by their locks; an interrupt leaves long ones behind."""


def _noted(ident: int | None = None) -> _Thread:
    thread = _Thread(ident)
    _running[thread.ended] = ref(thread)
    return thread


def _leave(thread: _Thread) -> None:
    _running.pop(thread.ended, None)
    thread.ended.release()


_exiting = allocate_lock()
"""Held from when Python ends."""


def _enter() -> _Thread:
    """Note that this thread is about to be in SciPy's transform."""
    thread = _noted(get_ident())
    waits = _exiting.locked() and not hasattr(_own, "waited")
    if waits and import_module("threading").current_thread().daemon:
        _leave(thread)
        _own.waited = True
        _exiting.acquire(timeout=GRACE)
        thread = _noted(get_ident())
    return thread


def _start(work: Callable[[], None], running: list[Any]) -> None:
    """Start a thread, and add the lock that it holds until it ends."""

    def run(thread: _Thread) -> None:
        try:
            _throw()
            work()
        except MemoryError:
            pass  # what it has not begun is left to the others
        finally:
            _leave(thread)

    room = mmap(-1, ROOM)
    thread = _noted()
    running.append(thread.ended)
    try:
        start_new_thread(run, (thread,))
    finally:
        del thread
        room.close()


def _wait_for(threads: Iterable[Any]) -> None:
    for ended in threads:
        while (thread := _running.get(ended)) is not None and thread() is not None:
            ended.acquire(timeout=HEARD)  # on some systems no signal ends a wait
        _running.pop(ended, None)


@atexit.register
def _wait() -> None:
    """Let other threads end what they are at: Python ends none that is in C++."""
    _exiting.acquire(blocking=False)
    own, threads = get_ident(), tuple(_running.items())
    _wait_for([ended for ended, its in threads if getattr(its(), "ident", None) != own])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_running.clear)


def _along(
    axis: int, transform: Callable[..., Array], source: Array, target: Array, workers: int
) -> None:
    """Transform along an axis, in parts across the longest of the others."""
    others = [i for i in range(source.ndim) if i != axis]
    shape = max(source.shape, target.shape, key=prod)  # one of them is what is transformed
    most = PART // LONG if target.dtype.char in "gG" else PART
    parts: deque[tuple[slice, ...]] = deque([()])
    if others:
        parts = _shares(shape, max(others, key=lambda i: shape[i]), most)

    def do(part: tuple[slice, ...]) -> None:
        result = transform(source[part], axis=axis, workers=1)
        if not np.may_share_memory(result, target):  # SciPy may overwrite, and need not
            target[part] = result

    _share(do, parts, workers, long=prod(shape) > 2 * most * len(parts))


def _in_place(do: Callable[..., object], first: Array, *more: Array, workers: int) -> None:
    """Do something to all elements of contiguous arrays."""
    flat = [a.reshape(-1) for a in (first, *more)]
    _share(lambda part: do(*(a[part] for a in flat)), _shares(flat[0].shape, 0), workers)


def _product(a: Array, b: Array, workers: int) -> Array:
    """Multiply arrays of one dtype, of which one may be broadcast."""
    a, b = np.broadcast_arrays(a, b)
    result = np.empty_like(a, order="C")
    shares = deque(parts(result))  # across an axis, the first would be the first on every page
    _share(lambda part: np.multiply(a[part], b[part], out=result[part]), shares, workers)
    return result


def convolve(job: Job, dtype: np.dtype[Any], out: Array, workers: int) -> None:
    """Compute a collapsed job of finite numbers into `out`; of integers that `fits`."""
    fft = import_module("scipy.fft")
    _throw()
    axes, lengths = convolved(job), fast_lengths(full_lengths(job))
    last, n = axes[-1], lengths[-1]
    a, b = job.a, job.b
    shapes = a.shape, b.shape
    exponents = np.zeros((), np.intc)
    if dtype.kind in "iu":
        a, b = (contiguous(x, np.dtype(np.float64)) for x in (a, b))
    else:
        word = dtype.type(0).real.dtype
        a, b = (contiguous(x, dtype if x.dtype.kind == "c" else word) for x in (a, b))
        a, exponents_a = _scaled(a, axes)
        b, exponents_b = _scaled(b, axes)
        exponents = exponents_a + exponents_b
    real = a.dtype.kind == b.dtype.kind == "f"

    def forward(a: Array) -> Array:
        shape = list(a.shape)
        for axis, length in zip(axes, lengths, strict=True):
            shape[axis] = length
        if prod(shape) <= FEW:
            transform = fft.rfftn if real else fft.fftn
            return np.asarray(transform(a, lengths, axes=axes, workers=1))
        if real:
            shape[last] = n // 2 + 1
        spectrum = np.empty(shape, np.result_type(a.dtype, np.complex64))
        _in_place(lambda part: part.fill(0), spectrum, workers=workers)
        # Where there are zeros alone still, nothing is transformed.
        inputs = tuple(slice(length) for length in a.shape)
        transform = partial(fft.rfft if real else fft.fft, n=n)
        _along(last, transform, a, spectrum[inputs[:last]], workers)
        transform = partial(fft.fft, overwrite_x=True)
        for axis in axes[-2::-1]:
            some = spectrum[inputs[:axis]]
            _along(axis, transform, some, some, workers)
        return spectrum

    spectrum, other = forward(a), forward(b)
    if spectrum.shape == other.shape:
        _in_place(lambda x, y: np.multiply(x, y, out=x), spectrum, other, workers=workers)
    else:
        spectrum = _product(spectrum, other, workers)
    del other
    wanted, others = cut(job, ()), cut(job, axes)
    spectrum = spectrum[others]
    transform = partial(fft.ifft, overwrite_x=True)
    for axis in axes[:-1]:
        _along(axis, transform, spectrum, spectrum, workers)
        spectrum = spectrum[(*(slice(None),) * axis, wanted[axis])]

    def finish(part: Array, **how: Any) -> Array:
        result = np.asarray((fft.irfft if real else fft.ifft)(part, n=n, **how))
        some = result[(*(slice(None),) * last, wanted[last])]
        if dtype.kind in "iu":
            np.rint(result, out=result)
            # Rounded, it is exact in int64, and wraps from there on.
            return some.astype(np.int64).astype(dtype)
        return some

    _along(last, finish, spectrum, out, workers)
    if exponents.any():
        words = _words(out)
        whole = [1 if i in axes else max(pair) for i, pair in enumerate(zip(*shapes, strict=True))]
        exponents = np.broadcast_to(exponents, (*whole, 1))[others]
        exponents = np.broadcast_to(exponents, words.shape)
        _share(
            lambda part: _multiply(words[part], exponents[part], words[part]),
            deque(parts(words)),
            workers,
        )
