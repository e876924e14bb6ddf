"""What will run, and why: `explain`. One kernel for many images: `plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import _plan, _solve
from fastconv._error import growth
from fastconv._problem import Problem, check_out, prepare
from fastconv._workers import resolve

if TYPE_CHECKING:
    from typing import SupportsIndex

    from numpy.typing import ArrayLike, DTypeLike

    Array = np.ndarray[Any, Any]

__all__ = ["Explanation", "explain", "plan"]

ENGINE_NAMES = {
    "direct": "the defining sum, in registers",
    "separable": "the defining sum in two steps, a row of taps and a column",
    "certified": "tiles by Fourier transform in float64, each output proved or done again",
    "fft": "tiles by Fourier transform",
}


class Explanation:
    """
    What a call does: engine, tile, time, memory, error bound, and why not otherwise.

    Returned by `explain`; ``print`` it, or read its attributes.

    Attributes
    ----------
    engine : {'direct', 'separable', 'certified', 'fft'}
        What computes the result.
    tile : tuple of int or None
        Points of a tile's transform, None for sums.
    threads : int
        Number of threads that the call may use. The engine does not depend on it.
    predicted : float
        Seconds on one thread, by the measured costs.
    memory : int
        Bytes of scratch memory, all threads together.
    bound : str
        Error that holds for every output.
    others : tuple of (str, str)
        The other engines that the method allows, and why each was not chosen.
    """

    def __init__(self, problem: Problem, chosen: _plan.Plan, threads: int) -> None:
        self._problem = problem
        self.engine = chosen.engine
        self.tile = (chosen.height, chosen.width) if chosen.word else None
        self._line = chosen.line
        self._word = chosen.word
        real = problem.image.dtype.kind != "c" and problem.kernel.dtype.kind != "c"
        self._points = 2 if real else 1
        self.threads = threads
        self.predicted = chosen.seconds
        self.memory = self._memory()
        self.bound = self._bound()
        self.others = chosen.others

    def _memory(self) -> int:
        """Scratch of a transform: the kernel's spectrum, and a tile and a few rows per thread."""
        if self.tile is None:
            return 0
        size = 4 if self._word == "f32" else 8
        points = self.tile[0] * self.tile[1]
        return 2 * size * points * (1 + self._line + self.threads)

    def _bound(self) -> str:
        problem = self._problem
        if problem.dtype.kind in "iu":
            return f"exact, modulo 2**{8 * problem.dtype.itemsize}"
        if self.engine == "fft" and self.tile is not None:
            u = "2**-24" if self._word == "f32" else "2**-53"
            constant = growth(self._word, *self.tile, self._line, self._points == 2)
            return f"|error| <= {constant:.0f} * {u} * |tile| |kernel|, in Euclidean norms"
        both = problem.image.dtype.kind == problem.kernel.dtype.kind == "c"
        n = problem.kernel.size * (1 + both)
        bits = np.finfo(problem.dtype).nmant + 1
        return f"|error| <= {n} * 2**-{bits} * sum |products|"

    def __str__(self) -> str:
        """Describe it in a few lines."""
        problem = self._problem
        h, w = problem.image.shape[-2:]
        kh, kw = problem.kernel.shape
        my, mx = problem.shape
        lines = [
            f"{h} x {w} by {kh} x {kw} -> {my} x {mx}, {problem.dtype}",
            f"engine     {self.engine}: {ENGINE_NAMES[self.engine]}",
        ]
        if self.tile is not None:
            height, width = self.tile
            if self._line:
                lines.append(f"tile       pieces of {height * width} samples")
            else:
                ny = -(-my // (self._points * height - kh + 1))
                nx = -(-mx // (width - kw + 1))
                lines.append(f"tile       {height} x {width} points, {ny} x {nx} of them")
            lines.append(f"computed   in {'float32' if self._word == 'f32' else 'float64'}")
        lines += [
            f"threads    up to {self.threads}; the result is the same for any number",
            f"predicted  {_duration(self.predicted)} on one thread",
            f"memory     {_size(self.memory)} of scratch",
            f"bound      {self.bound}",
        ]
        for name, why in self.others:
            lines.append(f"not        {name}: {why}")
        return "\n".join(lines)

    __repr__ = __str__


def _duration(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e3)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} microseconds"


def _size(count: float) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return "next to nothing"


def explain(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: Any = 0,
    *,
    method: str = "auto",
    correlate: bool = False,
    workers: SupportsIndex | None = None,
) -> Explanation:
    """
    Tell how `convolve2d` would compute a result, without computing it.

    Parameters
    ----------
    in1, in2 : array_like, shapes (H, W) and (M, N)
        Image and kernel.
    mode, boundary, fillvalue, method, workers
        As in `convolve2d`. `method` may also be 'fast', which is what `convolve` and `correlate`
        mean by 'auto'.
    correlate : bool, optional
        Whether it is about `correlate2d`.

    Returns
    -------
    Explanation
        Engine, tile, threads, predicted time, memory, error bound, and why not the other engines;
        it prints as text.

    Raises
    ------
    ValueError, TypeError
        As `convolve2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> fastconv.explain(np.ones((1000, 1000)), np.ones((21, 21)), "same").engine
    'separable'
    """
    _check_method(method)
    name = "correlate2d" if correlate else "convolve2d"
    problem = prepare(name, correlate, in1, in2, mode, boundary, fillvalue)
    return _explained(problem, method, resolve(workers))


def _explained(problem: Problem, method: str, threads: int, once: bool = True) -> Explanation:
    if not (problem.kernel.size and 0 not in problem.shape):
        return Explanation(problem, _plan.Plan("direct"), threads)
    return Explanation(problem, _solve.plan_of(problem, method, once), threads)


def _check_method(method: str) -> None:
    if method not in _plan.ENGINES:
        raise ValueError("Acceptable method flags are 'auto', 'direct', 'separable', or 'fft'.")


class plan:  # noqa: N801 - called like a function, as set_workers
    """
    A kernel made ready for images of one shape and dtype: chosen, packed and transformed once.

    Calling the plan with an image does only the image's work. The result keeps the promises of
    `convolve2d` and `correlate2d`; it may differ from theirs in the last bits, because tiles that
    are not worth the kernel's transform for one image may be for many. A plan is immutable: threads
    may share it. It can be pickled.

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
        _check_method(method)
        self.dtype = np.dtype(dtype)
        height, width = shape
        self.shape = (int(height), int(width))
        self._arguments = (np.array(kernel), mode, boundary, fillvalue, method, bool(correlate))
        # Stands for any image, and takes no memory.
        pixel = np.ones((), self.dtype) * (1j if self.dtype.kind == "c" else 1)
        image = np.broadcast_to(pixel, self.shape)
        problem = self._prepare(image)
        threads = resolve(workers)
        self.out_shape, self.out_dtype = problem.shape, problem.dtype
        self.explanation = _explained(problem, method, threads, once=False)
        # An image that is smaller than the kernel becomes the kernel: nothing is ready then.
        self._ready: tuple[Problem, _solve.Engine] | None = None
        swapped = problem.kernel.shape != self._arguments[0].shape
        if problem.kernel.size and 0 not in problem.shape and not swapped:
            self._ready = problem, _solve.engine(problem, method, threads, once=False)

    def _prepare(self, image: Array) -> Problem:
        kernel, mode, boundary, fillvalue, _, correlate = self._arguments
        name = "correlate2d" if correlate else "convolve2d"
        return prepare(name, correlate, image, kernel, mode, boundary, fillvalue)

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
            if image.ndim == 2:
                return _solve.solve(self._prepare(image), method, out, workers)
            results = [self(one, workers=workers) for one in image]
            result = np.array(results, self.out_dtype).reshape(image.shape[:-2] + self.out_shape)
            if out is None:
                return result
            check_out(out, result.shape, result.dtype)
            out[...] = result
            return out
        problem, engine = self._ready
        problem = problem._replace(image=image.astype(problem.image.dtype, copy=False))
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
