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


def test_transforms_of_integers_are_floats() -> None:
    a = assert_type(fftconvolve(i4, i4, axes=(0, 1)), NDArray[np.float64])
    b = assert_type(fftconvolve(i4, u1), NDArray[np.floating[Any]])
    assert a.dtype == b.dtype == np.float64


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
