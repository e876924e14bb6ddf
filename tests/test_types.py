"""What signal.pyi tells type checkers: mypy reads these tests, and pytest runs them."""

from typing import Any, assert_type

import numpy as np
import pytest
from numpy.typing import NDArray

import fastconv
from fastconv import convolve, convolve2d, correlate2d, fftconvolve

Complex = NDArray[np.complexfloating[Any, Any]]
Real = NDArray[np.integer[Any] | np.floating[Any]]

f4 = np.ones((3, 3), np.float32)
f8 = np.ones((3, 3), np.float64)
c8 = np.ones((3, 3), np.complex64)
c16 = np.ones((3, 3), np.complex128)
i4 = np.ones((3, 3), np.int32)
u1 = np.ones((3, 3), np.uint8)


def test_arrays_of_one_dtype_give_that_dtype() -> None:
    a = assert_type(convolve2d(f4, f4), NDArray[np.float32])
    b = assert_type(correlate2d(c8, c8, "same", "symm", method="fft"), NDArray[np.complex64])
    c = assert_type(convolve(u1, u1, method="direct"), NDArray[np.uint8])
    d = assert_type(fftconvolve(f8, f8, workers=2), NDArray[np.float64])
    assert [x.dtype.char for x in (a, b, c, d)] == ["f", "F", "B", "d"]


def test_transforms_of_integers_are_real() -> None:
    a = assert_type(fftconvolve(i4, i4, axes=[0, 1]), Real)
    b = assert_type(fftconvolve(i4, u1), Real)
    assert a.dtype == b.dtype == np.float64
    # What is a product stays one of integers.
    assert fftconvolve(i4, np.ones((1, 1), np.int32)).dtype == np.int32


def test_arrays_made_in_the_call() -> None:
    a = assert_type(convolve2d(u1, np.full((3, 3), 1 / 9, np.float32)), Real)
    b = assert_type(convolve2d(np.ones((9, 9)), np.ones((3, 3), np.float32)), Real)
    c = assert_type(convolve2d(f8, np.ones((3, 3), np.complex64)), Complex)
    d = assert_type(correlate2d(u1.astype(np.float32), f8), Real)
    e = assert_type(convolve2d(np.zeros((3, 3), np.complex64), np.ones((2, 2))), Complex)
    f = assert_type(fftconvolve(i4, np.ones((2, 2), np.uint8)), Real)
    assert [x.dtype.kind for x in (a, b, c, d, e, f)] == ["f", "f", "c", "f", "c", "f"]
    assert convolve2d.__name__ == "convolve2d"
    assert convolve2d(f8, f8, axes=(np.int64(0), np.int64(1))).shape == (5, 5)


def test_real_and_complex() -> None:
    a = assert_type(convolve2d(f8, c16, fillvalue=1), Complex)
    b = assert_type(convolve2d(c8, [[1, 2]], boundary="wrap"), Complex)
    c = assert_type(convolve2d(f4, i4), Real)
    d = assert_type(convolve2d(f8, [[1.0, 2.0]], progress=False), Real)
    assert [x.dtype.kind for x in (a, b, c, d)] == ["c", "c", "f", "f"]


def test_what_is_not_known() -> None:
    anything: Any = f8
    assert_type(convolve2d([[1, 2j]], [[1]], out=None), Any)
    assert_type(convolve2d(f8, f8, "same", out=anything), Any)
    assert isinstance(convolve(anything, f8), np.ndarray)


def test_no_other_argument() -> None:
    with pytest.raises(TypeError, match="worker"):
        convolve2d(f8, f8, worker=2)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="mode"):
        fastconv.correlate(f8, f8, "most")
