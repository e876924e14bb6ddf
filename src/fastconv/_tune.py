"""Measure what engines cost on this machine, for the planner: ``python -m fastconv tune``."""

from __future__ import annotations

import json
import os
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import _costs, _plan, _solve
from fastconv._dispatch import LEVEL, engine_for, word_of
from fastconv._problem import Problem, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Array = np.ndarray[Any, Any]

DTYPES = ("f4", "f8", "u1", "u2", "u4", "u8", "longdouble")
SIDE = 384  # of the images that are summed: larger than a cache, but soon done
DIRECT_TAPS = (3, 5, 9, 15, 25)
SEPARABLE_TAPS = (3, 9, 25, 65)
TRANSFORM_TAPS = 5
TRANSFORM_PIXELS = 1 << 20

REPEATS = 15
LEAST_SECONDS = 2e-3


def _seconds(call: Callable[[], object]) -> float:
    """Least time of several runs, each long enough for the clock."""
    start = perf_counter()
    call()
    number = 1 + int(LEAST_SECONDS / max(perf_counter() - start, 1e-7))
    best = float("inf")
    for _ in range(REPEATS):
        start = perf_counter()
        for _ in range(number):
            call()
        best = min(best, (perf_counter() - start) / number)
    return best


def _operands(dtype: np.dtype[Any], shape: tuple[int, int], taps: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    sizes = (shape, (taps, 1))
    image, column = ((1 + 9 * rng.random(size)).astype(dtype) for size in sizes)
    return image, column * column.T


def _problem(dtype: np.dtype[Any], shape: tuple[int, int], taps: int) -> Problem:
    return prepare("convolve2d", False, *_operands(dtype, shape, taps), "valid", "fill", 0)


def _fit(terms: list[list[float]], seconds: list[float], outputs: list[float]) -> list[float]:
    """Coefficients, none negative, of nanoseconds per output, with the least relative errors."""
    each = 1e9 * np.array(seconds) / np.array(outputs)
    rows = np.array(terms) / each[:, np.newaxis]
    kept = list(range(rows.shape[1]))
    while True:
        found = np.linalg.lstsq(rows[:, kept], np.ones(len(each)), rcond=None)[0]
        if (found >= 0).all() or len(kept) == 1:
            break
        del kept[int(np.argmin(found))]
    result = [0.0] * rows.shape[1]
    for place, value in zip(kept, found, strict=True):
        result[place] = max(0.0, float(value))
    return result


def _sums(method: str, dtype: np.dtype[Any], sizes: tuple[int, ...]) -> list[float]:
    """Cost of the direct or the separable sum."""
    terms, seconds, outputs = [], [], []
    side = SIDE if dtype.char not in "gG" else 48
    for taps in sizes:
        problem = _problem(dtype, (side + taps - 1, side + taps - 1), taps)
        out = np.empty(problem.shape, problem.dtype)
        engine = _solve.engine(problem, method, 1)
        seconds.append(_seconds(lambda e=engine, p=problem, o=out: e.run(p, o, 1)))  # type: ignore[misc]
        outputs.append(float(out.size))
        terms.append([taps * taps, taps, 1.0] if method == "direct" else [2 * taps, 1.0])
    return _fit(terms, seconds, outputs)


def _transforms(word: str) -> list[float]:
    """Cost of a transform, per point and factor of two, for each size of `_costs.POINTS`."""
    lanes = engine_for("fft", word).BUILD["lanes"]
    dtype = np.dtype({"f32": "f4", "f64": "f8"}[word])
    costs: list[float] = []
    for points in _costs.POINTS:
        side = int(points**0.5)
        if side % _plan.unit(lanes):
            costs.append(0.0)
            continue
        height, width = 2 * side - TRANSFORM_TAPS + 1, side - TRANSFORM_TAPS + 1
        rows = max(1, round(TRANSFORM_PIXELS**0.5 / height))
        columns = max(1, round(TRANSFORM_PIXELS**0.5 / width))
        shape = (rows * height + TRANSFORM_TAPS - 1, columns * width + TRANSFORM_TAPS - 1)
        problem = _problem(dtype, shape, TRANSFORM_TAPS)
        out = np.empty(problem.shape, problem.dtype)
        engine = _solve.Fourier(problem, _plan.Plan("fft", word, side, side), 1)
        seconds = _seconds(lambda e=engine, p=problem, o=out: e.run(p, o, 1))  # type: ignore[misc]
        costs.append(1e9 * seconds / (rows * columns * points * np.log2(points)))
    # Sizes that there are no tiles of cost what the next one does.
    for i in range(len(costs) - 2, -1, -1):
        costs[i] = costs[i] or costs[i + 1]
    return costs


def measure() -> Iterator[tuple[str, str, list[float]]]:
    """Yield each constant of the models: the model, the word, and its numbers."""
    for name in DTYPES:
        dtype = np.dtype(name)
        word = word_of(dtype)
        yield "direct", word, _sums("direct", dtype, DIRECT_TAPS)
        yield "separable", word, _sums("separable", dtype, SEPARABLE_TAPS)
    for word in ("f32", "f64"):
        yield "transform", word, _transforms(word)


def run(dry: bool) -> None:
    """Measure, show what is found, and keep it unless `dry`."""
    path = _costs.cache_file()
    if not dry:  # before it is measured for nothing
        path.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, list[float]]] = {name: {} for name in _costs.Costs._fields}
    total = 2 * len(DTYPES) + 2
    print(f"measuring at level {LEVEL}; leave the machine alone meanwhile", file=sys.stderr)
    for done, (model, word, numbers) in enumerate(measure(), 1):
        found[model][word] = [float(f"{value:.3g}") for value in numbers]
        print(f"[{done:2}/{total}] {model} {word}: {found[model][word]}", file=sys.stderr)
    text = json.dumps(found, indent=1)
    _costs.parse(text)
    if dry:
        print(text)
        return
    # A process that reads meanwhile finds the old file or the new one, whoever writes another.
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(path)
    print(f"kept in {path}")
