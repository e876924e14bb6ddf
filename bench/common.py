"""
Timing that others can trust: candidates in turns, the minimum of many runs, answers checked first.

One cell is one number. All candidates of a cell run inside one loop, so that a slow phase of the
machine hits them alike, and a candidate is only timed after its answer was compared.
"""

import gc
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Call = Callable[[], object]

# A sample lasts at least this long, so that the clock's own 50 ns do not show.
MIN_SAMPLE = 100e-6
# The budget is cut into this many rounds; more rounds interleave more finely.
ROUNDS = 12
# Slow candidates exceed the budget rather than have fewer rounds than this.
MIN_ROUNDS = 3

# Largest |difference| / (largest |value| of the answer). Peers that transform or that sum in
# another order are allowed their rounding; a wrong border, flip or offset is far above this.
TOLERANCE = {"f": 2e-4, "F": 2e-4, "d": 1e-11, "D": 1e-11}


@dataclass
class Cell:
    """One measured number, the bar it is held against, and how it came about."""

    bar: str
    label: str
    value: float
    unit: str
    limit: float | None = None
    lower_is_better: bool = False
    threads: int = 1
    seconds: dict[str, float] = field(default_factory=dict)
    case: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool | None:
        if self.limit is None:
            return None
        return self.value <= self.limit if self.lower_is_better else self.value >= self.limit


def _sample(call: Call, number: int) -> float:
    """Seconds per call, over `number` calls."""
    start = perf_counter()
    for _ in range(number):
        call()
    return (perf_counter() - start) / number


def measure(calls: Mapping[str, Call], budget: float) -> dict[str, float]:
    """
    Least seconds per call of each candidate, all run in turns for about `budget` seconds.

    In every round each candidate samples for an equal slice of time, at least once. Quick ones
    thus gather more samples, but none runs in a phase that the others did not see.
    """
    number, best = {}, {}
    for name, call in calls.items():
        once = _sample(call, 1)  # also the warm-up
        number[name] = max(1, round(MIN_SAMPLE / max(once, 1e-7)))
        best[name] = once
    time_slice = budget / (ROUNDS * len(calls))
    collecting = gc.isenabled()
    gc.disable()
    try:
        start, rounds = perf_counter(), 0
        while rounds < MIN_ROUNDS or perf_counter() - start < budget:
            for name, call in calls.items():
                end = perf_counter() + time_slice
                while True:
                    best[name] = min(best[name], _sample(call, number[name]))
                    if perf_counter() >= end:
                        break
            rounds += 1
    finally:
        if collecting:
            gc.enable()
    return best


def check(label: str, calls: Mapping[str, Call], reference: str = "fastconv") -> None:
    """Stop the benchmark unless every candidate gives the reference's answer."""
    want = np.asarray(calls[reference]())
    largest = float(np.max(np.abs(want), initial=0)) or 1.0
    tolerance = TOLERANCE.get(want.dtype.char, 0.0) * largest
    for name, call in calls.items():
        got = np.asarray(call())
        if got.shape != want.shape or got.dtype != want.dtype:
            raise SystemExit(
                f"{label}: {name} gives {got.dtype}{got.shape}, "
                f"{reference} {want.dtype}{want.shape}"
            )
        # astype: a difference of unsigned integers would wrap.
        wide = want.dtype if want.dtype.kind in "fc" else np.dtype(np.int64)
        difference = float(np.max(np.abs(got.astype(wide) - want.astype(wide)), initial=0))
        if not difference <= tolerance:
            raise SystemExit(
                f"{label}: {name} and {reference} differ by {difference:.3g}, "
                f"allowed {tolerance:.3g}"
            )


def flops(out_shape: tuple[int, ...], kernel: tuple[int, ...], dtype: str) -> float:
    """Multiplications and additions of the defining sum: 2 per real tap, 8 per complex one."""
    per_tap = 8 if np.dtype(dtype).kind == "c" else 2
    return float(per_tap) * prod(out_shape) * prod(kernel)


class Progress:
    """What is being measured, on stderr: rewritten on a terminal, a line per group elsewhere."""

    def __init__(self) -> None:
        self._tty = sys.stderr.isatty()
        self._start = perf_counter()
        self._group = ""

    def show(self, group: str, label: str) -> None:
        elapsed = f"[{perf_counter() - self._start:5.0f} s]"
        if self._tty:
            print(f"\r\x1b[K{elapsed} {group}: {label}", end="", file=sys.stderr, flush=True)
        elif group != self._group:
            print(f"{elapsed} {group}", file=sys.stderr, flush=True)
        self._group = group

    def close(self) -> None:
        if self._tty:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
