"""Functions of images alone: stacks of them, and two 1-D filters one after the other."""

from __future__ import annotations

import operator
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv._parts import assign, distinct, places
from fastconv._problem import check_out, converted, prepare
from fastconv._slices import solve_batch
from fastconv._solve import check_method, choose, compute, solve
from fastconv._workers import resolve

if TYPE_CHECKING:
    from typing import SupportsIndex

    from numpy.typing import ArrayLike

    from fastconv._problem import Problem

    Array = np.ndarray[Any, Any]


def stack(
    name: str,
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str,
    boundary: str,
    fillvalue: Any,
    axes: Any,
    method: str,
    out: Array | None,
    workers: SupportsIndex | None,
) -> Array:
    """Convolve or correlate images along the two axes that `axes` names, in stacks."""
    problem, pair, final = stacked(name, in1, in2, mode, boundary, fillvalue, axes, method)
    check_method(method)
    n_threads = resolve(workers)
    if out is not None:
        check_out(out, final, problem.dtype)
    images, kernels = problem.image, problem.kernel
    # One kernel is one call of an engine; of more, any but the first may lack memory.
    several = kernels.size != prod(kernels.shape[-2:])
    target = None if out is None else np.asarray(out)
    result = np.empty(final, problem.dtype) if target is None or several else target
    if result.size:
        outs = np.moveaxis(result, pair, (-2, -1))
        call = solve if result is target else compute
        solve_batch(first_of(problem), images, kernels, outs, method, n_threads, call)
    if out is None or target is None:
        return result
    if result is not target:
        assign(target, result)
    return out


def stacked(
    name: str,
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str,
    boundary: str,
    fillvalue: Any,
    axes: Any,
    method: str,
) -> tuple[Problem, tuple[int, int], tuple[int, ...]]:
    """Return the problem, with stacks of arrays, its axes in the result, and that one's shape.

    Without `axes` there is one image and one kernel.
    """
    if axes is None:
        correlate = name == "correlate2d"
        problem = prepare(name, correlate, in1, in2, mode, boundary, fillvalue, method)
        if min(problem.shape) < 0:
            raise ValueError("negative dimensions are not allowed")  # as NumPy says
        return problem, (0, 1), problem.shape
    arrays = np.asarray(in1), np.asarray(in2)
    ndim = max(a.ndim for a in arrays)
    if min(a.ndim for a in arrays) < 2:
        raise ValueError(f"{name} inputs must both have at least 2 dimensions")
    pair = axes_of(axes, ndim)
    images, kernels = (_axes_last(a, axes, pair) for a in arrays)
    problem = prepare(
        name,
        name == "correlate2d",
        images,
        kernels,
        mode,
        boundary,
        fillvalue,
        method,
        stacked=True,
    )
    shape = np.broadcast_shapes(images.shape[:-2], kernels.shape[:-2])
    final = np.moveaxis(np.broadcast_to(np.empty(()), shape + problem.shape), (-2, -1), pair).shape
    return problem, pair, final


def first_of(problem: Problem) -> Problem:
    """Return the first of a stack of problems; if there is none, one of zeros."""
    image, kernel = (
        array[(0,) * (array.ndim - 2)]
        if array.size
        else np.broadcast_to(array.dtype.type(), array.shape[-2:])
        for array in (problem.image, problem.kernel)
    )
    return problem._replace(image=image, kernel=kernel)


def check_separable(problem: Problem) -> None:
    """Refuse a stack of kernels of which one is no outer product."""
    kernels, first = distinct(problem.kernel, -2), first_of(problem)
    if kernels.size and 0 not in problem.image.shape[:-2] + problem.shape:
        for place in places(kernels.shape[:-2]):
            choose(first._replace(kernel=kernels[place]), "separable")


def axes_of(axes: Any, ndim: int) -> tuple[int, int]:
    """Check the two axes and count them from the first."""
    try:
        given = [operator.index(i) for i in axes]
    except TypeError:
        raise ValueError("axes must be two integers") from None
    if len(given) != 2:
        raise ValueError("axes must be two integers")
    y, x = (i + ndim if i < 0 else i for i in given)
    if not (0 <= y < ndim and 0 <= x < ndim):
        raise ValueError("axes exceeds dimensionality of input")
    if y == x:
        raise ValueError("all axes must be unique")
    return y, x


def _axes_last(a: Array, axes: Any, pair: tuple[int, int]) -> Array:
    """Move the axes of the images to the end; a 2-D array has them in the result's order."""
    if a.ndim > 2:
        return np.moveaxis(a, axes_of(axes, a.ndim), (-2, -1))
    return a if pair[0] < pair[1] else a.T


def sepfir2d(
    image: ArrayLike,
    hrow: ArrayLike,
    hcol: ArrayLike,
    out: Array | None,
    workers: SupportsIndex | None,
) -> Array:
    """Convolve with a filter along the rows, then with another along the columns."""
    pixels = np.asarray(image)
    dtype = np.dtype(np.complex128)
    if pixels.dtype.kind in "biufc" and pixels.dtype.char != "G":
        dtype = np.result_type(pixels, np.float32)
    # A list may hold what complex128 is safe for and an array is not.
    pixels = _taken(image if isinstance(image, list | tuple) else pixels, dtype, 2)
    row, column = (_taken(taps, dtype, 1) for taps in (hrow, hcol))
    if row.size % 2 == 0 or column.size % 2 == 0:
        raise ValueError("hrow and hcol must be odd length")
    if dtype.char == "g":
        raise ValueError("Incorrect type.")
    if out is not None:
        check_out(out, pixels.shape, dtype)
    along = prepare("sepfir2d", False, pixels, row[None, :], "same", "symm", 0)
    between = solve(along, "direct", None, workers)
    across = prepare("sepfir2d", False, between, column[:, None], "same", "symm", 0)
    return solve(across, "direct", out, workers)


def _taken(values: ArrayLike, dtype: np.dtype[Any], ndim: int) -> Array:
    """Convert an array where that is safe, anything else as assignment does."""
    array = np.asarray(values)
    if array.ndim != ndim:
        depth = "of too small depth" if array.ndim < ndim else "too deep"
        raise ValueError(f"object {depth} for desired array")
    if not isinstance(values, np.ndarray | np.generic):
        array = np.asarray(values, dtype)
    if not np.can_cast(array.dtype, dtype, "safe"):
        array.astype(dtype, casting="safe")  # refuses in numpy's words
    return converted(array, dtype)
