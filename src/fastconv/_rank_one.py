"""Kernels that are the outer product of a column and a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv._parts import distinct, parts

if TYPE_CHECKING:
    from collections.abc import Callable

    Array = np.ndarray[Any, Any]


# Relative error of a product of factors, in units of the roundoff u, that is taken for rounding. An
# outer product computed in the same precision shows no more: four roundings in its elements that
# make the factors, one in the quotient, one in the product that is compared.
ROUNDING = 6


def terms(kh: int, kw: int) -> int:
    """Products that a sum has which is off as much as two of kh and of kw.

    They are off by kh u and kw u. The factors are off by (ROUNDING + 1) u, for the product that is
    compared has a rounding of its own, and second-order terms add less than u.
    """
    return kh + kw + ROUNDING + 2


def may_gain(kh: int, kw: int) -> bool:
    """Whether two sums keep the bound of one."""
    return kh * kw >= terms(kh, kw)


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
def factors(kernel: Array, columns_first: bool = False) -> tuple[Array, Array] | None:
    """Column u and row v whose product is the kernel, or None.

    Integers: exactly, modulo two to their width. Floating-point: up to rounding, zeros exactly, and
    none subnormal. No element of the factor that is summed with last, u unless the columns go
    first, is larger than 1: it would multiply what the sums before have lost by underflow.
    """
    if kernel.dtype.kind == "c" or not _may_be(kernel):
        return None
    core = distinct(kernel)
    if kernel.dtype.kind in "iu":
        found = _integer_factors(core)
    else:
        found = _float_factors(core, columns_first)
    if found is None or core.shape == kernel.shape:
        return found
    kh, kw = kernel.shape
    return np.broadcast_to(found[0], (kh, 1)), np.broadcast_to(found[1], (1, kw))


def _float_factors(kernel: Array, columns_first: bool) -> tuple[Array, Array] | None:
    y, x = _largest(kernel)
    pivot = kernel[y, x]
    if not np.isfinite(pivot):
        return None
    column, row = kernel[:, x], kernel[y]
    either = (column / (pivot or 1), row), (column, row / (pivot or 1))
    limits = np.finfo(kernel.dtype)
    roundoff = limits.eps / 2

    def agree(u: Array, v: Array, w: Array) -> bool:
        product, size = u * v, np.abs(w)
        if not (np.abs(product - w) <= ROUNDING * roundoff * size).all():
            return False
        # A product may be too small to be told from zero, but not so times a pixel. And what is
        # allowed of a subnormal number may be as large as the number.
        zero = size == 0
        return bool((((u == 0) | (v == 0)) == zero).all() and (zero | (size >= limits.tiny)).all())

    # Both, so that it does not depend on the order whether there are any.
    if not all(_agrees(agree, u, v, kernel) for u, v in either):
        return None
    u, v = either[columns_first]
    return u[:, np.newaxis], v[np.newaxis]


def _largest(kernel: Array) -> tuple[int, int]:
    """Where the first tap of the largest size is, or a NaN."""
    found = []
    for part in parts(kernel):
        some = np.abs(kernel[part])
        y, x = divmod(int(some.argmax()), some.shape[1])
        first_y, first_x = (s.start for s in part) if part else (0, 0)
        # Which part of those that hold as large ones comes first depends on the layout.
        size = some[y, x]
        found.append((bool(np.isnan(size)), size, -(y + first_y), -(x + first_x)))
    _, _, y, x = max(found)
    return -y, -x


def _agrees(
    agree: Callable[[Array, Array, Array], bool], u: Array, v: Array, kernel: Array
) -> bool:
    """Whether all parts of the product of two factors agree with those of the kernel."""
    column, row = u[:, np.newaxis], v[np.newaxis]
    for part in parts(kernel):
        ys, xs = part or (slice(None), slice(None))
        if not agree(column[ys], row[:, xs], kernel[part]):
            return False
    return True


def _integer_factors(kernel: Array) -> tuple[Array, Array] | None:
    """Divide modulo two to the width: by an element with the fewest factors of two."""
    bits = 8 * kernel.dtype.itemsize
    whole = kernel.view(f"u{kernel.dtype.itemsize}")
    powers = whole & -whole
    y, x = np.unravel_index(np.argmin(powers - 1), whole.shape)  # of zero, the largest
    power = powers[y, x] or powers.dtype.type(1)
    odd = int(whole[y, x] // power) or 1
    u, v = whole[:, x] * whole.dtype.type(pow(odd, -1, 1 << bits)), whole[y] // power
    if not _agrees(lambda u, v, w: bool((u * v == w).all()), u, v, whole):
        return None
    u, v = u.view(kernel.dtype), v.view(kernel.dtype)
    return u[:, np.newaxis], v[np.newaxis]
