"""Kernels that are the outer product of a column and a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]


def may_gain(kh: int, kw: int) -> bool:
    """Whether two sums keep the bound of one, with room for factors that are off by 2 ulp each.

    The sums are off by kh u and kw u, the factors by 4 u, and second-order terms by less than u:
    together no more than the n u of the defining sum if n = kh kw is at least as many.
    """
    return kh * kw >= kh + kw + 5


@np.errstate(all="ignore")
def factors(kernel: Array) -> tuple[Array, Array] | None:
    """Column u and row v whose product is the kernel, or None.

    Integers: exactly, modulo two to their width. Floating-point: every element within 2 ulp, zeros
    exactly, and none subnormal. No element of u is larger than 1, so that sums of rows leave the
    range no earlier than the defining sum may.
    """
    if kernel.dtype.kind == "c":
        return None
    if kernel.dtype.kind in "iu":
        return _integer_factors(kernel)
    size = np.abs(kernel)
    y, x = np.unravel_index(np.argmax(size), kernel.shape)
    pivot = kernel[y, x]
    if not (np.isfinite(size[y, x]) and pivot):
        return None
    v = kernel[y]
    u = kernel[:, x] / pivot
    # The product is rounded to half an ulp, so what is seen as 1.5 ulp is 2 at most.
    difference = np.abs(np.multiply.outer(u, v) - kernel)
    if (difference > 1.5 * np.spacing(size)).any():
        return None
    # A product may be too small to be told from zero, but not so times a pixel. And an ulp of a
    # subnormal number may be as large as the number.
    if (np.logical_and.outer(u != 0, v != 0) != (kernel != 0)).any():
        return None
    if (size[kernel != 0] < np.finfo(kernel.dtype).tiny).any():
        return None
    return u[:, np.newaxis], v[np.newaxis]


def _integer_factors(kernel: Array) -> tuple[Array, Array] | None:
    y, x = np.unravel_index(np.argmax(kernel != 0), kernel.shape)
    row = kernel[y]
    if not row[x]:
        return None
    v = row // (np.gcd.reduce(row) or 1)
    if not v[x]:
        return None
    u = kernel[:, x] // v[x]
    if (np.multiply.outer(u, v) != kernel).any():
        return None
    return u[:, np.newaxis], v[np.newaxis]
