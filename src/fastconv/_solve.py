"""From a problem to its result: where it is written, and the engine that a plan names."""

from __future__ import annotations

import sys
from functools import cache
from math import prod, sqrt
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastconv import _error, _plan, _rank_one
from fastconv._dispatch import FOURIER_WORDS, engine_for, run, word_of
from fastconv._fourier import Transformed
from fastconv._parts import assign, pieces, sum_of_squares
from fastconv._problem import FILL, Problem, all_finite, check_out, converted, may_overlap
from fastconv._workers import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import SupportsIndex

    Array = np.ndarray[Any, Any]

# Real products that take the direct sum some 50 us.
SMALL = 1 << 21

# Of a typical tile.
POINTS = 1 << 14

# A look at this many rows and columns tells how large the pixels are.
SAMPLE = 32


class Engine(Protocol):
    """What a plan became: a kernel made ready. Immutable, so that threads may share it.

    An engine that `returns` to the output may lack memory when some of it is written.
    """

    plan: _plan.Plan

    def returns(self, problem: Problem) -> bool:
        """Whether something may be left to do after a first pass over the output."""

    def run(self, problem: Problem, out: Array, workers: int) -> None:
        """Compute the problem, any one of the same shapes and kernel, into `out`."""


class Direct:
    """The defining sum, in two steps if the kernel has factors."""

    def __init__(self, plan: _plan.Plan, factors: tuple[Array, Array] | None = None) -> None:
        self.plan = plan
        self.factors = factors

    def returns(self, problem: Problem) -> bool:
        """Nothing is ever left."""
        return False

    def run(self, problem: Problem, out: Array, workers: int) -> None:
        """Compute the problem into `out`."""
        factors = self.factors
        if problem.dtype.kind == "c":
            whole = _complete(problem)
            if factors is not None:
                whole = whole._replace(kernel=problem.kernel)
                if whole.image is not problem.image:
                    factors = factors_of(whole)  # it may be another one that is the last
            problem = whole
        run(problem, out, workers, factors)


DIRECT = Direct(_plan.Plan("direct"))
"""It keeps nothing of a kernel, so one serves all."""


class Fourier:
    """Transforms, and the defining sum for the tiles they can not promise."""

    def __init__(self, problem: Problem, plan: _plan.Plan, workers: int) -> None:
        self.plan = plan
        self.transformed = Transformed(problem, plan, workers)

    def returns(self, problem: Problem) -> bool:
        """Tiles with an Inf or a NaN are, and any that can not be certified."""
        fill = problem.fill
        finite = all_finite(problem.image) and (fill is None or all_finite(fill))
        return self.plan.engine != "fft" or problem.dtype.kind in "iu" or not finite

    def run(self, problem: Problem, out: Array, workers: int) -> None:
        """Compute the problem into `out`."""
        imag: Iterator[Array] = iter(())  # now, as it takes memory
        if out.dtype.kind == "c" and problem.image.dtype.kind == problem.kernel.dtype.kind == "f":
            imag = pieces(out.imag)
        left = self.transformed.run(problem, out, workers)
        for part in imag:
            part.fill(0)
        if not left:
            return
        problem = _complete(problem)
        for k, y0, y1, x0, x1 in left:
            place = np.unravel_index(k, out.shape[:-2])
            rectangle = problem._replace(
                image=problem.image[place],
                shape=(y1 - y0, x1 - x0),
                start_y=problem.start_y + y0,
                start_x=problem.start_x + x0,
            )
            run(rectangle, out[place][y0:y1, x0:x1], workers)


def _complete(problem: Problem) -> Problem:
    """Add imaginary parts that were left out of a complex problem, where they matter.

    They cost no work, but zero times Inf is NaN.
    """
    image, kernel, fill, dtype = problem.image, problem.kernel, problem.fill, problem.dtype
    if dtype.kind != "c" or image.dtype.kind == kernel.dtype.kind == "c":
        return problem
    if all_finite(image) and all_finite(kernel) and (fill is None or all_finite(fill)):
        return problem
    return problem._replace(image=converted(image, dtype), kernel=converted(kernel, dtype))


def _small_enough(problem: Problem) -> bool:
    """Whether sums of these integers should come out exact of a transform; a guess."""
    image, kernel = problem.image, problem.kernel
    few = (4,) * (image.ndim - 2) + (SAMPLE, SAMPLE)
    if not image.size:
        return True
    steps = [-(-n // m) for n, m in zip(image.shape, few, strict=True)]
    sample = image[tuple(slice(None, None, step) for step in steps)]
    square = 2 * POINTS * sum_of_squares(sample) / sample.size * sum_of_squares(kernel)
    return _error.guess(POINTS) * sqrt(square) < 0.25


def _slack(problem: Problem) -> tuple[int, int]:
    """Zeros at both ends of each axis of what the outputs are made of."""
    if problem.boundary != FILL or problem.fill is not None:
        return 0, 0
    starts = problem.start_y, problem.start_x
    sizes = problem.image.shape[-2:], problem.shape, problem.kernel.shape
    y, x = (
        max(0, min(-start, start + m + k - 1 - n))
        for start, n, m, k in zip(starts, *sizes, strict=True)
    )
    return y, x


def facts(problem: Problem, rank_one: bool, transformable: bool, once: bool = True) -> _plan.Facts:
    """Return what a plan depends on."""
    image, kernel, dtype = problem.image, problem.kernel, problem.dtype
    if max(problem.shape) > sys.maxsize:
        raise ValueError("Maximum allowed dimension exceeded")  # as NumPy says
    return _plan.Facts(
        problem.shape,
        kernel.shape,
        _slack(problem),
        prod(image.shape[:-2]),
        1 + (image.dtype.kind == "c"),
        1 + (kernel.dtype.kind == "c"),
        dtype.char,
        word_of(dtype),
        engine_for("direct", word_of(dtype)).BUILD["lanes"],
        rank_one,
        transformable,
        once,
    )


def factors_of(problem: Problem) -> tuple[Array, Array] | None:
    """Return the factors of the kernel, in the order in which the engine sums with them."""
    engine = engine_for("direct", word_of(problem.dtype))
    words = 1 + (problem.image.dtype.kind == "c")
    return _rank_one.factors(problem.kernel, engine.columns_first(*problem.shape, words))


def _transformable(problem: Problem) -> bool:
    if problem.dtype.kind in "iu":
        return _small_enough(problem)
    return all_finite(problem.kernel)


@cache
def lanes() -> tuple[tuple[str, int], ...]:
    """Lanes of the transforms at the level in use."""
    return tuple((word, engine_for("fft", word).BUILD["lanes"]) for word in FOURIER_WORDS)


def choose(
    problem: Problem, method: str, once: bool = True
) -> tuple[_plan.Plan, tuple[Array, Array] | None]:
    """Choose an engine, and factorise the kernel if it is for that.

    Facts about the data take time: all are taken for granted until the choice rests on one.
    """
    factors: tuple[Array, Array] | None = None
    rank_one, looked = method == "separable" or _rank_one.may_gain(*problem.kernel.shape), False
    transformable = True
    while True:
        known = facts(problem, rank_one, transformable, once)
        plan = _plan.decide(known, method, lanes())
        if plan.engine == "separable" and factors is None:
            factors = factors_of(problem)
            if factors is not None:
                return plan, factors
            if method == "separable":
                raise ValueError(
                    "the kernel is not separable: it is not the outer product of two vectors"
                    f" of {problem.kernel.real.dtype}"
                )
            rank_one = False
        elif plan.word and not looked:
            looked, transformable = True, _transformable(problem)
            if transformable:
                return plan, None
        else:
            return plan, None


def is_small(problem: Problem, method: str) -> bool:
    """Whether a plan would take longer than it could save."""
    image, kernel = problem.image, problem.kernel
    m_y, m_x = problem.shape
    products: int = m_y * m_x * kernel.size
    if image.ndim > 2:
        products *= prod(image.shape[:-2])
    # Complex ones are four times as many at most; what is far below is not asked.
    if products * 4 >= SMALL and problem.dtype.kind == "c":
        products *= (1 + (image.dtype.kind == "c")) * (1 + (kernel.dtype.kind == "c"))
    return products < SMALL and method in ("auto", "fast")


def plan_of(problem: Problem, method: str, once: bool = True) -> _plan.Plan:
    """Tell what `engine` chooses, and all that speaks against the others."""
    if is_small(problem, method):
        plan = _plan.decide(facts(problem, False, False), "direct", lanes())
        why = "the problem is too small to look for anything faster"
        return plan._replace(others=tuple((name, why) for name in _plan.ENGINES[method][1:]))
    choose(problem, method)  # refuses what it must
    may_gain = method == "separable" or _rank_one.may_gain(*problem.kernel.shape)
    rank_one = may_gain and factors_of(problem) is not None
    known = facts(problem, rank_one, _transformable(problem), once)
    return _plan.decide(known, method, lanes())


def engine(problem: Problem, method: str, workers: int, once: bool = True) -> Engine:
    """Choose an engine, and make the kernel ready for it."""
    if method == "direct" or is_small(problem, method):
        return DIRECT
    plan, factors = choose(problem, method, once)
    if plan.word:
        return Fourier(problem, plan, workers)
    return Direct(plan, factors)


def check_method(method: str) -> None:
    """Refuse what is no method of the 2-D functions."""
    if method not in _plan.ENGINES:
        *names, last = map(repr, _plan.ENGINES)
        raise ValueError(f"Acceptable method flags are {', '.join(names)}, or {last}.")


def solve(
    problem: Problem,
    method: str,
    out: Array | None,
    workers: SupportsIndex | None,
    ready: Engine | None = None,
) -> Array:
    """Compute a problem, or a stack of them, into a new array or into `out`."""
    if method not in _plan.ENGINES:
        check_method(method)
    n_threads = resolve(workers)
    shape = problem.shape
    if problem.image.ndim > 2:
        shape = problem.image.shape[:-2] + shape
    result = target = None
    if out is not None:
        check_out(out, shape, problem.dtype)
        result = target = np.asarray(out)  # what a subclass does to items is not for results
        if may_overlap(out, problem.image) or may_overlap(out, problem.kernel):
            result = None
    if 0 not in shape and problem.kernel.size:
        ready = ready or engine(problem, method, n_threads)
        if result is None or ready.returns(problem):
            result = np.empty(shape, problem.dtype)
        ready.run(problem, result, n_threads)
    else:
        result = np.zeros(shape, problem.dtype)
    if out is None or target is None:
        return result
    if result is not target:
        assign(target, result)
    return out


def compute(problem: Problem, method: str, result: Array, workers: int) -> None:
    """Compute a problem into an array that nobody has seen."""
    if problem.kernel.size and result.size:
        engine(problem, method, workers).run(problem, result, workers)
    else:
        result[...] = 0
