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

from collections import deque
from contextlib import suppress
from functools import cache
from importlib import import_module
from itertools import pairwise
from math import log2, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import _costs

if TYPE_CHECKING:
    from collections.abc import Callable

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
    return float(np.linalg.norm(np.asarray(a, np.float64).ravel())) * _ROOM


def fits(job: Job) -> bool:
    """Whether a transform of integers surely rounds to the right ones."""
    points = prod(fast_lengths(full_lengths(job)))
    return C * max(1.0, log2(points)) * 2.0**-53 * norm(job.a) * norm(job.b) < 0.25


def _scaled(a: Array) -> tuple[Array, int]:
    """Array divided by a power of two, where its numbers are far from one, and the exponent."""
    info = np.finfo(a.dtype)
    parts = a.view(info.dtype) if a.dtype.kind == "c" else a
    largest = max(abs(parts.max()), abs(parts.min()))
    exponent = int(np.frexp(largest)[1])
    if abs(exponent) < int(info.maxexp) // 4:
        return a, 0
    return np.ldexp(parts, -exponent).view(a.dtype), exponent


# SciPy's threads take lines in vectors, and those left over one by one. Where the compiler fused
# multiplications with additions, as on AArch64, the last bits tell how many threads there were. So
# each call of SciPy has one thread, and parts that depend on the shape alone are shared out here.
PARTS = 16
PART = 1 << 18
"""Points of a part: milliseconds. Python looks for signals in between."""
SMALL = 1 << 15
"""Points that are not worth a thread."""


def _parts(shape: tuple[int, ...], axis: int) -> deque[tuple[slice, ...]]:
    n, points = shape[axis], prod(shape)
    parts = min(n, max(PARTS, points // PART)) if points > SMALL else 1
    seams = [i * n // parts for i in range(parts + 1)]
    before = (slice(None),) * axis
    return deque((*before, slice(*ends)) for ends in pairwise(seams))


def _share(
    do: Callable[[tuple[slice, ...]], None], parts: deque[tuple[slice, ...]], workers: int
) -> None:
    """Do something to all parts, each by one of so many threads."""
    from threading import Thread  # most programs never get here

    failed: list[BaseException] = []

    def work() -> None:
        while not failed:
            try:
                part = parts.popleft()
            except IndexError:
                return
            try:
                do(part)
            except BaseException as error:
                failed.append(error)

    threads = [Thread(target=work) for _ in range(min(workers, len(parts)) - 1)]
    started = []
    try:
        with suppress(RuntimeError):  # the system refuses: with fewer, then
            for thread in threads:
                thread.start()
                started.append(thread)
        work()
    finally:
        parts.clear()  # they are all done, unless a signal's handler raised
        for thread in started:
            thread.join()
    if failed:
        raise failed[0]


class _Transform:
    """A transform of one length for each of some axes, the last halved where data are real."""

    def __init__(self, axes: list[int], lengths: list[int], real: bool, workers: int) -> None:
        self.fft = import_module("scipy.fft")
        self.first, self.rest = axes[0], axes[1:]
        self.length, self.lengths = lengths[0], lengths[1:]
        self.real, self.workers = real, workers

    def apply(self, name: str, source: Array, target: Array, across: int, **how: Any) -> None:
        """Transform into `target` by the function of this name, in parts across an axis."""
        transform = getattr(self.fft, name)

        def do(part: tuple[slice, ...]) -> None:
            result = transform(source[part], workers=1, **how)
            if not np.may_share_memory(result, target):  # SciPy may overwrite, and need not
                target[part] = result

        _share(do, _parts(source.shape, across), self.workers)

    def along_first(self, name: str, spectrum: Array) -> None:
        self.apply(name, spectrum, spectrum, self.rest[0], axis=self.first, overwrite_x=True)

    def along_rest(self, name: str, source: Array, target: Array) -> None:
        self.apply(name, source, target, self.first, s=self.lengths, axes=self.rest)

    def forward(self, a: Array) -> Array:
        shape = list(a.shape)
        for axis, n in zip((self.first, *self.rest), (self.length, *self.lengths), strict=True):
            shape[axis] = n
        if self.real:
            shape[self.rest[-1]] = self.lengths[-1] // 2 + 1
        spectrum = np.empty(shape, np.result_type(a.dtype, np.complex64))
        self.along_rest("rfftn" if self.real else "fftn", a, spectrum)
        # Here, or the first part along the first axis would wait for all of this memory.
        padding = spectrum[(*(slice(None),) * self.first, slice(a.shape[self.first], None))]
        _share(lambda part: padding[part].fill(0), _parts(padding.shape, self.first), self.workers)
        self.along_first("fft", spectrum)
        return spectrum

    def product(self, a: Array, b: Array) -> Array:
        """Destroy the first spectrum, unless it is to be repeated."""
        if a.shape != b.shape:
            return np.asarray(a * b)
        flat_a, flat_b = a.reshape(-1), b.reshape(-1)

        def do(part: tuple[slice, ...]) -> None:
            flat_a[part] *= flat_b[part]

        _share(do, _parts(flat_a.shape, 0), self.workers)
        return a

    def inverse(self, spectrum: Array, start: int, length: int) -> Array:
        """Destroy the spectrum. Of the first axis only a part is wanted."""
        self.along_first("ifft", spectrum)
        spectrum = spectrum[(*(slice(None),) * self.first, slice(start, start + length))]
        shape = list(spectrum.shape)
        for axis, n in zip(self.rest, self.lengths, strict=True):
            shape[axis] = n
        result = np.empty(shape, spectrum.real.dtype if self.real else spectrum.dtype)
        self.along_rest("irfftn" if self.real else "ifftn", spectrum, result)
        return result


def convolve(job: Job, dtype: np.dtype[Any], out: Array, workers: int) -> None:
    """Compute a collapsed job of finite numbers into `out`; of integers that `fits`."""
    axes, shape = convolved(job), fast_lengths(full_lengths(job))
    if len(axes) == 1:
        # An axis with one element makes them two.
        axes, shape, out = [0, axes[0] + 1], [1, *shape], out[np.newaxis]
        job = job._replace(
            a=job.a[np.newaxis], b=job.b[np.newaxis], start=(0, *job.start), shape=(1, *job.shape)
        )
    a, b = job.a, job.b
    exponents = 0
    if dtype.kind in "iu":
        a, b = a.astype(np.float64), b.astype(np.float64)
    else:
        real = dtype.type(0).real.dtype
        a, b = (np.ascontiguousarray(x, dtype if x.dtype.kind == "c" else real) for x in (a, b))
        a, exponent_a = _scaled(a)
        b, exponent_b = _scaled(b)
        exponents = exponent_a + exponent_b
    transform = _Transform(axes, shape, a.dtype.kind == b.dtype.kind == "f", workers)
    spectrum = transform.product(transform.forward(a), transform.forward(b))
    start = list(job.start)
    full = transform.inverse(spectrum, start[axes[0]], job.shape[axes[0]])
    start[axes[0]] = 0
    if dtype.kind in "iu":
        np.rint(full, out=full)
    # Along the axes without a transform what is left may be longer than `full` by broadcasting
    # alone, which the product has done.
    full = full[
        tuple(slice(start, start + length) for start, length in zip(start, job.shape, strict=True))
    ]

    def finish(part: tuple[slice, ...]) -> None:
        piece = full[part]
        # Rounded, it is exact in int64, and wraps from there on.
        out[part] = piece if dtype.kind not in "iu" else piece.astype(np.int64).astype(dtype)

    _share(finish, _parts(job.shape, axes[0]), workers)
    if exponents:
        words = out.reshape(-1).view(np.finfo(dtype).dtype)

        def scale(part: tuple[slice, ...]) -> None:
            with np.errstate(all="ignore"):
                np.ldexp(words[part], exponents, out=words[part])

        _share(scale, _parts(words.shape, 0), workers)
