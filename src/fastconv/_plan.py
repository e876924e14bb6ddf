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

from fastconv import _costs, _rank_one

Lengths = np.ndarray[Any, np.dtype[np.int64]]

ENGINES = {
    "auto": ("direct", "separable", "certified"),
    "fast": ("direct", "separable", "fft"),
    "direct": ("direct",),
    "separable": ("separable",),
    "certified": ("certified",),
    "fft": ("fft",),
}
"""What each method may choose from. 'fast' is what `convolve` means by 'auto'."""

# Longest transform along an axis. Beyond it tiles are cut, whatever the kernel.
MAX_LENGTH = 1 << 22


class Facts(NamedTuple):
    """What the choice depends on."""

    outputs: tuple[int, int]
    taps: tuple[int, int]
    slack: tuple[int, int]  # zeros that lie at both ends of what the outputs are made of
    images: int
    image_parts: int
    kernel_parts: int
    char: str  # of the result's dtype
    word: str  # that the direct engine computes it in
    lanes: int  # of that engine
    rank_one: bool
    transformable: bool  # finite operands, and integers small enough to come out exact
    once: bool  # the kernel is transformed for this call alone


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


def unit(lanes: int) -> int:
    """Return what all lengths of transforms are multiples of."""
    return max(lanes, 8)


@lru_cache
def lengths(lanes: int) -> Lengths:
    """Return the lengths that there are transforms for: of no primes but 2, 3 and 5."""
    found = [lanes * 2**a * 3**b * 5**c for a in range(20) for b in range(4) for c in range(3)]
    return np.array(sorted(n for n in found if 1 < n <= MAX_LENGTH))  # one point has no pass


def _tiles(outputs: int, taps: int, slack: int, inputs: Lengths) -> Lengths:
    """How many tiles of so many inputs an axis takes: `tiles_along` in _fft.pyx."""
    several = -(-outputs // (inputs - taps + 1))
    return np.where(inputs >= outputs + taps - 1 - slack, 1, several)


def grid(facts: Facts, plan: Plan) -> tuple[int, int]:
    """How many tiles along y and x a plan has; pieces of rows, or of columns, if it is a line."""
    (m_y, m_x), (kh, kw), (slack_y, slack_x) = facts.outputs, facts.taps, facts.slack
    points = 2 if facts.image_parts == facts.kernel_parts == 1 else 1
    if plan.line:
        inputs = np.array(points * plan.height * plan.width)
        if kh == 1:
            return m_y, int(_tiles(m_x, kw, slack_x, inputs))
        return int(_tiles(m_y, kh, slack_y, inputs)), m_x
    n_y = _tiles(m_y, kh, slack_y, np.array(points * plan.height))
    return int(n_y), int(_tiles(m_x, kw, slack_x, np.array(plan.width)))


def _axis(outputs: int, taps: int, slack: int, n: Lengths, points: int) -> tuple[Lengths, Lengths]:
    """Lengths worth a look along an axis, and how many tiles each needs.

    A length has `points` inputs for each of its points.
    """
    n = n[points * n >= taps]
    # The first that needs no second tile is the last of interest.
    n = n[: np.searchsorted(points * n, outputs + taps - 1 - slack) + 1]
    return n, _tiles(outputs, taps, slack, points * n)


def tile(facts: Facts, word: str, lanes: int) -> tuple[float, int, int, bool] | None:
    """Time and tile of the cheapest transform: (seconds, height, width, line)."""
    (m_y, m_x), (kh, kw), (slack_y, slack_x) = facts.outputs, facts.taps, facts.slack
    n = lengths(lanes)
    # Real tiles are folded: twice as high, or as long, as their transform.
    points = 2 if facts.image_parts == facts.kernel_parts == 1 else 1
    line = kh == 1 or kw == 1
    if line:
        rows, outputs, taps, slack = (m_y, m_x, kw, slack_x)
        if kh > 1:
            rows, outputs, taps, slack = (m_x, m_y, kh, slack_y)
        height, width = (axis.ravel() for axis in np.meshgrid(n, n, indexing="ij"))
        sensible = (height <= width) & (width <= 8 * height) & (points * height * width >= taps)
        height, width = height[sensible], width[sensible]
        tiles = rows * _tiles(outputs, taps, slack, points * height * width)
    else:
        y, n_y = _axis(m_y, kh, slack_y, n, points)
        x, n_x = _axis(m_x, kw, slack_x, n, 1)
        height, width = (axis.ravel() for axis in np.meshgrid(y, x, indexing="ij"))
        tiles = np.multiply.outer(n_y, n_x).ravel()
    if not tiles.size:
        return None
    # The kernel's own transform goes one way only.
    transforms = tiles * facts.images + 0.5 * facts.once
    seconds = _costs.transform(word, lanes, height, width, line) * transforms
    best = int(np.argmin(seconds))
    total = _costs.TRANSFORM_CALL + float(seconds[best])
    if facts.image_parts + facts.kernel_parts > 2:
        total += 2e-9 * _costs.COMPLEX * float(m_y) * m_x * facts.images
    return total, int(height[best]), int(width[best]), line


_NATIVE = {"f": "f32", "d": "f64", "F": "f32", "D": "f64"}


def _transform_word(engine: str, char: str) -> str | None:
    """Word that a transform computes in, None where it can not keep the promise."""
    if char in "gG":
        return None
    if engine == "fft" and char in _NATIVE:
        return _NATIVE[char]
    return None if engine == "certified" and char in "dD" else "f64"


def _not_separable(kh: int, kw: int) -> str:
    if min(kh, kw) == 1:
        return "the kernel is a single row or column"
    if not _rank_one.may_gain(kh, kw):
        return "with so few taps, two steps are not as accurate as one"
    return "the kernel is not the outer product of two vectors"


def _no_transform(dtype: np.dtype[Any]) -> str:
    if dtype.char in "gG":
        return f"there is no transform for {dtype}"
    return f"no transform keeps the bound of the defining sum in {dtype}"


@lru_cache(maxsize=1024)
def decide(facts: Facts, method: str, lanes: tuple[tuple[str, int], ...]) -> Plan:
    """Return the cheapest engine that the method allows, and why not the others."""
    (m_y, m_x), (kh, kw) = facts.outputs, facts.taps
    # Rows are computed in whole vectors.
    words = max(m_x, min(m_y, facts.lanes)) * facts.image_parts
    waste = -(-words // facts.lanes) * facts.lanes / words
    outputs = float(m_y) * m_x * facts.images * waste
    planes = facts.image_parts * facts.kernel_parts
    the_sum = Plan("direct", seconds=_costs.direct(facts.word, outputs, kh, kw, planes))
    found: list[Plan] = []
    others: list[tuple[str, str]] = []
    for engine in ENGINES[method]:
        if engine == "direct":
            found.append(the_sum)
        elif engine == "separable":
            if not facts.rank_one:
                others.append((engine, _not_separable(kh, kw)))
            else:
                seconds = _costs.separable(facts.word, outputs, kh, kw, planes)
                found.append(Plan(engine, seconds=seconds))
        else:
            word = _transform_word(engine, facts.char)
            if engine == "certified" and kh * kw == 1:
                others.append((engine, "there is one tap"))
            elif word is None:
                others.append((engine, _no_transform(np.dtype(facts.char))))
            elif not facts.transformable:
                others.append((engine, "an Inf, a NaN or a large integer is in the way"))
            else:
                best = tile(facts, word, dict(lanes)[word])
                if best is None:
                    others.append((engine, "the kernel is longer than any transform"))
                else:
                    seconds, height, width, line = best
                    found.append(Plan(engine, word, height, width, line, seconds))
    found = found or [the_sum]
    found.sort(key=lambda plan: plan.seconds)
    best_plan = found[0]
    others += [
        (plan.engine, f"it takes {plan.seconds / best_plan.seconds:.1f} times as long")
        for plan in found[1:]
    ]
    return best_plan._replace(others=tuple(others))
