"""From a problem to its result: where it is written, and the engine that a plan names."""

from __future__ import annotations

from math import log2, prod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastconv import _plan, _rank_one
from fastconv._dispatch import engine_for, run, word_of
from fastconv._fourier import Transformed
from fastconv._problem import Problem, all_finite, check_out
from fastconv._workers import resolve

if TYPE_CHECKING:
    from typing import SupportsIndex

    Array = np.ndarray[Any, Any]

# Products that take the direct sum some 100 us.
SMALL = 1 << 22

# A look at this many rows and columns tells how large the pixels are.
SAMPLE = 32


class Engine(Protocol):
    """What a plan became: a kernel made ready. Immutable, so that threads may share it."""

    plan: _plan.Plan

    def run(self, problem: Problem, out: Array, workers: int) -> None:
        """Compute the problem, any one of the same shapes and kernel, into `out`."""


class Direct:
    """The defining sum."""

    def __init__(self, plan: _plan.Plan) -> None:
        self.plan = plan

    def run(self, problem: Problem, out: Array, workers: int) -> None:
        """Compute the problem into `out`."""
        run(problem, out, workers)
        if problem.dtype.kind == "c":
            _complete(problem, out, workers)


class Separable:
    """The defining sum, in two steps."""

    def __init__(self, plan: _plan.Plan, factors: tuple[Array, Array]) -> None:
        self.plan = plan
        self.column, self.row = factors

    def run(self, problem: Problem, out: Array, workers: int) -> None:
        """Compute the problem into `out`."""
        run(problem._replace(kernel=self.row), out, workers, self.column)
        if problem.dtype.kind == "c":
            _complete(problem, out, workers)


class Fourier:
    """Transforms, and the defining sum for the tiles they can not promise."""

    def __init__(self, problem: Problem, plan: _plan.Plan, workers: int) -> None:
        self.plan = plan
        self.transformed = Transformed(problem, plan, workers)

    def run(self, problem: Problem, out: Array, workers: int) -> None:
        """Compute the problem into `out`."""
        direct = Direct(self.plan)
        left = self.transformed.run(problem, out, workers)
        if out.dtype.kind == "c" and problem.image.dtype.kind == problem.kernel.dtype.kind == "f":
            out.imag = 0
        for k, y0, y1, x0, x1 in left:
            place = np.unravel_index(k, out.shape[:-2])
            part = problem._replace(
                image=problem.image[place],
                shape=(y1 - y0, x1 - x0),
                start_y=problem.start_y + y0,
                start_x=problem.start_x + x0,
            )
            direct.run(part, out[place][y0:y1, x0:x1], workers)


def _small_enough(problem: Problem) -> bool:
    """Whether sums of these integers should come out exact of a transform; a guess."""
    image, kernel = problem.image, problem.kernel
    few = (4,) * (image.ndim - 2) + (SAMPLE, SAMPLE)
    sample = image[
        tuple(slice(None, None, -(-n // m)) for n, m in zip(image.shape, few, strict=True))
    ]
    points = float(1 << 16)
    norm = np.sqrt(2 * points * np.mean(np.square(sample, dtype=np.float64)))
    norm *= np.sqrt(np.sum(np.square(kernel, dtype=np.float64)))
    return bool(_plan.ERROR * log2(points) * _plan.ROUNDOFF["f64"] * norm < 0.25)


def facts(problem: Problem, rank_one: bool) -> _plan.Facts:
    """Return what a plan depends on."""
    image, kernel, dtype = problem.image, problem.kernel, problem.dtype
    return _plan.Facts(
        problem.shape,
        kernel.shape,
        prod(image.shape[:-2]),
        1 + (image.dtype.kind == "c"),
        1 + (kernel.dtype.kind == "c"),
        dtype.char,
        word_of(dtype),
        rank_one,
        all_finite(kernel) and (dtype.kind not in "iu" or _small_enough(problem)),
    )


def lanes() -> tuple[tuple[str, int], ...]:
    """Lanes of the transforms at the level in use."""
    return tuple((word, engine_for("fft", word).BUILD["lanes"]) for word in ("f32", "f64"))


def choose(problem: Problem, method: str) -> tuple[_plan.Plan, tuple[Array, Array] | None]:
    """Choose an engine, and factorise the kernel where that is worth it."""
    kernel, factors = problem.kernel, None
    if method == "separable" or _rank_one.may_gain(*kernel.shape):
        factors = _rank_one.factors(kernel)
    if method == "separable" and factors is None:
        raise ValueError("the kernel is not separable: its rank is not one")
    return _plan.decide(facts(problem, factors is not None), method, lanes()), factors


def is_small(problem: Problem, method: str) -> bool:
    """Whether a plan would take longer than it could save."""
    products = prod(problem.image.shape[:-2]) * prod(problem.shape) * problem.kernel.size
    return products < SMALL and method in ("auto", "fast")


def plan_of(problem: Problem, method: str) -> _plan.Plan:
    """Tell what `engine` chooses."""
    if not is_small(problem, method):
        return choose(problem, method)[0]
    plan = _plan.decide(facts(problem, False), "direct", lanes())
    why = "the problem is too small to look for anything faster"
    return plan._replace(others=tuple((name, why) for name in _plan.ENGINES[method][1:]))


def engine(problem: Problem, method: str, workers: int) -> Engine:
    """Choose an engine, and make the kernel ready for it."""
    if method == "direct" or is_small(problem, method):
        return Direct(_plan.Plan("direct"))
    plan, factors = choose(problem, method)
    if plan.engine == "separable" and factors is not None:
        return Separable(plan, factors)
    if plan.word:
        return Fourier(problem, plan, workers)
    return Direct(plan)


def solve(
    problem: Problem,
    method: str,
    out: Array | None,
    workers: SupportsIndex | None,
    ready: Engine | None = None,
) -> Array:
    """Compute a problem, or a stack of them, into a new array or into `out`."""
    if method not in _plan.ENGINES:
        raise ValueError("Acceptable method flags are 'auto', 'direct', 'separable', or 'fft'.")
    n_threads = resolve(workers)
    shape = problem.shape
    if problem.image.ndim > 2:
        shape = problem.image.shape[:-2] + shape
    if out is None:
        result = np.empty(shape, problem.dtype)
    else:
        check_out(out, shape, problem.dtype)
        overlap = np.may_share_memory(out, problem.image) or np.may_share_memory(
            out, problem.kernel
        )
        result = np.empty(shape, problem.dtype) if overlap else out
    if not result.size:
        pass
    elif not problem.kernel.size:
        result[...] = 0
    else:
        chosen = ready or engine(problem, method, n_threads)
        chosen.run(problem, result, n_threads)
    if out is None:
        return result
    if result is not out:
        out[...] = result
    return out


def _complete(problem: Problem, out: Array, workers: int) -> None:
    """Account for imaginary parts that were left out of a complex problem.

    They cost no work, but zero times Inf is NaN: where the result is not finite, the sum is done
    again as it is defined.
    """
    image, kernel = problem.image, problem.kernel
    if image.dtype.kind == "c" and kernel.dtype.kind == "c":
        return
    if image.dtype.kind == kernel.dtype.kind:
        out.imag = 0
    if not all_finite(out):
        promoted = problem._replace(image=image.astype(out.dtype), kernel=kernel.astype(out.dtype))
        run(promoted, out, workers)
