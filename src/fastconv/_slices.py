"""N dimensions from two: sums of 2-D convolutions of slices, and stacks of images.

    out[p, ...] = sum_i  a[p - i, ...] ** b[i, ...]

where p and i run over all axes but two, and ** is the 2-D convolution over these two. The sum runs
in the order of i, in the arithmetic of the result. So integers stay exact modulo 2**w, and floats
keep the bound of the direct sum: n products, added in whatever order.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastconv._problem import all_finite, convolution
from fastconv._solve import solve

if TYPE_CHECKING:
    from fastconv._problem import Problem

    Array = np.ndarray[Any, Any]


class Job(NamedTuple):
    """A part of the full convolution of two arrays that have as many dimensions.

    Along each axis it begins at `start` and has the length in `shape`. Along the axes that are
    `paired` nothing is convolved: element goes with element, or with the only one there is. b is
    the one that meets the zeros around the other.
    """

    a: Array
    b: Array
    start: tuple[int, ...]
    shape: tuple[int, ...]
    paired: tuple[bool, ...]


def collapse(job: Job) -> Job:
    """Drop the axes of length one, and merge neighbours along which b has one element."""
    a, b, start, shape, paired = job
    groups: list[list[int]] = []
    for i, (n, m) in enumerate(zip(a.shape, b.shape, strict=True)):
        if n == m == 1:
            continue
        if m == 1 and groups and b.shape[groups[-1][0]] == 1:
            groups[-1].append(i)
        else:
            groups.append([i])

    def lengths(sizes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(prod(sizes[i] for i in group) for group in groups)

    return Job(
        a.reshape(lengths(a.shape)),
        b.reshape(lengths(b.shape)),
        tuple(start[group[0]] for group in groups),
        lengths(shape),
        # One element that is broadcast is one tap.
        tuple(paired[group[0]] and b.shape[group[0]] > 1 for group in groups),
    )


def _with_a_plane(job: Job) -> Job:
    """Add axes of length one in front until there are two to convolve along."""
    a, b, start, shape, paired = job
    missing = max(0, 2 - paired.count(False))
    ones, zeros = (1,) * missing, (0,) * missing
    return Job(
        a.reshape(ones + a.shape),
        b.reshape(ones + b.shape),
        zeros + start,
        ones + shape,
        (False,) * missing + paired,
    )


def _terms(job: Job, axis: int) -> int:
    """Upper bound of the number of pairs of slices that meet along an axis."""
    n, m = job.a.shape[axis], job.b.shape[axis]
    return job.shape[axis] * (1 if job.paired[axis] else min(n, m))


def _plane(job: Job) -> tuple[int, int]:
    """Choose the two axes for the 2-D engines: those that would make most slices; the last ones."""
    free = [axis for axis, paired in enumerate(job.paired) if not paired]
    y, x = sorted(sorted(free, key=lambda axis: (_terms(job, axis), axis))[-2:])
    return y, x


def count(job: Job) -> int:
    """Count the 2-D convolutions that make up a collapsed job, at most."""
    job = _with_a_plane(job)
    plane = _plane(job)
    return prod(_terms(job, axis) for axis in range(len(job.shape)) if axis not in plane)


def _meetings(job: Job, axis: int, border: bool) -> list[list[tuple[int | None, int]]]:
    """Tell for each output along an axis which slice of a, None outside, meets which of b.

    What lies outside matters, if `border`, where zero times an Inf or a NaN is a NaN.
    """
    n, m, first = job.a.shape[axis], job.b.shape[axis], job.start[axis]
    outputs = range(first, first + job.shape[axis])
    if job.paired[axis]:
        return [[(p if n > 1 else 0, p if m > 1 else 0)] for p in outputs]
    if border:
        return [[(p - i if 0 <= p - i < n else None, i) for i in range(m)] for p in outputs]
    return [[(p - i, i) for i in range(max(0, p - n + 1), min(m, p + 1))] for p in outputs]


def by_slices(job: Job, dtype: np.dtype[Any], method: str, out: Array, workers: int) -> None:
    """Compute a collapsed job into `out`, which is C-contiguous and overlaps no input.

    The arrays of the job are of `dtype` or its real part's.
    """
    job = _with_a_plane(job)
    y, x = _plane(job)
    rest = [axis for axis in range(len(job.shape)) if axis not in (y, x)]
    out = out.reshape(job.shape)
    a, b, out = (np.moveaxis(array, (y, x), (-2, -1)) for array in (job.a, job.b, out))
    start, shape = (job.start[y], job.start[x]), (job.shape[y], job.shape[x])

    b_is_larger = prod(b.shape[-2:]) > prod(a.shape[-2:])
    swap = b_is_larger and all_finite(job.a) and all_finite(job.b)

    def problem(image: Array, kernel: Array) -> Problem:
        return convolution(image, kernel, start, shape, dtype, swap)

    if not rest:
        solve(problem(a, b), method, out, workers)
        return
    finite_b = swap or all_finite(job.b)
    lengths = [(job.a.shape[axis], job.b.shape[axis], job.paired[axis]) for axis in rest]
    if all(paired or m == 1 or (n == 1 and finite_b) for n, m, paired in lengths):
        parts = [slice(job.start[axis], job.start[axis] + job.shape[axis]) for axis in rest]
        whole = slice(None)
        a = a[
            tuple(part if n > 1 else whole for part, (n, _, _) in zip(parts, lengths, strict=True))
        ]
        b = b[
            tuple(part if m > 1 else whole for part, (_, m, _) in zip(parts, lengths, strict=True))
        ]
        one = problem(a[(0,) * len(rest)], b[(0,) * len(rest)])
        images, kernels = (a, b) if one.image.shape == a.shape[-2:] else (b, a)
        solve_batch(one, images, kernels, out, method, workers)
        return
    meetings = [_meetings(job, axis, not finite_b) for axis in rest]
    outside = np.broadcast_to(np.zeros((), a.dtype), a.shape[-2:])
    term = np.empty(shape, dtype)
    for place in np.ndindex(out.shape[:-2]):
        target = out[place]
        fresh = True
        for pairs in product(*(met[p] for met, p in zip(meetings, place, strict=True))):
            where = [i for i, _ in pairs]
            image = outside if None in where else a[tuple(where)]
            piece = problem(image, b[tuple(i for _, i in pairs)])
            if fresh:
                solve(piece, method, target, workers)
                fresh = False
            else:
                solve(piece, method, term, workers)
                with np.errstate(all="ignore"):
                    target += term


def solve_batch(
    problem: Problem, images: Array, kernels: Array, outs: Array, method: str, workers: int | None
) -> None:
    """Solve a stack of problems that differ from `problem` in image and kernel alone.

    `images` and `kernels` are broadcast to the stack of `outs`. Images that share a kernel are one
    call of an engine.
    """
    stack = outs.shape[:-2]
    images = np.broadcast_to(images, stack + images.shape[-2:])
    kernels = kernels[(np.newaxis,) * (outs.ndim - kernels.ndim)]
    # Axes along which there is one kernel go last: they are the engine's.
    several = [axis for axis in range(len(stack)) if kernels.shape[axis] > 1]
    first = range(len(several))
    images, kernels, outs = (
        np.moveaxis(array, several, first) for array in (images, kernels, outs)
    )
    for place in np.ndindex(outs.shape[: len(several)]):
        kernel = kernels[place]
        one = problem._replace(image=images[place], kernel=kernel.reshape(kernel.shape[-2:]))
        solve(one, method, outs[place], workers)
