"""How far off a transform may be; docs/accuracy.md derives it.

With u the unit roundoff, every output of a tile has

    |computed - exact| <= K u |tile| |kernel|        in Euclidean norms,

where K adds up what each pass contributes: forward, of the tile and of the kernel, as a part of the
norm; back, as a part of the sum of the sizes of all that an output is made of.
"""

from __future__ import annotations

from functools import lru_cache
from math import log2, sqrt

from fastconv._dispatch import engine_for

ROUNDOFF = {"f32": 2.0**-24, "f64": 2.0**-53}

# Butterflies, by radix, in units of u.
FORWARD = {1: 0.0, 2: 1.0, 3: 9.5, 4: 2.0, 5: 18.8, 8: 6.0}
BACK = {1: 0.0, 2: 1.0, 3: 5.5, 4: 2.0, 5: 8.4, 8: 6.0}

PRODUCT = sqrt(5)
"""A product of complex numbers: Brent, Percival and Zimmermann, Math. Comp. 76 (2007)."""

ROUNDED = 1.0
"""A root of unity that is rounded from more digits."""

COMPUTED = 5.0
"""One that is computed with no more digits than it keeps, from an angle below pi / 4."""

SCALE = 2.0
"""The kernel's transform over the number of points: a quotient and a product."""

SECOND_ORDER = 1.02
"""Products of errors, and the rounding of norms."""

C = 21.0
"""Bound of K / log2(N) for all tiles of N points."""


@lru_cache
def growth(word: str, height: int, width: int, line: bool, folded: bool) -> float:
    """Return K for tiles of this size."""
    engine = engine_for("fft", word)
    outer, column, row = engine.passes(height, width)
    root = ROUNDED if engine.BUILD["rounded_twiddles"] else COMPUTED
    twiddle = PRODUCT + root
    # A twist is the product of two roots.
    twist = PRODUCT + (root if root == ROUNDED else 2 * root + PRODUCT)
    radices = (outer, *column, *row)
    # The last pass of a line has no twiddles; radix 1 is no pass.
    twiddles = sum(max(0, sum(r > 1 for r in passes) - 1) for passes in ((outer, *column), row))
    forward = sum(FORWARD[r] for r in radices) + twiddles * twiddle
    back = sum(BACK[r] for r in radices) + twiddles * twiddle
    turns = 3 * folded * twiddle + 3 * line * twist
    return float(SECOND_ORDER * (2 * forward + back + turns + PRODUCT + SCALE))


def error(word: str, height: int, width: int, line: bool, folded: bool) -> float:
    """Return K u: what an output may be off, over the norms of tile and kernel."""
    return growth(word, height, width, line, folded) * ROUNDOFF[word]


def guess(points: int) -> float:
    """Bound K u for float64 tiles of so many points, whatever their shape."""
    return C * log2(points) * ROUNDOFF["f64"]
