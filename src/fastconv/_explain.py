"""What a call would do, and why: `explain`."""

from __future__ import annotations

from math import log2, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import _fftn, _images, _nd, _plan, _solve
from fastconv._dispatch import engine_for
from fastconv._error import growth
from fastconv._rank_one import terms
from fastconv._slices import Job, calls, collapse, predict, stacked
from fastconv._workers import resolve

if TYPE_CHECKING:
    from typing import SupportsIndex

    from numpy.typing import ArrayLike

    from fastconv._problem import Problem

    Array = np.ndarray[Any, Any]

__all__ = ["Explanation", "explain"]

FUNCTIONS = ("convolve2d", "correlate2d", "convolve", "correlate", "fftconvolve", "oaconvolve")

ENGINES = {
    "direct": "the sum as it is defined",
    "separable": "the sum in two steps, for the kernel is a column times a row",
    "certified": "Fourier transforms in float64, each output proved as accurate as a sum",
    "fft": "Fourier transforms of one tile after the other",
    "scipy.fft": "one Fourier transform of everything, by SciPy",
    "product": "there is nothing to sum: in1 * in2",
    "scipy": "left to scipy.signal",
}


LONGER = " times as long"


class Explanation:
    """
    What a call does: engine, tile, time, memory, error bound, and why not otherwise.

    Returned by `explain`; ``print`` it, or read its attributes.

    Attributes
    ----------
    route : {'plane', 'slices', 'fftn', 'multiply', 'scipy'}
        One 2-D problem; sums or stacks of them; a transform in all dimensions by SciPy; a product
        of the inputs; a call of SciPy's function.
    engine : {'direct', 'separable', 'certified', 'fft', 'scipy.fft', 'product', 'scipy'}
        What computes the result.
    calls : int
        How many times the engine is called: once for each slice of the kernel.
    tile : tuple of int or None
        Points of a tile's transform, None for sums.
    threads : int
        Number of threads that the call asks for; it starts no more than there are processors. The
        engine does not depend on it.
    predicted : float or None
        Seconds on one thread, by the measured costs; None where fastconv does not know.
    memory : int or None
        Bytes of the scratch memory of transforms, all threads together; None for sums, which take
        little.
    bound : str
        Error that holds for every output.
    others : tuple of (str, str)
        Other engines, and why each was not chosen.
    """

    def __init__(self, title: str, route: str, engine: str, threads: int) -> None:
        self._title = title
        self._rows: list[tuple[str, str]] = []
        self._force: tuple[str, ...] = ()
        self.route = route
        self.engine = engine
        self.calls = 1
        self.tile: tuple[int, int] | None = None
        self.threads = threads
        self.predicted: float | None = None
        self.memory: int | None = None
        self.bound = ""
        self.others: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Describe it in a few lines."""
        rows = [("engine", f"{self.engine}: {ENGINES[self.engine]}"), *self._rows]
        if self.predicted is not None:
            rows.append(("time", f"{_duration(self.predicted)} on one thread, predicted"))
            rows.append(("threads", f"up to {self.threads}; any number gives the same result"))
        if self.memory is not None:
            rows.append(("memory", f"{_size(self.memory)} besides the result"))
        if self.bound:
            rows.append(("error", self.bound))
        reasons: dict[str, list[str]] = {}
        for name, why in self.others:
            reasons.setdefault(why, []).append(name)
        rows += [(f"not {name}", why) for why, names in reasons.items() for name in names[:1]]
        for k, (head, why) in enumerate(rows):
            if head.startswith("not ") and len(reasons[why]) > 1:
                rows[k] = ("not", f"{', '.join(reasons[why])}: {why}")
        if self._force:
            rows.append(("to change", " or ".join(f"method={name!r}" for name in self._force)))
        return "\n".join([self._title, *(f"  {head:<13}  {text}" for head, text in rows)])

    __repr__ = __str__


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a scalar"


def _duration(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e3)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} microseconds"


def _size(count: float) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


def _roundoff(dtype: np.dtype[Any]) -> str:
    return f"2**-{np.finfo(dtype).nmant + 1}"


def _sum_bound(problem: Problem, calls: int, engine: str = "direct") -> str:
    """Bound of the defining sum, in one step or two."""
    if problem.dtype.kind in "iu":
        return f"none: integers are exact, modulo 2**{8 * problem.dtype.itemsize}"
    both = problem.image.dtype.kind == problem.kernel.dtype.kind == "c"
    n = problem.kernel.size * (1 + both) * calls
    if engine == "separable":
        n = max(n, terms(*problem.kernel.shape))
    return f"at most {n} * {_roundoff(problem.dtype)} * sum(|products|), for every output"


def _explain_problem(
    known: Explanation, problem: Problem, chosen: _plan.Plan, calls: int = 1
) -> Explanation:
    """Tell about one problem, or one of so many whose results are added."""
    known.engine = chosen.engine
    known.predicted = chosen.seconds
    known.others = chosen.others
    known.bound = _sum_bound(problem, calls, chosen.engine)
    if not chosen.word:
        return known
    known.tile = height, width = chosen.height, chosen.width
    real = problem.image.dtype.kind != "c" and problem.kernel.dtype.kind != "c"
    facts = _solve.facts(problem, False, True)
    ny, nx = _plan.grid(facts, chosen)
    points = _by((height, width)) if not chosen.line else str(height * width)
    word = "float32" if chosen.word == "f32" else "float64"
    tiles = f"{ny} x {nx}" if not chosen.line else str(ny * nx)
    each = " for each image" if facts.images > 1 else ""
    known._rows.append(("tiles", f"{tiles}{each}, each a transform of {points} points in {word}"))
    size = 4 if chosen.word == "f32" else 8
    at_once = engine_for("fft", chosen.word).tiles_at_once(
        ny * nx * facts.images, height * width, known.threads
    )
    known.memory = 2 * size * height * width * (1 + chosen.line + at_once)
    if chosen.engine == "fft" and problem.dtype.kind not in "iu":
        constant = growth(chosen.word, height, width, chosen.line, real)
        u = "2**-24" if chosen.word == "f32" else "2**-53"
        known.bound = f"at most {constant:.0f} * {u} * norm(tile) * norm(kernel), the 2-norms"
        if calls > 1:
            known.bound += f", in each of the {calls} terms"
    return known


def explain(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: Any = 0,
    *,
    function: str = "convolve2d",
    method: str = "auto",
    axes: Any = None,
    workers: SupportsIndex | None = None,
) -> Explanation:
    """
    Tell how a function would compute a result, without computing it.

    Parameters
    ----------
    in1, in2 : array_like
        The function's inputs.
    mode, boundary, fillvalue, method, axes, workers
        As in the function; what it does not have must be left out.
    function : {'convolve2d', 'correlate2d', 'convolve', 'correlate', 'fftconvolve', \
            'oaconvolve'}, optional
        Which one. Default is 'convolve2d'.

    Returns
    -------
    Explanation
        Engine, tile, threads, predicted time, memory, error bound, and why not the other engines;
        it prints as text.

    Raises
    ------
    ValueError
        If `function` is none of the above, or does not take an argument.
    ValueError, TypeError
        As the function.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> fastconv.explain(np.ones((1000, 1000)), np.ones((21, 21)), "same").engine
    'separable'
    >>> x = np.ones((64, 64, 64))
    >>> fastconv.explain(x, x, function="fftconvolve").engine
    'scipy.fft'
    """
    check_arguments(function, boundary, fillvalue, method, axes)
    threads = resolve(workers)
    if function in ("convolve2d", "correlate2d"):
        return _of_images(function, in1, in2, mode, boundary, fillvalue, method, axes, threads)
    return _of_arrays(function, in1, in2, mode, method, axes, threads)


def _title(
    function: str, in1: Any, in2: Any, mode: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> str:
    a, b = np.asarray(in1), np.asarray(in2)
    inputs = f"{_by(a.shape)} {a.dtype} by {_by(b.shape)} {b.dtype}"
    return f"{function}: {inputs} -> {_by(shape)} {dtype}, mode '{mode}'"


def _of_images(
    function: str,
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str,
    boundary: str,
    fillvalue: Any,
    method: str,
    axes: Any,
    threads: int,
) -> Explanation:
    """Explain one of the 2-D pair."""
    stack, _, shape = _images.stacked(function, in1, in2, mode, boundary, fillvalue, axes, method)
    kernels = prod(stack.kernel.shape[:-2])
    if method == "separable":
        _images.check_separable(stack)
    problem = _images.first_of(stack)
    images = prod(shape) // max(1, prod(stack.shape) * kernels)
    if images != 1 and axes is not None:
        problem = problem._replace(
            image=np.broadcast_to(problem.image, (images, *problem.image.shape))
        )
    known = explained(
        problem, method, threads, _title(function, in1, in2, mode, shape, problem.dtype)
    )
    known.calls = kernels
    if axes is not None:
        known.route = "slices"
        stacks = _stacks(problem, kernels)
        known._rows.insert(0, ("problem", stacks))
        known.predicted = kernels * (known.predicted or 0.0)
    return known


def _stacks(problem: Problem, kernels: int, added: bool = False) -> str:
    """Describe stacks of 2-D problems, whose results are added or not."""
    count, size = prod(problem.image.shape[:-2]), _by(problem.image.shape[-2:])
    images = f"{count} image{'s' * (count != 1)} of {size}"
    if added:
        return f"{images} with each of {kernels} kernels of {_by(problem.kernel.shape)}, added up"
    several = "one kernel" if kernels == 1 else f"each of {kernels} kernels"
    return f"{images} with {several} of {_by(problem.kernel.shape)}"


def _of_arrays(
    function: str,
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str,
    method: str,
    axes: Any,
    threads: int,
) -> Explanation:
    """Explain one of the functions of any dimension."""
    a, b, left = _nd.arrays(in1, in2)
    if left:
        known = Explanation(f"{function} of {left}, mode '{mode}'", "scipy", "scipy", threads)
        known._rows.append(("reason", f"fastconv has no engine for {left}"))
        return known
    with np.errstate(all="ignore"):
        task = _nd.task_of(function, a, b, mode, method, axes)
    if not isinstance(task, _nd.Task):
        shape, dtype = _nd.result_of(task)
        title = _title(function, a, b, mode, shape, dtype)
        return Explanation(title, "multiply", "product", threads)
    title = _title(function, a, b, mode, task.job.shape, task.dtype)
    job, word = _nd.promoted(task)
    asked = method if function in ("convolve", "correlate") else ""
    if _nd.is_plane(job, word, task.method):
        problem = _nd.plane_problem(job, word)
        return explained(problem, task.method, threads, title, asked)
    job = collapse(job)
    way = _nd.way_of(job, word, task.method)
    if way.slices is None:
        known = Explanation(title, "fftn", "scipy.fft", threads)
        known._rows.append(("reason", way.why))
        _explain_fftn(known, job, word)
    else:
        slices = way.slices
        known = Explanation(title, "slices", "", threads)
        problem, terms = stacked(slices), calls(slices)
        added = any(slices.summed)
        chosen = _solve.plan_of(problem, task.method)
        if slices.shape:
            known._rows.append(("problem", _stacks(problem, terms, added)))
        else:
            known.route = "plane"
        _explain_problem(known, problem, chosen, terms if added else 1)
        known.predicted, known.calls = predict(slices, task.method)[1], terms
        if len(_fftn.convolved(job)) > 2:
            known.others += (("scipy.fft", way.why),)
    by_scipy = known.engine == "scipy.fft" or len(_fftn.convolved(job)) > 2
    known._force = _forceable(known, asked, by_scipy)
    return known


def _explain_fftn(known: Explanation, job: Job, dtype: np.dtype[Any]) -> None:
    lengths = _fftn.fast_lengths(_fftn.full_lengths(job))
    points = prod(lengths)
    word = np.dtype(np.float64) if dtype.kind in "iu" else dtype
    known._rows.append(
        ("transform", f"of {_by(tuple(lengths))} points in {word.type(0).real.dtype}")
    )
    known.predicted = _fftn.seconds(job, dtype)
    known.memory = 4 * points * word.itemsize * prod(job.shape[i] for i in _others(job))
    if dtype.kind in "iu":
        known.bound = f"none: integers are exact, modulo 2**{8 * dtype.itemsize}"
    else:
        constant = _fftn.C * log2(points)
        known.bound = (
            f"at most {constant:.0f} * {_roundoff(dtype)} * norm(in1) * norm(in2), the 2-norms"
        )


def _others(job: Job) -> list[int]:
    convolved = _fftn.convolved(job)
    return [i for i in range(len(job.shape)) if i not in convolved]


def _forceable(known: Explanation, asked: str, by_scipy: bool = False) -> tuple[str, ...]:
    """Methods of `convolve`, if it is asked about, that take another engine."""
    if not asked:
        return ()
    there = {name for name, why in known.others if why.endswith(LONGER)} | {known.engine}
    fft = "scipy.fft" if by_scipy else "fft"
    can = {"direct": True, "fft": asked != "auto" or fft in there}
    taken = {"direct": "direct", fft: "fft"}.get(known.engine)
    return tuple(name for name in can if can[name] and name not in (asked, taken))


def explained(
    problem: Problem,
    method: str,
    threads: int,
    title: str,
    asked: str | None = None,
    once: bool = True,
) -> Explanation:
    """Explain one problem. `asked` is the method of one of the functions of any dimension."""
    known = Explanation(title, "plane", "direct", threads)
    stack = problem.image.shape[:-2]
    if not problem.kernel.size or 0 in stack + problem.shape:
        known.predicted, known.bound = 0.0, _sum_bound(problem, 1)
        return known
    chosen = _solve.plan_of(problem, method, once)
    _explain_problem(known, problem, chosen)
    if asked is not None:
        known._force = _forceable(known, asked)
        return known
    fft = _solve.plan_of(problem, "fft", once)
    if method == "auto" and fft.word and problem.dtype.kind not in "iu":
        ratio = fft.seconds / max(chosen.seconds, 1e-9)
        fast = f"it takes {ratio:.1f}{LONGER}, and"
        if ratio < 1:
            fast = f"it would be {1 / ratio:.1f} times as fast, but"
        known.others += (("fft", f"{fast} has an error bound of its own"),)
    can = {"direct": True, "separable": False, "fft": bool(fft.word)}
    can["separable"] = _solve.factors_of(problem) is not None
    names = (name for name in can if can[name])
    known._force = tuple(name for name in names if name not in (method, known.engine))
    return known


def check_arguments(function: str, boundary: str, fillvalue: Any, method: str, axes: Any) -> None:
    """Refuse arguments that a function does not have."""
    if function not in FUNCTIONS:
        raise ValueError(f"function must be one of {', '.join(FUNCTIONS)}")
    if function in ("convolve2d", "correlate2d"):
        _solve.check_method(method)
        return
    if boundary != "fill" or np.any(fillvalue):
        raise ValueError(f"{function} has no boundary but zeros")
    if function in ("convolve", "correlate") and axes is not None:
        raise ValueError(f"{function} has no axes")
    if function in _nd.METHODLESS and method != "auto":
        raise ValueError(f"{function} has no method")
