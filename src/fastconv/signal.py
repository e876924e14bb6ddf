"""scipy.signal's two-dimensional convolution and correlation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastconv._problem import prepare
from fastconv._solve import solve

if TYPE_CHECKING:
    from typing import SupportsIndex

    import numpy as np
    from numpy.typing import ArrayLike

    Array = np.ndarray[Any, Any]

__all__ = ["convolve2d", "correlate2d"]


def convolve2d(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: Any = 0,
    *,
    method: str = "auto",
    out: Array | None = None,
    workers: SupportsIndex | None = None,
) -> Array:
    """
    Convolve two 2-dimensional arrays.

    Computes ``z[y, x] = sum_ij in1[i, j] * in2[y - i, x - j]``, as `scipy.signal.convolve2d`.

    Parameters
    ----------
    in1 : array_like, shape (H, W)
        First input, the image: the one that `boundary` extends.
    in2 : array_like, shape (M, N)
        Second input, the kernel.
    mode : {'full', 'same', 'valid'}, optional
        Which part of the result to compute:

        ``full``
            All of it, shape (H + M - 1, W + N - 1). The default.
        ``same``
            The centre, of the shape of `in1`: from ``((M - 1) // 2, (N - 1) // 2)`` on.
        ``valid``
            What does not depend on `boundary`, shape (H - M + 1, W - N + 1). One input must be at
            least as large as the other in both dimensions; they are swapped if that is `in2`.
    boundary : {'fill', 'wrap', 'symm'}, optional
        What lies around `in1`: `fillvalue` (the default), `in1` again and again, or its mirror
        image, ``d c b a | a b c d | d c b a``. Also 'pad', 'circular' and 'symmetric'.
    fillvalue : scalar, optional
        Value around `in1` for the boundary 'fill'. Default is 0.
    method : {'auto', 'direct'}, optional
        How to compute it. 'direct' is the defining sum; 'auto', the default, the fastest way that
        keeps the accuracy of the defining sum, which is 'direct' so far.
    out : ndarray, optional
        Array of the shape and dtype of the result, in any layout, to write it to. It may overlap
        the inputs.
    workers : int, optional
        Number of threads; -1 uses all processors. Default is `get_workers()`. The result is the
        same to the bit for any number.

    Returns
    -------
    ndarray
        The result, a new C-contiguous array, or `out`. Its dtype is ``np.result_type(in1, in2)``.

    Raises
    ------
    ValueError
        If an input is not 2-dimensional, an option not one of the above, `fillvalue` not a value
        of the result's dtype, that dtype not a numeric one of at least 8 bits (bool, float16 and
        object are refused), no input at least as large as the other in 'valid' mode, an empty
        image to be extended by 'wrap' or 'symm', or `out` of another shape or not writeable.
    TypeError
        If `out` is not an array of the result's dtype, or `workers` not an integer.
    MemoryError
        If there is not enough memory; `out` is untouched then.

    See Also
    --------
    correlate2d : The same without rotating the kernel.
    set_workers : Number of threads for all calls.

    Notes
    -----
    With u the unit roundoff, every output has an error of at most ``n u sum |in1| |in2|`` over the
    products it is the sum of, n of them, plus n times the smallest subnormal number. Each part of a
    complex output is a sum of n = 2MN real products. The bound is Jeannerod and Rump's, "Improved
    error bounds for inner products in floating-point arithmetic", SIAM J. Matrix Anal. Appl. 34
    (2013). Integers wrap around: they are exact modulo two to the power of their width.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.convolve2d([[1, 2, 3]], [[1, 10]])
    array([[ 1, 12, 23, 30]])
    >>> fastconv.convolve2d([[1, 2, 3]], [[1, 10]], mode="same", boundary="wrap")
    array([[31, 12, 23]])
    """
    problem = prepare("convolve2d", False, in1, in2, mode, boundary, fillvalue)
    return solve(problem, method, out, workers)


def correlate2d(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: Any = 0,
    *,
    method: str = "auto",
    out: Array | None = None,
    workers: SupportsIndex | None = None,
) -> Array:
    """
    Cross-correlate two 2-dimensional arrays.

    Computes ``z[y, x] = sum_ij in1[i + y, j + x] * conj(in2[i, j])``, as
    `scipy.signal.correlate2d`: the convolution of `in1` with `in2` rotated by 180 degrees and
    conjugated.

    Parameters
    ----------
    in1 : array_like, shape (H, W)
        First input, the image: the one that `boundary` extends.
    in2 : array_like, shape (M, N)
        Second input, the kernel; conjugated if complex.
    mode : {'full', 'same', 'valid'}, optional
        As in `convolve2d`, but for 'same', whose window starts ``((M - 1) // 2, (N - 1) // 2)``
        before the pixel. With inputs swapped in 'valid' mode the result is the conjugated,
        rotated correlation of the swapped inputs, also where scipy 1.17 forgets the conjugate.
    boundary : {'fill', 'wrap', 'symm'}, optional
        As in `convolve2d`.
    fillvalue : scalar, optional
        As in `convolve2d`.
    method : {'auto', 'direct'}, optional
        As in `convolve2d`.
    out : ndarray, optional
        As in `convolve2d`.
    workers : int, optional
        As in `convolve2d`.

    Returns
    -------
    ndarray
        The result, a new C-contiguous array, or `out`. Its dtype is ``np.result_type(in1, in2)``.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As in `convolve2d`.

    See Also
    --------
    convolve2d : The same with the kernel rotated by 180 degrees; it tells more.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.correlate2d([[1, 2, 3]], [[1, 10]])
    array([[10, 21, 32,  3]])
    >>> fastconv.correlate2d([[1, 2, 3]], [[1, 1j]], mode="valid")
    array([[1.-2.j, 2.-3.j]])
    """
    problem = prepare("correlate2d", True, in1, in2, mode, boundary, fillvalue)
    return solve(problem, method, out, workers)
