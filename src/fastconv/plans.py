"""What will run, and why: `explain`. One kernel for many images: `plan`."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import _costs, _plan, _solve
from fastconv._problem import FILL, Problem, prepare
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

    def __init__(self, problem: Problem, chosen: _plan.Plan, threads: int, method: str) -> None:
        self.problem = problem
        self.method = method
        self.engine = chosen.engine
        self.tile = (chosen.height, chosen.width) if chosen.word else None
        self.line = chosen.line
        self.word = chosen.word
        self.threads = threads
        self.predicted = chosen.seconds
        self.memory = self._memory()
        self.bound = self._bound()
        self.others = chosen.others

    def _memory(self) -> int:
        """Scratch of a transform: the kernel's spectrum, and a tile and a few rows per thread."""
        if self.tile is None:
            return 0
        size = 4 if self.word == "f32" else 8
        points = self.tile[0] * self.tile[1]
        return 2 * size * points * (1 + self.line + self.threads)

    def _bound(self) -> str:
        problem = self.problem
        if problem.dtype.kind in "iu":
            return f"exact, modulo 2**{8 * problem.dtype.itemsize}"
        if self.engine == "fft" and self.tile is not None:
            u = "2**-24" if self.word == "f32" else "2**-53"
            constant = _plan.ERROR * log2(self.tile[0] * self.tile[1])
            return f"|error| <= {constant:.0f} * {u} * |tile| |kernel|, in Euclidean norms"
        both = problem.image.dtype.kind == problem.kernel.dtype.kind == "c"
        n = problem.kernel.size * (1 + both)
        bits = np.finfo(problem.dtype).nmant + 1
        return f"|error| <= {n} * 2**-{bits} * sum |products|"

    def __str__(self) -> str:
        """Describe it in a few lines."""
        problem = self.problem
        h, w = problem.image.shape[-2:]
        kh, kw = problem.kernel.shape
        my, mx = problem.shape
        lines = [
            f"{h} x {w} by {kh} x {kw} -> {my} x {mx}, {problem.dtype}",
            f"engine     {self.engine}: {ENGINE_NAMES[self.engine]}",
        ]
        if self.tile is not None:
            height, width = self.tile
            if self.line:
                lines.append(f"tile       pieces of {height * width} = {height} x {width} points")
            else:
                ny = -(-my // (height - kh + 1))
                nx = -(-mx // (width - kw + 1))
                lines.append(f"tile       {height} x {width} points, {ny} x {nx} of them")
            lines.append(f"computed   in {'float32' if self.word == 'f32' else 'float64'}")
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
    threads = resolve(workers)
    chosen = _solve.choose(problem, method)[0]
    if not chosen.seconds:
        kh, kw = problem.kernel.shape
        facts = _solve.facts(problem, False)
        planes = facts.image_parts * facts.kernel_parts
        outputs = float(problem.shape[0]) * problem.shape[1] * planes
        chosen = chosen._replace(seconds=_costs.direct(facts.word, outputs, kh, kw))
    return Explanation(problem, chosen, threads, method)


def _check_method(method: str) -> None:
    if method not in _plan.ENGINES:
        raise ValueError("Acceptable method flags are 'auto', 'direct', 'separable', or 'fft'.")


class plan:  # noqa: N801 - called like a function, as set_workers
    """
    A kernel made ready for images of one shape and dtype: chosen, packed and transformed once.

    Calling the plan with an image does only the image's work, and gives the same bits as
    `convolve2d` or `correlate2d`. A plan is immutable: threads may share it. It can be pickled.

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
        self._kernel = np.array(kernel)
        self._kernel.flags.writeable = False
        self._options = (mode, boundary, fillvalue, method, bool(correlate))
        # Stands for any image: it takes no memory, and is not larger than the kernel to a swap.
        image = np.broadcast_to(np.ones((), self.dtype), self.shape)
        problem = self._prepare(image)
        threads = resolve(workers)
        self.out_shape, self.out_dtype = problem.shape, problem.dtype
        self._engine = None
        if problem.kernel.size and 0 not in problem.shape and self._keeps_kernel(problem):
            self._engine = _solve.engine(problem, method, threads)
        self.explanation = Explanation(problem, _solve.choose(problem, method)[0], threads, method)
