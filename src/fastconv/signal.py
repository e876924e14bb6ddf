"""scipy.signal's convolutions and correlations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastconv import _blocks, _choose, _images, _nd
from fastconv._problem import prepare
from fastconv._solve import solve

if TYPE_CHECKING:
    from typing import SupportsIndex

    import numpy as np
    from numpy.typing import ArrayLike

    Array = np.ndarray[Any, Any]

__all__ = [
    "choose_conv_method",
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "correlation_lags",
    "fftconvolve",
    "oaconvolve",
    "sepfir2d",
]


def convolve2d(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: Any = 0,
    *,
    axes: tuple[int, int] | None = None,
    method: str = "auto",
    out: Any = None,
    workers: SupportsIndex | None = None,
    progress: Any = None,
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
    axes : tuple of two ints, optional
        Which two axes of the inputs are rows and columns, if an input is a stack of images. The
        other axes are broadcast, as in `numpy.matmul`; an input with two dimensions is one image.
        The result has the broadcast axes, and rows and columns at the place that `axes` names in
        it. By default the inputs have two dimensions.
    method : {'auto', 'fast', 'direct', 'separable', 'certified', 'fft'}, optional
        How to compute it:

        ``auto``
            The fastest way that keeps the accuracy of the defining sum, whatever that is: a sum,
            two of them, or Fourier transforms in float64 whose every output is proved to be as
            accurate, or summed. The default.
        ``fast``
            The fastest way of all, be it as ``fft``: what `convolve` does by default.
        ``direct``
            The defining sum.
        ``separable``
            The defining sum in two steps, along the columns and along the rows. The kernel must
            be the outer product of two vectors.
        ``certified``
            Fourier transforms in float64 with that proof, for results of float32, complex64 and
            integers; the defining sum for others.
        ``fft``
            Fourier transforms of one tile after the other, with an accuracy of their own; see the
            notes. Tiles with an Inf or a NaN are summed.
    out : ndarray or array in a file, optional
        Array of the shape and dtype of the result, in any layout, to write it to. It may overlap
        the inputs. A `numpy.memmap`, or whatever else has ``shape``, ``dtype`` and ``__setitem__``,
        such as an array of h5py or zarr, is written block by block, and `in1` is read so; neither
        need fit into memory.
    workers : int, optional
        Number of threads; -1 uses all processors. Default is `get_workers()`. The result is the
        same to the bit for any number.
    progress : bool or callable, optional
        Compute the result block by block, and tell after each: True draws a bar, by tqdm if that is
        installed; a function is called with the number of blocks that are done and of all.

    Returns
    -------
    ndarray
        The result, a new C-contiguous array, or `out`. Its dtype is ``np.result_type(in1, in2)``.

    Raises
    ------
    ValueError
        If an input is not 2-dimensional, `axes` are not two of its axes, the other axes cannot be
        broadcast, an option not one of the above, the kernel not separable if it is to be,
        `fillvalue` not a value of the result's dtype, that dtype not one of the integers, float32
        and larger, or their complex types (bool, float16 and object are refused), no input at
        least as large as the other in 'valid' mode, an empty image to be extended by 'wrap' or
        'symm', or `out` of another shape or not writeable.
    TypeError
        If `out` is not an array of the result's dtype, or `workers` not an integer.
    MemoryError
        If there is not enough memory; `out` is untouched then, unless it is written in blocks.

    See Also
    --------
    correlate2d : The same without rotating the kernel.
    explain : Tell how a call computes its result, and why.
    plan : One kernel made ready for many images.
    set_workers : Number of threads for all calls.

    Notes
    -----
    With u the unit roundoff, every output has an error of at most ``n u sum |in1| |in2|`` over the
    products it is the sum of, n of them, plus n times the smallest subnormal number, if that sum of
    sizes is in the type's range: else a part of the sum may overflow. Each part of a complex output
    is a sum of n = 2MN real products. The bound is Jeannerod and Rump's, "Improved error bounds for
    inner products in floating-point arithmetic", SIAM J. Matrix Anal. Appl. 34 (2013). Integers
    wrap around: they are exact modulo two to the power of their width.

    With method 'fft', and where 'fast' takes it, every output of a tile has an error of at most
    ``21 log2(N) u`` times the 2-norms of the tile and of the kernel, for tiles of N points, apart
    from underflow; integers are exact all the same. With method 'separable' and a kernel that
    'auto' leaves whole, of some 4x4 taps and less, n is M + N + 8. `explain` tells the bound of a
    call.

    An array of dask gives an array of dask, whose tasks compute a chunk each on one thread. By
    blocks or chunks, integers are the same to the bit, and other numbers within their bound, as a
    smaller problem may be summed in another order. An `out` that is written block by block may be
    the file of `in1`, under any name, and the result is computed in memory then; where a block
    cannot be computed, those before it are written.

    Examples
    --------
    >>> import fastconv
    >>> import numpy as np
    >>> fastconv.convolve2d([[1, 2, 3]], [[1, 10]])
    array([[ 1, 12, 23, 30]])
    >>> fastconv.convolve2d([[1, 2, 3]], [[1, 10]], mode="same", boundary="wrap")
    array([[31, 12, 23]])
    >>> image = np.ones((480, 640, 3))
    >>> fastconv.convolve2d(image, np.ones((5, 5)), mode="same", axes=(0, 1)).shape
    (480, 640, 3)
    """
    if _blocks.is_needed(in1, in2, out, progress):
        result: Array = _blocks.call(
            convolve2d,
            in1,
            in2,
            out,
            workers,
            progress,
            mode=mode,
            boundary=boundary,
            fillvalue=fillvalue,
            axes=axes,
            method=method,
        )
        return result
    if axes is not None:
        return _images.stack(
            "convolve2d", in1, in2, mode, boundary, fillvalue, axes, method, out, workers
        )
    problem = prepare("convolve2d", False, in1, in2, mode, boundary, fillvalue, method)
    return solve(problem, method, out, workers)


def correlate2d(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: Any = 0,
    *,
    axes: tuple[int, int] | None = None,
    method: str = "auto",
    out: Any = None,
    workers: SupportsIndex | None = None,
    progress: Any = None,
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
    axes : tuple of two ints, optional
        As in `convolve2d`.
    method : {'auto', 'fast', 'direct', 'separable', 'certified', 'fft'}, optional
        As in `convolve2d`.
    out : ndarray or array in a file, optional
        As in `convolve2d`.
    workers : int, optional
        As in `convolve2d`.
    progress : bool or callable, optional
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
    if _blocks.is_needed(in1, in2, out, progress):
        result: Array = _blocks.call(
            correlate2d,
            in1,
            in2,
            out,
            workers,
            progress,
            mode=mode,
            boundary=boundary,
            fillvalue=fillvalue,
            axes=axes,
            method=method,
        )
        return result
    if axes is not None:
        return _images.stack(
            "correlate2d", in1, in2, mode, boundary, fillvalue, axes, method, out, workers
        )
    problem = prepare("correlate2d", True, in1, in2, mode, boundary, fillvalue, method)
    return solve(problem, method, out, workers)


def convolve(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    method: str = "auto",
    *,
    out: Any = None,
    workers: SupportsIndex | None = None,
    progress: Any = None,
) -> Any:
    """
    Convolve two arrays with as many dimensions.

    Computes ``z[n] = sum_m in1[m] * in2[n - m]``, n and m of as many integers as there are
    dimensions, as `scipy.signal.convolve`.

    Parameters
    ----------
    in1 : array_like, shape (N1, ..., Nd)
        First input.
    in2 : array_like, shape (M1, ..., Md)
        Second input.
    mode : {'full', 'same', 'valid'}, optional
        Which part of the result to compute:

        ``full``
            All of it, of length N + M - 1 in each dimension. The default.
        ``same``
            The centre, of the shape of `in1`: from (M - 1) // 2 on in each dimension.
        ``valid``
            What does not depend on zeros around, of length N - M + 1. One input must be at least
            as large as the other in every dimension; they are swapped if that is `in2`.
    method : {'auto', 'direct', 'fft'}, optional
        'direct' is the defining sum, 'fft' goes through a Fourier transform, and 'auto', the
        default, is whatever is predicted to be fastest.
    out : ndarray or array in a file, optional
        Array of the shape and dtype of the result, in any layout, to write it to. It may overlap
        the inputs. A `numpy.memmap`, or whatever else has ``shape``, ``dtype`` and ``__setitem__``,
        such as an array of h5py or zarr, is written block by block, and `in1` is read so; neither
        need fit into memory.
    workers : int, optional
        Number of threads; -1 uses all processors. Default is `get_workers()`.
    progress : bool or callable, optional
        Compute the result block by block, and tell after each: True draws a bar, by tqdm if that is
        installed; a function is called with the number of blocks that are done and of all.

    Returns
    -------
    ndarray or scalar
        The result, a new C-contiguous array, or `out`; a scalar for two scalars. Its dtype is
        ``np.result_type(in1, in2)``.

    Raises
    ------
    ValueError
        If the inputs differ in their number of dimensions, an option is not one of the above, no
        input is at least as large as the other in 'valid' mode, an input is empty (other than
        `in1` in mode 'same'), both are bool and the method could be a sum in more than one
        dimension, or in mode 'same' with a longer `in2`, or `out` of another
        shape or not writeable.
    TypeError
        If `out` is not an array of the result's dtype, `workers` not an integer, or the inputs
        are objects and SciPy, to which such calls go, is not installed.
    MemoryError
        If there is not enough memory; `out` is untouched then, unless it is written in blocks.

    Warns
    -----
    RuntimeWarning
        If the method is 'fft' and an input holds an Inf or a NaN.

    See Also
    --------
    convolve2d : Two dimensions, and other boundaries than zeros.
    correlate : The same with `in2` reversed and conjugated.
    choose_conv_method : Tell which method is faster.

    Notes
    -----
    Integers are exact modulo two to the power of their width with every method; the sum of two
    bool arrays is true where it is not zero. float16 is computed in float32 and rounded once, in
    every dimension and size. 'direct' has the accuracy of `convolve2d`, with n the number of
    products. 'fft' and 'auto' in one and two dimensions have errors of at most ``21 log2(N) u``
    times the 2-norms of the smaller input and of the tile of the other that an output is computed
    from, with N the number of points of the tile's transform. In more dimensions, and in long
    double, 'fft' goes through SciPy's transform, if SciPy is installed, and the bound is
    ``32 log2(N) u`` times the 2-norms of the inputs. 'auto' does so where that is fastest;
    otherwise it adds up results of two dimensions, and their errors. `explain` tells the bound of
    a call.

    In one dimension nothing is multiplied with what lies outside the inputs. In more, as in
    scipy, zeros around one of the inputs are multiplied (`in1` in mode 'same', else the larger
    one), and times an Inf they are NaN.

    An array of dask gives an array of dask, whose tasks compute a chunk each on one thread. By
    blocks or chunks, integers are the same to the bit, and other numbers within their bound, as a
    smaller problem may be summed in another order. An `out` that is written block by block may be
    the file of `in1`, under any name, and the result is computed in memory then; where a block
    cannot be computed, those before it are written.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.convolve([1, 2, 3], [1, 10])
    array([ 1, 12, 23, 30])
    >>> fastconv.convolve([1, 2, 3], [1, 10], mode="valid")
    array([12, 23])
    """
    if _blocks.is_needed(in1, in2, out, progress):
        return _blocks.call(convolve, in1, in2, out, workers, progress, mode=mode, method=method)
    return _nd.convolve("convolve", in1, in2, mode, method, out, workers)


def correlate(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    method: str = "auto",
    *,
    out: Any = None,
    workers: SupportsIndex | None = None,
    progress: Any = None,
) -> Any:
    """
    Cross-correlate two arrays with as many dimensions.

    Computes ``z[k] = sum_l in1[l] * conj(in2[l - k])``, k and l of as many integers as there are
    dimensions, as `scipy.signal.correlate`: the convolution of `in1` with `in2` reversed in every
    dimension and conjugated.

    Parameters
    ----------
    in1 : array_like, shape (N1, ..., Nd)
        First input.
    in2 : array_like, shape (M1, ..., Md)
        Second input; conjugated if complex.
    mode : {'full', 'same', 'valid'}, optional
        As in `convolve`. 'full' begins with k = 1 - M, 'same' with k = -(M // 2). Where M is even
        this is one less than in `correlate2d`, as in scipy.
    method : {'auto', 'direct', 'fft'}, optional
        As in `convolve`.
    out : ndarray or array in a file, optional
        As in `convolve`.
    workers : int, optional
        As in `convolve`.
    progress : bool or callable, optional
        As in `convolve`.

    Returns
    -------
    ndarray or scalar
        The result, a new C-contiguous array, or `out`; a scalar for two scalars. Its dtype is
        ``np.result_type(in1, in2)``.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As in `convolve`.

    Warns
    -----
    RuntimeWarning
        As in `convolve`.

    See Also
    --------
    convolve : The same without reversing and conjugating; it tells more.
    correlation_lags : The k of each element, in one dimension.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.correlate([1, 2, 3], [1, 10])
    array([10, 21, 32,  3])
    >>> fastconv.correlate([1, 2, 3], [1, 1j], mode="valid")
    array([1.-2.j, 2.-3.j])
    """
    if _blocks.is_needed(in1, in2, out, progress):
        return _blocks.call(correlate, in1, in2, out, workers, progress, mode=mode, method=method)
    return _nd.convolve("correlate", in1, in2, mode, method, out, workers)


def fftconvolve(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    axes: Any = None,
    *,
    out: Any = None,
    workers: SupportsIndex | None = None,
    progress: Any = None,
) -> Any:
    """
    Convolve two arrays along some axes, in floating point.

    As `scipy.signal.fftconvolve`. It is free to sum directly where that is faster.

    Parameters
    ----------
    in1 : array_like, shape (N1, ..., Nd)
        First input.
    in2 : array_like, shape (M1, ..., Md)
        Second input.
    mode : {'full', 'same', 'valid'}, optional
        As in `convolve`, along `axes`. Along the others the result has the length that
        broadcasting gives, but that of `in1` in mode 'same'.
    axes : int or sequence of ints, optional
        Axes to convolve along; along the others, the inputs are broadcast. Default: all.
    out : ndarray or array in a file, optional
        As in `convolve`.
    workers : int, optional
        As in `convolve`.
    progress : bool or callable, optional
        As in `convolve`.

    Returns
    -------
    ndarray or scalar
        The result, a new array, or `out`; a scalar for two scalars, ``np.array([])`` if an input
        is empty. Its dtype is ``np.result_type(in1, in2)`` with float32 for float16, and float64
        for integers and bool. Where no axis is left to sum along, because one of the inputs has
        length one along each, it is that of ``in1 * in2``.

    Raises
    ------
    ValueError
        If the inputs differ in their number of dimensions, do not broadcast along the axes not
        named, no input is at least as large as the other in 'valid' mode, `mode` is not one of
        the above, `axes` are not different axes of the inputs, or `out` has another shape or is
        not writeable.
    TypeError, MemoryError
        As in `convolve`.

    See Also
    --------
    convolve : All axes, and integers that stay integers.
    oaconvolve : The same.

    Notes
    -----
    The error is that of `convolve` by method 'auto'. The inputs are converted to the result's dtype
    first. An Inf or a NaN does not spoil what is far from it.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.fftconvolve([1, 2, 3], [1, 10])
    array([ 1., 12., 23., 30.])
    >>> fastconv.fftconvolve([[1, 2, 3], [0, 1, 0]], [[1, 10]], axes=1)
    array([[ 1., 12., 23., 30.],
           [ 0.,  1., 10.,  0.]])
    """
    if _blocks.is_needed(in1, in2, out, progress):
        return _blocks.call(fftconvolve, in1, in2, out, workers, progress, mode=mode, axes=axes)
    return _nd.fftconvolve("fftconvolve", in1, in2, mode, axes, out, workers)


def oaconvolve(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    axes: Any = None,
    *,
    out: Any = None,
    workers: SupportsIndex | None = None,
    progress: Any = None,
) -> Any:
    """
    Convolve two arrays along some axes, in floating point.

    As `scipy.signal.oaconvolve`. Here it is `fftconvolve` by another name: that one, too, works
    piece by piece where this is faster.

    Parameters
    ----------
    in1, in2 : array_like
        As in `fftconvolve`.
    mode : {'full', 'same', 'valid'}, optional
        As in `fftconvolve`.
    axes : int or sequence of ints, optional
        As in `fftconvolve`.
    out : ndarray or array in a file, optional
        As in `convolve`.
    workers : int, optional
        As in `convolve`.
    progress : bool or callable, optional
        As in `convolve`.

    Returns
    -------
    ndarray or scalar
        As from `fftconvolve`.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As in `fftconvolve`.

    See Also
    --------
    fftconvolve : The same; it tells more.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.oaconvolve([1, 2, 3], [1, 10], mode="same")
    array([ 1., 12., 23.])
    """
    if _blocks.is_needed(in1, in2, out, progress):
        return _blocks.call(oaconvolve, in1, in2, out, workers, progress, mode=mode, axes=axes)
    return _nd.fftconvolve("oaconvolve", in1, in2, mode, axes, out, workers)


def choose_conv_method(
    in1: ArrayLike, in2: ArrayLike, mode: str = "full", measure: bool = False
) -> Any:
    """
    Tell which method of `convolve` is faster.

    As `scipy.signal.choose_conv_method`, about fastconv's own methods.

    Parameters
    ----------
    in1, in2 : array_like
        The inputs of the convolution or correlation.
    mode : {'full', 'same', 'valid'}, optional
        Its mode.
    measure : bool, optional
        Run both methods and take their times. By default they are predicted, from shapes, dtypes
        and, of integers, values; in more than two dimensions roughly.

    Returns
    -------
    method : {'direct', 'fft'}
        The faster one; 'direct' for integers so large that a transform might not round to the
        right ones, for bool, and for what is no number.
    times : dict of str to float
        Seconds that each took. Only with `measure`.

    Raises
    ------
    ValueError
        If `mode` is none of the above; with `measure`, also what `convolve` raises.

    See Also
    --------
    convolve : Its 'auto' is faster than the better of the two where something else is.
    explain : Tell more: what 'auto' takes, how long, and how accurate it is.

    Examples
    --------
    >>> import fastconv
    >>> import numpy as np
    >>> fastconv.choose_conv_method(np.ones((512, 512)), np.ones((3, 3)))
    'direct'
    >>> fastconv.choose_conv_method(np.ones((512, 512)), np.ones((200, 200)))
    'fft'
    """
    return _choose.choose_conv_method(in1, in2, mode, measure, convolve)


def correlation_lags(in1_len: int, in2_len: int, mode: str = "full") -> Array:
    """
    Tell which lag each element of a 1-D correlation has.

    As `scipy.signal.correlation_lags`, and right in mode 'same' for an odd `in1_len` and an even
    `in2_len` too.

    Parameters
    ----------
    in1_len, in2_len : int
        Lengths N and M of the inputs of `correlate`.
    mode : {'full', 'same', 'valid'}, optional
        Its mode.

    Returns
    -------
    ndarray of int64
        The lag k of each element of ``correlate(in1, in2, mode)``.

    Raises
    ------
    ValueError
        If `mode` is none of the above.

    See Also
    --------
    correlate : What the lags belong to.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.correlation_lags(3, 2)
    array([-1,  0,  1,  2])
    >>> fastconv.correlation_lags(3, 2, mode="same")
    array([-1,  0,  1])
    """
    return _choose.correlation_lags(in1_len, in2_len, mode)


def sepfir2d(
    input: ArrayLike,  # noqa: A002 - scipy's name
    hrow: ArrayLike,
    hcol: ArrayLike,
    /,
    *,
    out: Array | None = None,
    workers: SupportsIndex | None = None,
) -> Array:
    """
    Convolve an image with a filter along its rows, and with one along its columns.

    As `scipy.signal.sepfir2d`. Around the image lies its mirror image, d c b a | a b c d | d c b a,
    over any distance.

    Parameters
    ----------
    input : array_like, shape (H, W)
        The image.
    hrow : array_like, shape (N,)
        Filter along the rows; N is odd, and may be larger than W.
    hcol : array_like, shape (M,)
        Filter along the columns; M is odd, and may be larger than H.
    out : ndarray, optional
        As in `convolve`.
    workers : int, optional
        As in `convolve`.

    Returns
    -------
    ndarray, shape (H, W)
        The result, a new C-contiguous array, or `out`. Its dtype depends on the image's alone:
        ``np.result_type(input, np.float32)``.

    Raises
    ------
    ValueError
        If the image does not have two dimensions, a filter not one, its length is even, the image
        is longdouble, or `out` has another shape or is not writeable.
    TypeError
        If a filter, as an array, cannot safely be cast to the result's dtype, such as a float64
        one to float32, the image to none of float32, float64, complex64 and complex128, or `out`
        is not an array of the result's dtype.
    MemoryError
        If there is not enough memory; `out` is untouched then, unless it is written in blocks.

    See Also
    --------
    convolve2d : Filters that are not a product of two.

    Notes
    -----
    The error is at most ``(M + N) u sum |input| |hrow| |hcol|``, apart from underflow and overflow.

    Examples
    --------
    >>> import fastconv
    >>> import numpy as np
    >>> fastconv.sepfir2d(np.array([[1.0, 2.0, 3.0]]), [1.0, 0.0, 0.0], [2.0])
    array([[4., 6., 6.]])
    """
    return _images.sepfir2d(input, hrow, hcol, out, workers)
