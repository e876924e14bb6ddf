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


def _may_be(kernel: Array) -> bool:
    """Look at two minors, which spares most kernels the rest."""
    (kh, kw), exact = kernel.shape, kernel.dtype.kind in "iu"
    for y, x in ((0, 0), (kh // 3, kw // 3)):
        a, b, c, d = [kernel.item(i, j) for i in (y, kh - 1) for j in (x, kw - 1)]
        minor = a * d - b * c
        if exact:
            if minor % (1 << 8 * kernel.dtype.itemsize):
                return False
        # Far more than rounding, and underflow, can make of a zero.
        elif abs(minor) > 64 * float(np.finfo(kernel.dtype).eps) * abs(a * d) + 1e-300:
            return False
    return True


@np.errstate(all="ignore")
def factors(kernel: Array) -> tuple[Array, Array] | None:
    """Column u and row v whose product is the kernel, or None.

    Integers: exactly, modulo two to their width. Floating-point: up to rounding, zeros exactly, and
    none subnormal. No element of u is larger than 1, so that sums of rows leave the range no
    earlier than the defining sum may.
    """
    if kernel.dtype.kind == "c" or not _may_be(kernel):
        return None
    if kernel.dtype.kind in "iu":
        return _integer_factors(kernel)
    size = np.abs(kernel)
    y, x = np.unravel_index(np.argmax(size), kernel.shape)
    pivot = kernel[y, x]
    if not np.isfinite(pivot):
        return None
    v = kernel[y]
    u = kernel[:, x] / (pivot or 1)
    roundoff = np.finfo(kernel.dtype).eps / 2
    if not (np.abs(np.multiply.outer(u, v) - kernel) <= ROUNDING * roundoff * size).all():
        return None
    # A product may be too small to be told from zero, but not so times a pixel. And what is allowed
    # of a subnormal number may be as large as the number.
    if (np.logical_and.outer(u != 0, v != 0) != (kernel != 0)).any():
        return None
    if (size[kernel != 0] < np.finfo(kernel.dtype).tiny).any():
        return None
    return u[:, np.newaxis], v[np.newaxis]


def _integer_factors(kernel: Array) -> tuple[Array, Array] | None:
    y, x = np.unravel_index(np.argmax(kernel != 0), kernel.shape)
    v = kernel[y] // (np.gcd.reduce(kernel[y]) or 1)
    u = kernel[:, x] // (v[x] or 1)
    if (np.multiply.outer(u, v) != kernel).any():
        return None
    return u[:, np.newaxis], v[np.newaxis]
