"""Kernels that are the outer product of a column and a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]


# Relative error of a product of factors, in units of the roundoff u, that is taken for rounding. An
# outer product computed in the same precision shows no more: four roundings in its elements that
# make the factors, one in the quotient, one in the product that is compared.
ROUNDING = 6


def may_gain(kh: int, kw: int) -> bool:
    """Whether two sums keep the bound of one.

    They are off by kh u and kw u. The factors are off by (ROUNDING + 1) u, for the product that is
    compared has a rounding of its own, and second-order terms add less than u: together no more
    than the n u of the defining sum if n = kh kw is as many.
    """
    return kh * kw >= kh + kw + ROUNDING + 2


def factors(kernel: Array) -> tuple[Array, Array] | None:
    """Column u and row v whose product is the kernel, or None.

    Integers: exactly, modulo two to their width. Floating-point: up to rounding, zeros exactly. No
    element of u is larger than 1, so that sums of rows leave the range no earlier than the defining
    sum may.
    """
    if kernel.dtype.kind == "c":
        return None
    if kernel.dtype.kind in "iu":
        return _integer_factors(kernel)
    size = np.abs(kernel)
    y, x = np.unravel_index(np.argmax(size), kernel.shape)
    pivot = kernel[y, x]
    if not (np.isfinite(pivot) and pivot):
        return None
    v = kernel[y]
    u = kernel[:, x] / pivot
    product = np.multiply.outer(u, v)
    roundoff = np.finfo(kernel.dtype).eps / 2
    # Where the kernel is subnormal the right-hand side is too small for anything but equality.
    if not (np.abs(product - kernel) <= ROUNDING * roundoff * size).all():
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
