"""One kernel for many images: `plan`."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import _solve
from fastconv._explain import explained
from fastconv._parts import assign, places
from fastconv._problem import Problem, check_out, converted, kept, prepare
from fastconv._workers import resolve

if TYPE_CHECKING:
    from typing import SupportsIndex

    from numpy.typing import ArrayLike, DTypeLike

    Array = np.ndarray[Any, Any]

__all__ = ["plan"]


class plan:  # noqa: N801 - called like a function, as set_workers
    """
    A kernel made ready for images of one shape and dtype: chosen, packed and transformed once.

    Calling the plan with an image does only the image's work. The result keeps the promises of
    `convolve2d` and `correlate2d` by the same method; it may differ from theirs in the last bits,
    because tiles that are not worth the kernel's transform for one image may be for many. Calls do
    not change a plan: threads may share it. It can be pickled.

    Parameters
    ----------
    kernel : array_like, shape (M, N)
        The kernel.
    shape : tuple of int
        Shape of the images, (H, W). A stack of images, (..., H, W), may be given at the call.
    dtype : dtype_like
        Dtype of the images.
    mode, boundary, fillvalue, method
        As in `convolve2d`. `method` may also be 'fast', which is what `convolve` and `correlate`
        mean by 'auto'.
    correlate : bool, optional
        Whether to correlate.
    workers : int, optional
        Number of threads for making the plan.

    Attributes
    ----------
    shape, dtype
        Of the images.
    out_shape, out_dtype
        Of the results.
    explanation : Explanation
        What a call does.

    Raises
    ------
    ValueError, TypeError
        As `convolve2d`.

    See Also
    --------
    convolve2d, correlate2d : The same for one image.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> blur = fastconv.plan(np.ones((3, 3)) / 9, (480, 640), np.float64, mode="same")
    >>> video = np.zeros((10, 480, 640))
    >>> blur(video).shape
    (10, 480, 640)
    """

    def __init__(
        self,
        kernel: ArrayLike,
        shape: tuple[int, int],
        dtype: DTypeLike,
        *,
        mode: str = "full",
        boundary: str = "fill",
        fillvalue: Any = 0,
        method: str = "auto",
        correlate: bool = False,
        workers: SupportsIndex | None = None,
    ) -> None:
        _solve.check_method(method)
        self.dtype = np.dtype(dtype)
        height, width = shape
        self.shape = (operator.index(height), operator.index(width))
        fill = kept(fillvalue)
        self._arguments = (np.array(kernel), mode, boundary, fill, method, bool(correlate))
        # Stands for any image, and takes no memory.
        pixel = np.array(1j if self.dtype.kind == "c" else 1, self.dtype)
        image = np.broadcast_to(pixel, self.shape)
        problem = self._prepare(image)
        swapped = problem.kernel.shape != self._arguments[0].shape
        if swapped and image.size:
            # It becomes the kernel, which need be the outer product of two vectors only if asked.
            if method == "separable":
                image = np.ones(self.shape, self.dtype)
            else:
                image = pixel * np.eye(*self.shape, dtype=self.dtype)
            problem = self._prepare(image)
        threads = resolve(workers)
        self.out_shape, self.out_dtype = problem.shape, problem.dtype
        sizes = [" x ".join(map(str, shape)) for shape in (self.shape, problem.kernel.shape)]
        title = f"plan: {sizes[0]} {self.dtype} by {sizes[1]} -> {self.out_dtype}, mode '{mode}'"
        self.explanation = explained(problem, method, threads, title, once=False)
        # Where an image that is smaller than the kernel becomes the kernel, nothing is ready.
        self._ready: tuple[Problem, _solve.Engine] | None = None
        if problem.kernel.size and 0 not in problem.shape and not swapped:
            self._ready = problem, _solve.engine(problem, method, threads, once=False)

    def _prepare(self, image: Array) -> Problem:
        kernel, mode, boundary, fillvalue, method, correlate = self._arguments
        name = "correlate2d" if correlate else "convolve2d"
        return prepare(name, correlate, image, kernel, mode, boundary, fillvalue, method)

    def __call__(
        self,
        image: ArrayLike,
        *,
        out: Array | None = None,
        workers: SupportsIndex | None = None,
    ) -> Array:
        """
        Convolve or correlate an image, or a stack of images, with the kernel.

        Parameters
        ----------
        image : array_like, shape (..., H, W)
            Of the plan's dtype; the last two axes are of the plan's shape.
        out : ndarray, optional
            Array of the shape and dtype of the result to write it to.
        workers : int, optional
            Number of threads.

        Returns
        -------
        ndarray
            The result, of shape (...,) + `out_shape`, or `out`.

        Raises
        ------
        ValueError
            If the shape of `image` or `out` is not the plan's.
        TypeError
            If the dtype of `image` or `out` is not the plan's.
        """
        image = np.asarray(image)
        if image.shape[-2:] != self.shape:
            raise ValueError(f"the plan is for images of shape {self.shape}, not {image.shape}")
        if image.dtype != self.dtype:
            raise TypeError(f"the plan is for images of dtype {self.dtype}, not {image.dtype}")
        if self._ready is None:
            method = self._arguments[4]
            workers = resolve(workers)
            if image.ndim == 2:
                return _solve.solve(self._prepare(image), method, out, workers)
            result = np.empty(image.shape[:-2] + self.out_shape, self.out_dtype)
            for place in places(image.shape[:-2] if result.size else (0,)):
                result[place] = self(image[place], workers=workers)
            if out is None:
                return result
            check_out(out, result.shape, result.dtype)
            assign(np.asarray(out), result)
            return out
        problem, engine = self._ready
        problem = problem._replace(image=converted(image, problem.image.dtype))
        return _solve.solve(problem, "auto", out, workers, engine)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what the plan was made from."""
        return _plan_of, (self.shape, self.dtype, self._arguments)

    def __repr__(self) -> str:
        """Tell shapes, dtype and engine."""
        kernel = self._arguments[0].shape
        return f"<fastconv.plan {self.shape} by {kernel}, {self.dtype}: {self.explanation.engine}>"


def _plan_of(shape: tuple[int, int], dtype: Any, arguments: tuple[Any, ...]) -> plan:
    kernel, mode, boundary, fillvalue, method, correlate = arguments
    return plan(
        kernel,
        shape,
        dtype,
        mode=mode,
        boundary=boundary,
        fillvalue=fillvalue,
        method=method,
        correlate=correlate,
    )
