"""What engines cost, in nanoseconds on one thread: measured constants, and the models they fill.

    direct      outputs * planes * (a kh kw + b kh + c)
    separable   outputs * planes * (a (kh + kw) + c)
    transform   transforms * points * log2(points) * f(points)

`python -m fastconv tune` measures them on the user's machine and keeps them in the user's cache
folder. costs.json holds what it measured on ours.
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

POINTS = tuple(4**p for p in range(3, 12))
"""Sizes of the transforms whose cost is measured: 8 x 8 to 2048 x 2048."""

WORDS = ("f32", "f64", "u8", "u16", "u32", "u64", "ld")
TRANSFORM_WORDS = ("f32", "f64")

CALL = 3e-6
"""Seconds that any call takes."""

SLICE_CALL = 22e-6
"""Seconds that a call for one of many slices takes besides."""

TRANSFORM_CALL = 35e-6
"""Seconds that a call takes besides, where it makes a transform."""

ROW = 12
"""Points of a tile's row that take as long as having the row at all."""

L1_BYTES = 1 << 15
SPILL = 1.2
"""Times as long, if rows do not fit the first cache."""

COMPLEX = 0.5
"""Nanoseconds that a complex output takes besides."""

ADD = 0.025
"""Nanoseconds that a byte of a sum of arrays takes, where they are in the cache."""

FFTN = {4: 0.5, 8: 0.9, 12: 24.0, 16: 24.0}
"""Nanoseconds of three transforms by scipy.fft, for each point and factor of two of its length.

By the number of bytes of a real number; complex ones take twice as long.
"""

FFTN_CALL = 1.5e-4
"""Seconds that a convolution by scipy.fft takes besides."""


class Costs(NamedTuple):
    """Constants of the models, in nanoseconds, per word."""

    direct: dict[str, tuple[float, float, float]]
    separable: dict[str, tuple[float, float]]
    transform: dict[str, tuple[float, ...]]


@cache
def shipped() -> dict[str, Costs]:
    """Return the constants that come with fastconv, by level; the file tells their origin."""
    text = Path(__file__).with_name("costs.json").read_text(encoding="utf-8")
    return {level: _costs_of(data) for level, data in json.loads(text)["levels"].items()}


def _costs_of(data: Any) -> Costs:
    """Check that all constants are there, and numbers that are not negative."""
    models: dict[str, dict[str, tuple[float, ...]]] = {}
    for name, words, length in (
        ("direct", WORDS, 3),
        ("separable", WORDS, 2),
        ("transform", TRANSFORM_WORDS, len(POINTS)),
    ):
        models[name] = {word: tuple(float(v) for v in data[name][word]) for word in words}
        # Transforms are measured one by one: each takes some time.
        least = 1e-9 if name == "transform" else 0.0
        for numbers in models[name].values():
            if len(numbers) != length or not all(least <= cost < 1e9 for cost in numbers):
                raise ValueError(f"{name} takes {length} costs, not {numbers}")
    return Costs(**models)  # type: ignore[arg-type]


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
    """Return the constants of a file; an error of one kind or another if it holds none."""
    return _costs_of(json.loads(text))


@cache
def current() -> Costs:
    """Return this machine's constants, or the shipped ones."""
    try:
        return parse(cache_file().read_text(encoding="utf-8"))
    except RecursionError:
        raise  # it says how deep the first call is, and nothing of the file
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError):
        return shipped()[_dispatch.LEVEL]


def direct(word: str, outputs: float, kh: int, kw: int, planes: int) -> float:
    """Seconds of the defining sum, in so many products of real planes."""
    a, b, c = current().direct[word]
    # The fewer rows of taps, the fewer output rows share a load; one shares none, as in the first
    # step of the separable sum.
    a += (current().separable[word][0] - a) / kh
    each = planes * (a * kh * kw + b * kh + c) + (planes > 1) * COMPLEX
    return CALL + 1e-9 * outputs * each


def separable(word: str, outputs: float, kh: int, kw: int, planes: int) -> float:
    """Seconds of a row of taps and a column."""
    a, c = current().separable[word]
    each = planes * (a * (kh + kw) + c) + (planes > 1) * COMPLEX
    return CALL + 1e-9 * outputs * each


def transform(word: str, lanes: int, height: Array, width: Array, line: bool) -> Array:
    """Seconds of transforms of these sizes, there and back."""
    points = height * width
    side = np.sqrt(points)
    each = np.interp(np.log2(points), np.log2(POINTS), current().transform[word])
    # What is measured are squares. The narrower a tile, the more rows for as many points; the wider
    # it is, the less of its rows fits the first cache, where as many lie as there are lanes.
    each = each * (1 + ROW / width) / (1 + ROW / side)
    most = L1_BYTES / (2 * lanes * int(word[1:]) // 8)
    each = each * np.where(width > most, SPILL, 1) / np.where(side > most, SPILL, 1)
    seconds: Array = 1e-9 * points * (np.log2(points) + 2 * line) * each
    return seconds


def adding(size: float) -> float:
    """Seconds of adding so many bytes to as many."""
    return 1e-9 * ADD * size


def fftn(size: int, points: float, rows: float) -> float:
    """Seconds of scipy.fft's way to `rows` convolutions of so many points, of words of a size."""
    return FFTN_CALL + 1e-9 * FFTN[size] * rows * points * float(np.log2(points))
