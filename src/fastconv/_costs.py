"""What engines cost, in nanoseconds on one thread: measured constants, and the models they fill.

    direct      outputs * (a kh kw + b kh + c)
    separable   outputs * (a (kh + kw) + c)
    transform   transforms * points * log2(points) * f(points)

`python -m fastconv tune` measures them on the user's machine and keeps them in the user's cache
folder; the constants below are what it measured on the machine named with them.
"""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastconv import _dispatch

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

POINTS = tuple(4**p for p in range(4, 12))
"""Sizes of the transforms whose cost is measured: 16 x 16 to 2048 x 2048."""

CALL = 3e-6
"""Seconds that any call takes."""

TRANSFORM_CALL = 25e-6
"""Seconds that a call takes besides, where it makes a transform."""


class Costs(NamedTuple):
    """Constants of the models, in nanoseconds, per word."""

    direct: dict[str, tuple[float, float, float]]
    separable: dict[str, tuple[float, float]]
    transform: dict[str, tuple[float, ...]]


# Zen 4 (AMD EPYC, 2 cores of a virtual machine, 1 MB of L2 cache each), gcc 12, 2026-11.
SHIPPED = {
    "v4": Costs(
        direct={
            "f32": (0.0176, 0.03, 0.09),
            "f64": (0.0362, 0.03, 0.16),
            "u8": (0.0118, 0.0, 0.64),
            "u16": (0.0112, 0.017, 0.04),
            "u32": (0.0229, 0.011, 0.085),
            "u64": (0.066, 0.0, 0.2),
            "ld": (2.0, 0.0, 2.0),
        },
        separable={
            "f32": (0.0292, 0.18),
            "f64": (0.0548, 0.29),
            "u8": (0.0163, 0.64),
            "u16": (0.0166, 0.11),
            "u32": (0.0315, 0.15),
            "u64": (0.0584, 0.27),
            "ld": (4.0, 2.0),
        },
        transform={
            "f32": (0.42, 0.234, 0.191, 0.161, 0.159, 0.19, 0.348, 0.594),
            "f64": (0.514, 0.473, 0.404, 0.38, 0.4, 0.442, 0.738, 1.18),
        },
    ),
    "v3": Costs(
        direct={
            "f32": (0.0176, 0.03, 0.09),
            "f64": (0.0362, 0.03, 0.2),
            "u8": (0.016, 0.0, 0.65),
            "u16": (0.0153, 0.014, 0.06),
            "u32": (0.03, 0.0, 0.1),
            "u64": (0.165, 0.0, 0.2),
            "ld": (2.0, 0.0, 2.0),
        },
        separable={
            "f32": (0.0346, 0.3),
            "f64": (0.0732, 0.48),
            "u8": (0.0208, 0.69),
            "u16": (0.0202, 0.18),
            "u32": (0.0377, 0.32),
            "u64": (0.216, 0.23),
            "ld": (4.0, 2.0),
        },
        transform={
            "f32": (0.42, 0.26, 0.22, 0.19, 0.184, 0.21, 0.36, 0.6),
            "f64": (0.6, 0.52, 0.46, 0.42, 0.44, 0.48, 0.76, 1.2),
        },
    ),
    "baseline": Costs(
        direct={
            "f32": (0.0638, 0.034, 0.15),
            "f64": (0.131, 0.033, 0.33),
            "u8": (0.033, 0.027, 0.65),
            "u16": (0.033, 0.02, 0.13),
            "u32": (0.155, 0.0, 0.2),
            "u64": (0.385, 0.05, 0.25),
            "ld": (2.0, 0.0, 2.0),
        },
        separable={
            "f32": (0.0696, 0.53),
            "f64": (0.137, 1.04),
            "u8": (0.0385, 0.81),
            "u16": (0.039, 0.29),
            "u32": (0.19, 0.28),
            "u64": (0.378, 0.9),
            "ld": (4.0, 2.0),
        },
        transform={
            "f32": (0.66, 0.56, 0.5, 0.46, 0.46, 0.48, 0.66, 0.9),
            "f64": (1.2, 1.06, 1, 0.94, 0.94, 1, 1.24, 1.6),
        },
    ),
}


def cache_file() -> Path:
    """Where this machine's constants are kept: platformdirs' user cache folder."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        folder = base / "fastconv" / "Cache"
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Caches" / "fastconv"
    else:
        xdg = os.environ.get("XDG_CACHE_HOME", "").strip()
        folder = (Path(xdg) if xdg else Path.home() / ".cache") / "fastconv"
    return folder / f"costs-{_dispatch.LEVEL}.json"


def parse(text: str) -> Costs:
    """Return the constants of a file; an error of any kind if it holds none."""
    data = json.loads(text)
    parts: dict[str, Any] = {}
    for name, want in SHIPPED[_dispatch.LEVEL]._asdict().items():
        part = {word: tuple(float(v) for v in data[name][word]) for word in want}
        for word, values in part.items():
            # Transforms are measured one by one: they take some time, each.
            least = 1e-9 if name == "transform" else 0.0
            if len(values) != len(want[word]) or not all(least <= v < 1e9 for v in values):
                raise ValueError(f"{name} {word}")
        parts[name] = part
    return Costs(**parts)


@cache
def current() -> Costs:
    """Return this machine's constants, or the shipped ones."""
    try:
        return parse(cache_file().read_text(encoding="utf-8"))
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError):
        return SHIPPED[_dispatch.LEVEL]


def direct(word: str, outputs: float, kh: int, kw: int) -> float:
    """Seconds of the defining sum."""
    a, b, c = current().direct[word]
    return CALL + 1e-9 * outputs * (a * kh * kw + b * kh + c)


def separable(word: str, outputs: float, kh: int, kw: int) -> float:
    """Seconds of a row of taps and a column."""
    a, c = current().separable[word]
    return CALL + 1e-9 * outputs * (a * (kh + kw) + c)


def transform(word: str, points: Array, line: bool) -> Array:
    """Seconds of transforms of so many points each, there and back."""
    each = np.interp(np.log2(points), np.log2(POINTS), current().transform[word])
    seconds: Array = 1e-9 * points * (np.log2(points) + 2 * line) * each
    return seconds
