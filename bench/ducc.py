"""
Convolution through ducc0's transforms, as its users would write it: a peer that is hard to beat.

Two ways, both with zeros around the image, both transforming the kernel within the call:
`whole` transforms the image as one, `tiles` by overlapping tiles (overlap-save), which stay in
cache and are spread over threads. Neither transforms what it knows to be zero, nor rows of the
result that would be thrown away.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
from common import Array, Call
from ducc0 import fft
from problems import Problem, Shape


def _supported(problem: Problem) -> bool:
    return problem.image.dtype.kind == "f" and problem.image.ndim == 2


def _inverse(spectrum: Array, rows: slice, width: int, threads: int = 1) -> Array:
    """Transform `spectrum` back, overwriting it, along the last axis only the given rows."""
    fft.c2c(spectrum, axes=(0,), forward=False, out=spectrum, nthreads=threads)
    result: Array = fft.c2r(
        spectrum[rows],
        axes=(1,),
        lastsize=width,
        forward=False,
        nthreads=threads,
        allow_overwriting_input=True,
    )
    return result


def whole(problem: Problem) -> Call | None:
    if not _supported(problem):
        return None
    image, kernel, start, shape = problem.image, problem.kernel, problem.start, problem.shape
    threads = problem.threads
    # Long enough that what wraps around falls on what is cut off, before `start` and behind it.
    needed = [
        max(first + out, n + k - 1 - first)
        for first, out, n, k in zip(start, shape, image.shape, kernel.shape, strict=True)
    ]
    height, width = fft.good_size(needed[0], False), fft.good_size(needed[1], True)
    scale = image.dtype.type(1 / (height * width))

    def spectrum(array: Array, factor: Array) -> Array:
        padded = np.zeros((array.shape[0], width), array.dtype)
        np.multiply(array, factor, out=padded[:, : array.shape[1]])
        result = np.zeros((height, width // 2 + 1), np.result_type(array, np.complex64))
        fft.r2c(padded, axes=(1,), out=result[: array.shape[0]], nthreads=threads)
        fft.c2c(result, axes=(0,), out=result, nthreads=threads)
        return result

    def call() -> Array:
        transformed = spectrum(image, image.dtype.type(1))
        transformed *= spectrum(kernel, scale)
        rows = _inverse(transformed, slice(start[0], start[0] + shape[0]), width, threads)
        return rows[:, start[1] : start[1] + shape[1]]

    return call


def tiles(problem: Problem, side: int) -> Call | None:
    """Cut into tiles of at most about `side`, as equal as the image allows."""
    image, kernel, shape = problem.image, problem.kernel, problem.shape
    if not _supported(problem) or 2 * max(kernel.shape) > side or side >= 2 * max(shape):
        return None
    # Of each tile, `step` outputs are used. The input of output 0 begins at `first`.
    steps, sides = [], []
    for axis, k in enumerate(kernel.shape):
        number = -(-shape[axis] // (side - k + 1))
        steps.append(-(-shape[axis] // number))
        sides.append(fft.good_size(steps[axis] + k - 1, axis == 1))
    first = [start - k + 1 for start, k in zip(problem.start, kernel.shape, strict=True)]
    origins = list(product(*(range(0, n, step) for n, step in zip(shape, steps, strict=True))))
    lead_y, lead_x = (k - 1 for k in kernel.shape)
    # One pool for all runs: to start threads is not what is measured.
    pool = ThreadPoolExecutor(problem.threads) if problem.threads > 1 else None

    def gather(y: int, x: int) -> Array:
        part = image[max(y, 0) : max(y + sides[0], 0), max(x, 0) : max(x + sides[1], 0)]
        if part.shape == tuple(sides):
            return part
        padded = np.zeros(sides, image.dtype)
        top, left = max(-y, 0), max(-x, 0)
        padded[top : top + part.shape[0], left : left + part.shape[1]] = part
        return padded

    def call() -> Array:
        padded = np.zeros(sides, kernel.dtype)
        padded[: kernel.shape[0], : kernel.shape[1]] = kernel
        weights = fft.r2c(padded, inorm=2)
        out = np.empty(shape, image.dtype)

        def run(origin: Shape) -> None:
            target = out[origin[0] : origin[0] + steps[0], origin[1] : origin[1] + steps[1]]
            height, width = target.shape
            transformed = fft.r2c(gather(origin[0] + first[0], origin[1] + first[1]))
            transformed *= weights
            rows = _inverse(transformed, slice(lead_y, lead_y + height), sides[1])
            target[...] = rows[:, lead_x : lead_x + width]

        for _ in pool.map(run, origins) if pool else map(run, origins):
            pass
        return out

    return call
