"""Which engine runs a problem: count, decide, and say why.

The choice is a function of shapes, dtypes and cheap facts about the data, and of the measured costs
in `_costs`. It never depends on the number of threads. Nothing here touches a pixel.

    engine      cost                                     keeps
    direct      kh kw for each output                    the bound of the defining sum
    separable   kh + kw, for kernels of rank one         the same
    certified   log N: a transform in float64, whose     the same: each output is proved, or done
                error is far below float32's             again directly
    fft         log N                                    a bound for each tile
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fastconv import _costs

Lengths = np.ndarray[Any, np.dtype[np.int64]]

ENGINES = {
    "auto": ("direct", "separable", "certified"),
    "fast": ("direct", "separable", "fft"),
    "direct": ("direct",),
    "separable": ("separable",),
    "certified": ("certified",),
    "fft": ("fft",),
}
"""What each method may choose from. 'fast' is what scipy's `convolve` means by 'auto'."""

ROUNDOFF = {"f32": 2.0**-24, "f64": 2.0**-53}

ERROR = 16.0
"""C of |error| <= C log2(N) u |tile| |kernel|, for N points: docs/accuracy.md derives it."""

# Longest transform along an axis. Beyond it tiles are cut, whatever the kernel.
MAX_LENGTH = 1 << 15


class Facts(NamedTuple):
    """What the choice depends on."""

    outputs: tuple[int, int]
    taps: tuple[int, int]
    images: int
    image_parts: int
    kernel_parts: int
    char: str  # of the result's dtype
    word: str  # that the direct engine computes it in
    rank_one: bool
    transformable: bool  # finite operands, and integers small enough to come out exact


class Plan(NamedTuple):
    """What runs: an engine, with the tile of its transform, and the time it should take."""

    engine: str
    word: str = ""
    height: int = 0
    width: int = 0
    line: bool = False
    seconds: float = 0.0
    reason: str = ""
    others: tuple[tuple[str, str], ...] = ()


@lru_cache
def lengths(lanes: int) -> Lengths:
    """Lengths that there are transforms for: multiples of `lanes` of no primes but 2, 3 and 5."""
    found = [lanes * 2**a * 3**b * 5**c for a in range(16) for b in range(4) for c in range(3)]
    return np.array(sorted(n for n in found if n <= MAX_LENGTH))


def _axis(outputs: int, taps: int, n: Lengths, points: int) -> tuple[Lengths, Lengths]:
    """Lengths worth a look along an axis, and how many tiles each needs.

    A length has `points` inputs for each of its points.
    """
    n = n[points * n >= taps]
    # The first that needs no second tile is the last of interest.
    n = n[: np.searchsorted(points * n, outputs + taps - 1) + 1]
    return n, -(-outputs // (points * n - taps + 1))


def tile(facts: Facts, word: str, lanes: int) -> tuple[float, int, int, bool] | None:
    """Time and tile of the cheapest transform: (seconds, height, width, line)."""
    (m_y, m_x), (kh, kw) = facts.outputs, facts.taps
    n = lengths(lanes)
    # Real tiles are folded: twice as high, or as long, as their transform.
    points = 2 if facts.image_parts == facts.kernel_parts == 1 else 1
    line = kh == 1 or kw == 1
    if line:
        rows, outputs, taps = (m_y, m_x, kw) if kh == 1 else (m_x, m_y, kh)
        height, width = (axis.ravel() for axis in np.meshgrid(n, n, indexing="ij"))
        sensible = (height <= width) & (width <= 8 * height) & (points * height * width >= taps)
        height, width = height[sensible], width[sensible]
        tiles = rows * -(-outputs // (points * height * width - taps + 1))
    else:
        y, n_y = _axis(m_y, kh, n, points)
        x, n_x = _axis(m_x, kw, n, 1)
        height, width = (axis.ravel() for axis in np.meshgrid(y, x, indexing="ij"))
        tiles = np.multiply.outer(n_y, n_x).ravel()
    if not tiles.size:
        return None
    # The kernel's own transform goes one way only.
    seconds = _costs.transform(word, height * width, line) * (tiles * facts.images + 0.5)
    best = int(np.argmin(seconds))
    total = _costs.TRANSFORM_CALL + float(seconds[best])
    return total, int(height[best]), int(width[best]), line


_NATIVE = {"f": "f32", "d": "f64", "F": "f32", "D": "f64"}


def _transform_word(engine: str, char: str) -> str | None:
    """Word that a transform computes in, None where it can not keep the promise."""
    # The engine writes integers as wide as its own words as if they were such words.
    if char in "gG" or (np.dtype(char).kind in "iu" and np.dtype(char).itemsize == 8):
        return None
    if engine == "fft" and char in _NATIVE:
        return _NATIVE[char]
    return None if engine == "certified" and char in "dD" else "f64"


@lru_cache(maxsize=1024)
def decide(facts: Facts, method: str, lanes: tuple[tuple[str, int], ...]) -> Plan:
    """Return the cheapest engine that the method allows, and why not the others."""
    (m_y, m_x), (kh, kw) = facts.outputs, facts.taps
    outputs = float(m_y) * m_x * facts.images
    planes = facts.image_parts * facts.kernel_parts
    found: list[Plan] = []
    others: list[tuple[str, str]] = []
    for engine in ENGINES[method]:
        if engine == "direct":
            seconds = _costs.direct(facts.word, outputs * planes, kh, kw)
            found.append(Plan(engine, seconds=seconds))
        elif engine == "separable":
            if not facts.rank_one:
                others.append((engine, "the kernel is not the outer product of two vectors"))
            else:
                seconds = _costs.separable(facts.word, outputs * planes, kh, kw)
                found.append(Plan(engine, seconds=seconds))
        else:
            word = _transform_word(engine, facts.char)
            if word is None:
                others.append((engine, f"no transform is accurate enough for {facts.char!r}"))
            elif not facts.transformable:
                others.append((engine, "an operand is not finite, or too large to come out exact"))
            else:
                best = tile(facts, word, dict(lanes)[word])
                if best is None:
                    others.append((engine, "the kernel is longer than any transform"))
                else:
                    seconds, height, width, line = best
                    found.append(Plan(engine, word, height, width, line, seconds))
    if not found:
        return Plan("direct", others=tuple(others))
    found.sort(key=lambda plan: plan.seconds)
    best_plan = found[0]
    others += [
        (plan.engine, f"{plan.seconds / best_plan.seconds:.1f} times the time predicted")
        for plan in found[1:]
    ]
    return best_plan._replace(others=tuple(others))
