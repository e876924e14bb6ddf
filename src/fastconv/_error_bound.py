"""`error_bound`: how far each output of a call may be from the exact sum.

A sum of n products: n u sum |a| |w|, and n times the smallest number for what underflows. A
transform: K u |tile| |kernel|. docs/accuracy.md derives both. Neither holds where a part of a sum
may overflow.
"""

from __future__ import annotations

from itertools import pairwise, product
from math import log2, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import _error, _fftn, _images, _nd, _plan, _slices, _solve
from fastconv._explain import check_arguments
from fastconv._parts import places
from fastconv._problem import FILL, SYMM, WRAP, all_finite
from fastconv._rank_one import terms

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastconv._plan import Plan
    from fastconv._problem import Problem

    Array = np.ndarray[Any, Any]

__all__ = ["error_bound"]

# The bounds are computed themselves: sums of as many terms as memory has room for.
UP = 1 + 2.0**-20


def error_bound(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: Any = 0,
    *,
    method: str = "auto",
    axes: Any = None,
    function: str = "convolve2d",
) -> Array:
    """
    Return how far each output of a call may be from the exact sum.

    Parameters
    ----------
    in1, in2, mode, boundary, fillvalue, method, axes
        As in the function; what it does not have must be left out.
    function : {'convolve2d', 'correlate2d', 'convolve', 'correlate', 'fftconvolve', \
            'oaconvolve'}, optional
        Which one. Default is 'convolve2d'.

    Returns
    -------
    ndarray
        Of the result's shape, in float64 (in longdouble, if that is the result's dtype). Of complex
        results the real and the imaginary part are each within the bound. Integers are exact,
        modulo two to the power of their width: zero.

    Raises
    ------
    ValueError
        If `function` is none of the above, or does not take an argument.
    ValueError, TypeError
        As the function.

    See Also
    --------
    explain : Tell which engine runs, and with it which of the bounds holds.

    Notes
    -----
    With u the unit roundoff of the result, the bound is n u times the sum of the n products' sizes
    where the promise is that of the defining sum, and K u times the norms of kernel and tile where
    transforms are all that is asked for [1]_; plus what may underflow. For stacks, for three and
    more dimensions, and for complex numbers it is larger than need be: whole arrays count as one
    tile, and ``abs(x.real) + abs(x.imag)`` as the size of a complex number.

    It is infinite or NaN where an Inf or a NaN is in the sum, and infinite where the sum of the
    sizes, or the product of the norms, is beyond the largest number: a part of the sum may overflow
    there. It is about the exact sum of the inputs as they are after the promotion to the result's
    dtype. The time it takes is that of ``method='direct'``.

    Where transforms are all that is asked for, ``method='fft'``, `fftconvolve` and the like, it is
    of a call with arrays in memory. A `plan`, blocks and chunks of dask have tiles of their own,
    next to other pixels: of those `error_bound` of the block, with the halo it reads, is a bound.

    References
    ----------
    .. [1] docs/accuracy.md in fastconv's sources.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> x = np.random.default_rng(1).random((200, 300), np.float32)
    >>> w = np.random.default_rng(2).random((9, 9), np.float32)
    >>> y = fastconv.convolve2d(x, w, "same")
    >>> exact = fastconv.convolve2d(x.astype(float), w.astype(float), "same")
    >>> bool((abs(y - exact) <= fastconv.error_bound(x, w, "same")).all())
    True
    """
    check_arguments(function, boundary, fillvalue, method, axes)
    with np.errstate(all="ignore"):  # a bound may overflow or underflow where the result does not
        if function in ("convolve2d", "correlate2d"):
            return _of_images(function, in1, in2, mode, boundary, fillvalue, method, axes)
        return _of_arrays(function, in1, in2, mode, method, axes)


def _wide(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Precision that bounds of results of `dtype` are computed in."""
    return np.dtype(np.longdouble if dtype.char in "gG" else np.float64)


def _zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Bounds of results of `dtype` that are exact."""
    return np.zeros(shape, _wide(dtype))


def _size(a: Array) -> Array:
    """Sizes of numbers, in the precision that bounds are computed in."""
    sizes = np.asarray(abs(a.real.astype(_wide(a.dtype))))
    if a.dtype.kind == "c":
        sizes += abs(a.imag)
        # No part of a product is larger than it would be of this, either.
        sizes[np.isinf(sizes) & np.isfinite(a)] = np.finfo(sizes.dtype).max
    return sizes


def _of_sum(sizes: Array, terms: int, dtype: np.dtype[Any]) -> Array:
    """Bound of sums of `terms` products, of which the sizes add up to `sizes`."""
    info = np.finfo(dtype)
    roundoff = info.eps / 2
    bound = np.asarray(terms * (sizes * (roundoff * UP) + info.smallest_subnormal), sizes.dtype)
    return _where_in_range(bound, sizes, dtype)


def _where_in_range(bound: Array, sizes: Array, dtype: np.dtype[Any]) -> Array:
    """Bound of outputs of at most these sizes: infinite where one, or a part of its sum, may be."""
    largest = np.finfo(dtype).max.astype(sizes.dtype)
    return np.where(sizes * UP + bound > largest, sizes.dtype.type(np.inf), bound)


def _products(problem: Problem) -> int:
    """Real products in each real part of an output."""
    both = problem.image.dtype.kind == problem.kernel.dtype.kind == "c"
    return int(problem.kernel.size * (1 + both))


# --- two dimensions ------------------------------------------------------------------------------


def _of_images(
    function: str,
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str,
    boundary: str,
    fillvalue: Any,
    method: str,
    axes: Any,
) -> Array:
    """Bound of one of the 2-D pair."""
    problem, pair, shape = _images.stacked(
        function, in1, in2, mode, boundary, fillvalue, axes, method
    )
    images, kernels = problem.image, problem.kernel
    bound = _zeros(shape, problem.dtype)
    if method == "separable":
        _images.check_separable(problem)
    if not bound.size or problem.dtype.kind in "iub":
        return bound
    first = _images.first_of(problem)
    stack = np.broadcast_shapes(images.shape[:-2], kernels.shape[:-2])
    count = prod(stack) // prod(kernels.shape[:-2])
    outs = np.moveaxis(bound, pair, (-2, -1))
    images = np.broadcast_to(images, stack + images.shape[-2:])
    kernels = np.broadcast_to(kernels, stack + kernels.shape[-2:])
    for place in places(stack):
        one = first._replace(image=images[place], kernel=kernels[place])
        outs[place] = _of_problem(one, method, count)
    return bound


def _of_problem(problem: Problem, method: str, images: int = 1) -> Array:
    """Bound of a problem, one of a stack of `images` with the same kernel."""
    dtype = problem.dtype
    if dtype.kind in "iub" or not (problem.kernel.size and prod(problem.shape)):
        return _zeros(problem.shape, dtype)
    many = problem
    if images > 1:
        image = problem.image
        many = problem._replace(image=np.broadcast_to(image, (images, *image.shape)))
    plan = _solve.engine(many, method, 1).plan
    if plan.engine == "fft":
        tiled = _of_tiles(problem, plan, whole=images > 1)
        if all_finite(problem.image) and (problem.fill is None or all_finite(problem.fill)):
            return tiled
        # Tiles with an Inf or a NaN are summed.
        return np.maximum(tiled, _of_direct(problem, _products(problem)))
    n = _products(problem)
    if plan.engine == "separable":
        n = max(n, terms(*problem.kernel.shape))
    return _of_direct(problem, n)


def _of_direct(problem: Problem, terms: int) -> Array:
    fill = problem.fill if problem.fill is None else _size(problem.fill)
    image = _size(problem.image)
    sizes = problem._replace(
        image=image, kernel=_size(problem.kernel), dtype=image.dtype, fill=fill, conjugate=False
    )
    return _of_sum(_solve.solve(sizes, "direct", None, None), terms, problem.dtype)


def _of_tiles(problem: Problem, plan: Plan, whole: bool) -> Array:
    """Bound of transforms of tiles, or of all that they read as one."""
    real = "c" not in (problem.image.dtype.kind, problem.kernel.dtype.kind)
    factor = _error.error(plan.word, plan.height, plan.width, plan.line, real)
    (m_y, m_x), (kh, kw) = problem.shape, problem.kernel.shape
    taps = _norm(problem.kernel)
    extended = _extended(problem)
    n_y, n_x = (1, 1) if whole else _plan.grid(_solve.facts(problem, False, True), plan)
    bound = np.empty(problem.shape)
    least = float(np.finfo(problem.dtype).smallest_subnormal)
    upright = plan.line and kh > 1
    # Beyond its input, a tile's transform may read what is left of its rows.
    more_y, more_x = (plan.width, 0) if upright else (0, plan.width)
    for (y0, y1), (x0, x1) in product(_shares(m_y, n_y), _shares(m_x, n_x)):
        read = extended[y0 : y1 + kh - 1 + more_y, x0 : x1 + kw - 1 + more_x]
        norm, exponent = _norm(read)
        sizes, errors = np.ldexp(UP * norm * taps[0] * np.array([1, factor]), exponent + taps[1])
        bound[y0:y1, x0:x1] = _where_in_range(errors + least, sizes, problem.dtype)
    return bound


def _shares(m: int, parts: int) -> list[tuple[int, int]]:
    """Nearly equal parts of an axis, as the engine makes them."""
    seams = [i * (m // parts) + min(i, m % parts) for i in range(parts + 1)]
    return list(pairwise(seams))


def _norm(a: Array, axes: tuple[int, ...] | None = None) -> tuple[Any, Any]:
    """2-norms of all that is finite, over two to some power, and that: it is in the range."""
    both = np.stack([a.real, a.imag])
    both[~np.isfinite(both)] = 0
    if axes is not None:
        axes = (0, *(axis + 1 for axis in axes))
    keep = axes is not None
    exponents = np.frexp(np.max(abs(both), axes, keepdims=keep, initial=0))[1]
    both = np.ldexp(both, -exponents).astype(np.float64)
    norms = np.sqrt(np.square(both).sum(axes, keepdims=keep))
    return (norms[0], exponents[0]) if keep else (norms, exponents)


PADDED: dict[int, Any] = {FILL: "constant", WRAP: "wrap", SYMM: "symmetric"}
"""What numpy.pad calls them."""


def _extended(problem: Problem) -> Array:
    """Return what a problem reads of its image and around, and what is right of it and below."""
    image = problem.image
    image = image.astype(np.result_type(image, problem.dtype), copy=False)
    starts = problem.start_y, problem.start_x
    sizes = zip(starts, image.shape, problem.shape, problem.kernel.shape, strict=True)
    widths = [(max(-start, 0), max(start + m + k - 1 - n, 0)) for start, n, m, k in sizes]
    fill: dict[str, Any] = {} if problem.fill is None else {"constant_values": problem.fill.item()}
    extended = np.pad(image, widths, PADDED[problem.boundary], **fill)
    return np.asarray(extended[max(starts[0], 0) :, max(starts[1], 0) :])


# --- any dimension -------------------------------------------------------------------------------


def _of_arrays(
    function: str, in1: ArrayLike, in2: ArrayLike, mode: str, method: str, axes: Any
) -> Array:
    """Bound of one of the functions of any dimension."""
    a, b, left = _nd.arrays(in1, in2)
    if left:
        raise ValueError(f"fastconv has no bound for {left}")
    task = _nd.task_of(function, a, b, mode, method, axes)
    if not isinstance(task, _nd.Task):
        result = np.asarray(_nd.multiplied(task))
        if result.dtype.kind in "iub" or not result.size:
            return _zeros(result.shape, result.dtype)
        return _of_sum(_size(result), 2, result.dtype)
    job, word = _nd.promoted(task)
    if task.dtype.kind in "iub":
        return np.zeros(job.shape)
    sizes = _sizes(task, job)
    if _nd.is_plane(job, word, task.method):
        problem = _nd.plane_problem(job, word)
        if len(job.shape) == 1 and not all_finite(problem.kernel):
            # Of a line, what lies outside is not multiplied.
            bound = _of_sum(sizes, _products(problem), word)
        else:
            bound = _of_problem(problem, task.method).reshape(job.shape)
    else:
        bound = _of_space(_slices.collapse(job), word, task.method, sizes)
    if word != task.dtype:
        # Rounded once more.
        info = np.finfo(task.dtype)
        bound = bound + (sizes + bound) * info.eps / 2 + info.smallest_subnormal
        bound = _where_in_range(bound, sizes, task.dtype)
    return bound


def _sizes(task: _nd.Task, job: _slices.Job) -> Array:
    """Sum of the sizes of each output's products."""
    a, b = _size(job.a), _size(job.b)
    direct = _nd.Task(job._replace(a=a, b=b), np.result_type(a, b), "direct")
    return np.asarray(_nd.computed(direct, None, None))


def _of_space(job: _slices.Job, dtype: np.dtype[Any], method: str, sizes: Array) -> Array:
    """Bound of many dimensions, or of axes along which nothing is convolved."""
    both = job.a.dtype.kind == job.b.dtype.kind == "c"
    pairs = zip(job.a.shape, job.b.shape, job.paired, strict=True)
    terms = (1 + both) * prod(min(n, m) for n, m, paired in pairs if not paired)
    by_sum = _of_sum(sizes, terms, dtype)
    way = _nd.way_of(job, dtype, method)
    # What is one transform, or may be of one tile.
    together = tuple(i for i, paired in enumerate(job.paired) if not paired)
    if way.slices is None:
        together = tuple(_fftn.convolved(job))
        points = prod(_fftn.fast_lengths(_fftn.full_lengths(job)))
        factor = _fftn.C * log2(points) * float(np.finfo(dtype).eps) / 2
    else:
        plans = {_solve.engine(one, method, 1).plan for one in _slices.problems(way.slices)}
        plans = {plan for plan in plans if plan.engine == "fft"}
        if not plans:
            return by_sum
        real = "c" not in (job.a.dtype.kind, job.b.dtype.kind)
        factor = max(
            _error.error(plan.word, plan.height, plan.width, plan.line, real) for plan in plans
        )
        factor += _slices.calls(way.slices) * float(np.finfo(dtype).eps)
    (a, power_a), (b, power_b) = (_norm(array, together) for array in (job.a, job.b))
    wanted = _fftn.cut(job, together)
    norms, powers = (UP * a * b).astype(sizes.dtype)[wanted], (power_a + power_b)[wanted]
    errors = np.ldexp(factor * norms, powers) + np.finfo(dtype).smallest_subnormal
    bound = _where_in_range(errors, np.ldexp(norms, powers), dtype)
    bound = np.broadcast_to(bound, job.shape).reshape(sizes.shape)
    # Slices that are not transformed, for an Inf or a NaN or their kernels, are summed.
    return np.asarray(np.maximum(bound, by_sum))
