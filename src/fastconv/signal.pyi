# What the annotations in signal.py cannot say: arrays of one dtype give that dtype, complex arrays
# complex ones, real arrays real ones. Functions of one signature share it. A product of arrays
# without dimensions is a scalar, which is not told apart, nor is what is empty.

from collections.abc import Callable, Sequence
from typing import Any, Protocol, SupportsIndex, TypedDict, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

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

# One of these, and not what two of them have in common.
_Float = TypeVar("_Float", np.float32, np.float64, np.complex64, np.complex128)
_Integer = TypeVar(
    "_Integer",
    np.int8,
    np.int16,
    np.int32,
    np.int64,
    np.uint8,
    np.uint16,
    np.uint32,
    np.uint64,
)
# Variables, for an array made in the call must be taken for what it is, not for what is asked for.
_C = TypeVar("_C", bound=np.complexfloating[Any, Any])
_R1 = TypeVar("_R1", bound=np.integer[Any] | np.floating[Any])
_R2 = TypeVar("_R2", bound=np.integer[Any] | np.floating[Any])
_Complex = NDArray[np.complexfloating[Any, Any]]
_Rows = Sequence[float] | Sequence[Sequence[float]]
_Number = np.integer[Any] | np.floating[Any]

class _Common(TypedDict, total=False):
    workers: SupportsIndex | None
    progress: bool | np.bool | Callable[[int, int], object] | None

class _InImages(_Common, total=False):
    axes: Sequence[SupportsIndex] | None
    method: str

class _OfImages(Protocol):
    __name__: str
    @overload
    def __call__(
        self,
        in1: NDArray[_Float],
        in2: NDArray[_Float],
        mode: str = ...,
        boundary: str = ...,
        fillvalue: Any = ...,
        *,
        out: None = ...,
        **options: Unpack[_InImages],
    ) -> NDArray[_Float]: ...
    @overload
    def __call__(
        self,
        in1: NDArray[_Integer],
        in2: NDArray[_Integer],
        mode: str = ...,
        boundary: str = ...,
        fillvalue: Any = ...,
        *,
        out: None = ...,
        **options: Unpack[_InImages],
    ) -> NDArray[_Integer]: ...
    @overload
    def __call__(
        self,
        in1: NDArray[_C],
        in2: ArrayLike,
        mode: str = ...,
        boundary: str = ...,
        fillvalue: Any = ...,
        *,
        out: None = ...,
        **options: Unpack[_InImages],
    ) -> _Complex: ...
    @overload
    def __call__(
        self,
        in1: ArrayLike,
        in2: NDArray[_C],
        mode: str = ...,
        boundary: str = ...,
        fillvalue: Any = ...,
        *,
        out: None = ...,
        **options: Unpack[_InImages],
    ) -> _Complex: ...
    @overload
    def __call__(
        self,
        in1: NDArray[_R1] | _Rows,
        in2: NDArray[_R2] | _Rows,
        mode: str = ...,
        boundary: str = ...,
        fillvalue: Any = ...,
        *,
        out: None = ...,
        **options: Unpack[_InImages],
    ) -> NDArray[_Number]: ...
    @overload
    def __call__(
        self,
        in1: ArrayLike,
        in2: ArrayLike,
        mode: str = ...,
        boundary: str = ...,
        fillvalue: Any = ...,
        *,
        out: Any = ...,
        **options: Unpack[_InImages],
    ) -> Any: ...

class _Sum(Protocol):
    __name__: str
    @overload
    def __call__(
        self,
        in1: NDArray[_Float],
        in2: NDArray[_Float],
        mode: str = ...,
        method: str = ...,
        *,
        out: None = ...,
        **options: Unpack[_Common],
    ) -> NDArray[_Float]: ...
    @overload
    def __call__(
        self,
        in1: NDArray[_Integer],
        in2: NDArray[_Integer],
        mode: str = ...,
        method: str = ...,
        *,
        out: None = ...,
        **options: Unpack[_Common],
    ) -> NDArray[_Integer]: ...
    @overload
    def __call__(
        self,
        in1: NDArray[_C],
        in2: ArrayLike,
        mode: str = ...,
        method: str = ...,
        *,
        out: None = ...,
        **options: Unpack[_Common],
    ) -> _Complex: ...
    @overload
    def __call__(
        self,
        in1: ArrayLike,
        in2: NDArray[_C],
        mode: str = ...,
        method: str = ...,
        *,
        out: None = ...,
        **options: Unpack[_Common],
    ) -> _Complex: ...
    @overload
    def __call__(
        self,
        in1: NDArray[_R1] | _Rows,
        in2: NDArray[_R2] | _Rows,
        mode: str = ...,
        method: str = ...,
        *,
        out: None = ...,
        **options: Unpack[_Common],
    ) -> NDArray[_Number]: ...
    @overload
    def __call__(
        self,
        in1: ArrayLike,
        in2: ArrayLike,
        mode: str = ...,
        method: str = ...,
        *,
        out: Any = ...,
        **options: Unpack[_Common],
    ) -> Any: ...

class _Transform(Protocol):
    __name__: str
    @overload
    def __call__(
        self,
        in1: NDArray[_Float],
        in2: NDArray[_Float],
        mode: str = ...,
        axes: Any = ...,
        *,
        out: None = ...,
        **options: Unpack[_Common],
    ) -> NDArray[_Float]: ...
    @overload
    def __call__(
        self,
        in1: NDArray[_Integer],
        in2: NDArray[_Integer],
        mode: str = ...,
        axes: Any = ...,
        *,
        out: None = ...,
        **options: Unpack[_Common],
    ) -> NDArray[_Number]: ...
    @overload
    def __call__(
        self,
        in1: NDArray[_C],
        in2: ArrayLike,
        mode: str = ...,
        axes: Any = ...,
        *,
        out: None = ...,
        **options: Unpack[_Common],
    ) -> _Complex: ...
    @overload
    def __call__(
        self,
        in1: ArrayLike,
        in2: NDArray[_C],
        mode: str = ...,
        axes: Any = ...,
        *,
        out: None = ...,
        **options: Unpack[_Common],
    ) -> _Complex: ...
    @overload
    def __call__(
        self,
        in1: NDArray[_R1] | _Rows,
        in2: NDArray[_R2] | _Rows,
        mode: str = ...,
        axes: Any = ...,
        *,
        out: None = ...,
        **options: Unpack[_Common],
    ) -> NDArray[_Number]: ...
    @overload
    def __call__(
        self,
        in1: ArrayLike,
        in2: ArrayLike,
        mode: str = ...,
        axes: Any = ...,
        *,
        out: Any = ...,
        **options: Unpack[_Common],
    ) -> Any: ...

convolve2d: _OfImages
correlate2d: _OfImages
convolve: _Sum
correlate: _Sum
fftconvolve: _Transform
oaconvolve: _Transform

def choose_conv_method(
    in1: ArrayLike, in2: ArrayLike, mode: str = "full", measure: bool = False
) -> Any: ...
def correlation_lags(in1_len: Any, in2_len: Any, mode: str = "full") -> NDArray[np.int_]: ...
def sepfir2d(
    input: ArrayLike,  # noqa: A002 - scipy's name
    hrow: ArrayLike,
    hcol: ArrayLike,
    /,
    *,
    out: NDArray[Any] | None = None,
    workers: SupportsIndex | None = None,
) -> NDArray[Any]: ...
