"""A problem in the Fourier engine's terms, and what it leaves to the direct one."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv._dispatch import engine_for
from fastconv._error import ROUNDOFF, error
from fastconv._parts import copied, parts

if TYPE_CHECKING:
    from fastconv._plan import Plan
    from fastconv._problem import Problem

    Array = np.ndarray[Any, Any]
    Rectangle = tuple[int, int, int, int, int]

__all__ = ["Transformed"]


def planes(kernel: Array, rotate: bool, conjugate: bool) -> Array:
    """Kernel of a correlation: its real and, if it is complex, its imaginary part."""
    if rotate:
        kernel = kernel[::-1, ::-1]
    if kernel.dtype.kind != "c":
        return copied(kernel[np.newaxis], np.dtype(np.float64))
    result = np.empty((2, *kernel.shape))
    for part in parts(kernel):
        result[0][part] = kernel.real[part]
        result[1][part] = -kernel.imag[part] if conjugate else kernel.imag[part]
    return result


def least(plan: Plan, problem: Problem) -> float:
    """Size, in errors of the transform, of the outputs that keep the bound of the defining sum.

    An output y of n products may differ by n u sum |a||w|, which is n u |y| at least. The transform
    is off by E at most, and rounding to the result's dtype by u |y|: with y known up to E, the
    promise is kept where |y| (n - 1) u > E (1 + n u): nowhere, of a single product.
    """
    if plan.engine != "certified" or problem.dtype.kind not in "fc":
        return 0.0
    both = problem.image.dtype.kind == problem.kernel.dtype.kind == "c"
    n, u = problem.kernel.size * (1 + both), ROUNDOFF["f32"]
    return float((1 + n * u) / ((n - 1) * u)) if n > 1 else inf


class Transformed:
    """A problem's kernel, transformed for the tiles of a plan; serves any image of its shape."""

    def __init__(self, problem: Problem, plan: Plan, workers: int) -> None:
        self.plan = plan
        taps = planes(problem.kernel, problem.rotate, problem.conjugate)
        # A line runs along x.
        self.upright = plan.line and taps.shape[1] > 1
        if self.upright:
            taps = copied(taps.transpose(0, 2, 1), taps.dtype)
        spectrum = engine_for("fft", plan.word).Spectrum
        folded = len(taps) == 1 and problem.image.dtype.kind != "c"
        self.spectrum = spectrum(taps, plan.height, plan.width, plan.line, folded, workers)
        self.error = error(plan.word, plan.height, plan.width, plan.line, folded)
        self.least = least(plan, problem)

    def run(self, problem: Problem, out: Array, workers: int) -> list[Rectangle]:
        """Compute all tiles but those returned, which are for the direct engine."""
        image, parts = problem.image, 1
        start = problem.start_y, problem.start_x
        if image.dtype.kind == "c":
            image, parts = image.real, 2
        if out.dtype.kind == "c":
            out = out.real
        fill = (0.0, 0.0)
        if problem.fill is not None:
            value = complex(problem.fill[0, 0])
            fill = (value.real, value.imag)
        if self.upright:
            image, out = image.swapaxes(-1, -2), out.swapaxes(-1, -2)
            start = start[::-1]
        left: list[Rectangle] = self.spectrum.run(
            image,
            out,
            image.dtype.str[1:],
            parts,
            *start,
            problem.boundary,
            fill,
            self.error,
            self.least,
            out.dtype.kind in "iu",
            workers,
        )
        if self.upright and left:
            left = [(k, x0, x1, y0, y1) for k, y0, y1, x0, x1 in left]
        return left
