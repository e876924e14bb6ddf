"""N dimensions from two: sums of 2-D convolutions of slices, and stacks of images.

    out[p, ...] = sum_i  a[p - i, ...] ** b[i, ...]

where p and i run over all axes but two, and ** is the 2-D convolution over these two. A slice of b
meets all slices of a at once: they are a stack, and each i is one call of an engine. The sum runs
in a fixed order, in the arithmetic of the result. So integers stay exact modulo 2**w, and floats
keep the bound of the direct sum: n products, added in whatever order.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastconv import _costs, _plan, _solve
from fastconv._parts import add, assign, pieces, places, reshaped
from fastconv._problem import all_finite, convolution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastconv._problem import Problem

    Array = np.ndarray[Any, Any]

# Bytes of the sum's next term, and as many of its outputs: they stay in the cache meanwhile.
TERM = 1 << 21


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
    """Drop the axes of length one, and merge neighbours along which all are alike.

    These are axes along which b has one element, and those along which the only output is made of
    all elements of both.
    """
    a, b, start, shape, paired = job
    groups: list[list[int]] = []
    kinds: list[str] = []
    for i, (n, m) in enumerate(zip(a.shape, b.shape, strict=True)):
        if n == m == 1:
            continue
        kind = "one tap" if m == 1 else "several"
        if n == m and shape[i] == 1 and not paired[i]:  # of 'valid', for it has no other
            kind = "one output"
        if groups and kind == kinds[-1] != "several":
            groups[-1].append(i)
        else:
            groups.append([i])
            kinds.append(kind)

    def lengths(sizes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(prod(sizes[i] for i in group) for group in groups)

    return Job(
        reshaped(a, lengths(a.shape)),
        reshaped(b, lengths(b.shape)),
        tuple(
            lengths(b.shape)[k] - 1 if kind == "one output" else start[groups[k][0]]
            for k, kind in enumerate(kinds)
        ),
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


class Slices(NamedTuple):
    """A job as 2-D problems. The arrays' last two axes are those of the slices.

    Along the others an output p is a sum over i, at most kernels.shape[axis] of them, where the
    axis is `summed`, and the product of image and kernel p, or of the only one there is, elsewhere.
    """

    images: Array
    kernels: Array
    summed: tuple[bool, ...]
    start: tuple[int, ...]  # along each axis but the last two
    shape: tuple[int, ...]  # of the outputs
    plane: tuple[int, int]  # where the last two axes were
    problem: Problem  # of the first image and kernel


def slices_of(job: Job, dtype: np.dtype[Any]) -> Slices:
    """Cut a collapsed job, of which the arrays are of `dtype` or its real part's, into slices."""
    job = _with_a_plane(job)
    y, x = _plane(job)
    rest = [axis for axis in range(len(job.shape)) if axis not in (y, x)]
    order = [*rest, y, x]
    a, b = job.a.transpose(order), job.b.transpose(order)
    finite_b = all_finite(job.b)
    b_is_larger = (prod(b.shape[-2:]), b.size) > (prod(a.shape[-2:]), a.size)
    if b_is_larger and finite_b and all_finite(job.a):
        # Convolution is commutative: let the smaller slices be the kernels.
        a, b = b, a
    start = [job.start[axis] for axis in rest]
    shape = [job.shape[axis] for axis in rest]
    summed = []
    for i, axis in enumerate(rest):
        n, m = a.shape[i], b.shape[i]
        is_sum = not (job.paired[axis] or m == 1 or (n == 1 and finite_b))
        summed.append(is_sum)
        part = (slice(None),) * i + (slice(start[i], start[i] + shape[i]),)
        if is_sum and not finite_b:
            # What lies outside is multiplied, for zero times an Inf is a NaN.
            a = _padded(a, i, m - 1)
            start[i] += m - 1
        elif not is_sum:
            a = a[part] if n > 1 else a
            b = b[part] if m > 1 else b
            start[i] = 0
    first = (0,) * len(rest)
    one = convolution(
        a[first], b[first], (job.start[y], job.start[x]), (job.shape[y], job.shape[x]), dtype, False
    )
    return Slices(a, b, tuple(summed), tuple(start), tuple(shape), (y, x), one)


def _padded(a: Array, axis: int, count: int) -> Array:
    """Add zeros at both ends of an axis."""
    shape = [n + 2 * count if i == axis else n for i, n in enumerate(a.shape)]
    result = np.zeros(shape, a.dtype)
    assign(result[(slice(None),) * axis + (slice(count, count + a.shape[axis]),)], a)
    return result


def calls(slices: Slices) -> int:
    """Count the kernels, each of which meets a stack of images."""
    return prod(slices.kernels.shape[:-2])


def stacked(slices: Slices) -> Problem:
    """Return the problem of one of the kernels, and the largest stack of images that it meets."""
    a, b, summed, _, shape, _, one = slices
    kernel = b[tuple(m // 2 for m in b.shape[:-2])]
    several = zip(shape, a.shape, b.shape, summed, strict=False)
    stack = prod(min(p, n) if s else p for p, n, m, s in several if s or m == 1)
    image = np.broadcast_to(one.image, (stack, *one.image.shape)) if stack > 1 else one.image
    return one._replace(image=image, kernel=kernel)


def problems(slices: Slices) -> Iterator[Problem]:
    """Yield the problems of all kernels."""
    one, b = stacked(slices), slices.kernels
    for place in places(b.shape[:-2]):
        yield one._replace(kernel=b[place])


def predict(slices: Slices, method: str) -> tuple[_plan.Plan, float]:
    """Return the plan for one kernel, and the seconds that all of them take."""
    problem = stacked(slices)
    plan = _solve.choose(problem, method)[0]
    terms = calls(slices)
    seconds = terms * plan.seconds + (terms - 1) * _costs.SLICE_CALL
    if any(slices.summed):
        outputs = prod(problem.shape) * prod(problem.image.shape[:-2])
        seconds += terms * _costs.adding(outputs * problem.dtype.itemsize)
    return plan, seconds


def is_small(slices: Slices) -> bool:
    """Whether a choice would take longer than it could save."""
    one = slices.problem
    products = prod(slices.shape) * prod(one.shape) * slices.kernels.size
    if one.dtype.char in "gG":
        products *= LONG
    return products + CALL * calls(slices) < _solve.SMALL


LONG = 100
"""Products of other words that take as long as one of long double."""

CALL = 1 << 17
"""Products that take as long as a call of an engine."""


def by_slices(slices: Slices, method: str, out: Array, workers: int) -> None:
    """Compute slices into `out`, which is C-contiguous and overlaps no input."""
    a, b, summed, start, shape, plane, one = slices
    # In the order of `_with_a_plane`.
    inserted = list(shape)
    for axis, length in zip(plane, one.shape, strict=True):
        inserted.insert(axis, length)
    out = np.moveaxis(out.reshape(inserted), plane, (-2, -1))
    if not any(summed):
        solve_batch(one, a, b, out, method, workers)
        return
    # The outputs in blocks, along the first axis that is summed.
    axis = summed.index(True)
    step = shape[axis]
    if out.nbytes > TERM and not predict(slices, method)[0].word:
        step = max(1, TERM * step // out.nbytes)
    term = np.empty(step * out.size // shape[axis], one.dtype)
    for p in range(0, shape[axis], step):
        length = min(step, shape[axis] - p)
        block = slices._replace(
            start=(*start[:axis], start[axis] + p, *start[axis + 1 :]),
            shape=(*shape[:axis], length, *shape[axis + 1 :]),
        )
        place = (slice(None),) * axis + (slice(p, p + length),)
        _add_up(block, method, out[place], term, workers)


def _add_up(slices: Slices, method: str, out: Array, scratch: Array, workers: int) -> None:
    """Add up the terms of a block of outputs."""
    a, b, summed, start, shape, _, one = slices
    fresh = True
    terms = [m if s else 1 for m, s in zip(b.shape, summed, strict=False)]
    # The terms that reach all outputs go first: there is nothing to add them to.
    for whole in (True, False):
        for place in places(terms):
            images, kernels, outs = [], [], []
            reaches = True
            for i, s, first, length, n in zip(place, summed, start, shape, a.shape, strict=False):
                low, high = max(first, i), min(first + length, n + i)
                reaches &= not s or (low == first and high == first + length)
                images.append(slice(max(low - i, 0), max(high - i, 0)) if s else slice(None))
                kernels.append(slice(i, i + 1) if s else slice(None))
                outs.append(slice(low - first, max(high, low) - first) if s else slice(None))
            if reaches is not whole:
                continue
            target = out[tuple(outs)]
            if not target.size:
                continue
            if fresh and not whole:
                for piece in pieces(out):
                    piece.fill(0)
            term = target
            if not (fresh and whole):
                term = scratch[: target.size].reshape(target.shape)
            fresh = False
            solve_batch(one, a[tuple(images)], b[tuple(kernels)], term, method, workers)
            if term is not target:
                add(target, term)


def solve_batch(
    problem: Problem,
    images: Array,
    kernels: Array,
    outs: Array,
    method: str,
    workers: int,
    solve: Callable[[Problem, str, Array, int], object] = _solve.compute,
) -> None:
    """Solve a stack of problems that differ from `problem` in image and kernel alone.

    `images` and `kernels` are broadcast to the stack of `outs`. Images that share a kernel are one
    call of an engine.
    """
    stack = outs.shape[:-2]
    if images.shape[:-2] != stack:
        images = np.broadcast_to(images, stack + images.shape[-2:])
    if kernels.size == prod(kernels.shape[-2:]):
        one = problem._replace(image=images, kernel=kernels.reshape(kernels.shape[-2:]))
        solve(one, method, outs, workers)
        return
    kernels = kernels[(np.newaxis,) * (outs.ndim - kernels.ndim)]
    # Axes along which there is one kernel go last: they are the engine's.
    several = [axis for axis in range(len(stack)) if kernels.shape[axis] > 1]
    first = range(len(several))
    images, kernels, outs = (
        np.moveaxis(array, several, first) for array in (images, kernels, outs)
    )
    for place in places(outs.shape[: len(several)]):
        kernel = kernels[place]
        one = problem._replace(image=images[place], kernel=kernel.reshape(kernel.shape[-2:]))
        solve(one, method, outs[place], workers)
