"""The two ways most cells are measured: as a share of the peak, and against other packages."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import peers
from common import Array, Call, Cell, Progress, check, flops, measure, pair
from peak import Peak

import fastconv

Shape = tuple[int, int]


@dataclass
class Bench:
    """What every group needs: how long to measure, the peak so far, and where to say so."""

    quick: bool
    budget: float
    peak: Peak = field(default_factory=Peak)
    progress: Progress = field(default_factory=Progress)

    def pick(self, full: tuple[Any, ...], quick: tuple[Any, ...]) -> tuple[Any, ...]:
        return quick if self.quick else full


def name(dtype: str, shape: Shape, kernel: Shape) -> str:
    """Name a problem: f8 512x512 by 3x3."""
    return f"{np.dtype(dtype).str[1:]} {shape[0]}x{shape[1]} by {kernel[0]}x{kernel[1]}"


def _check_corner(label: str, image: Array, kernel: Array, mode: str) -> None:
    """Compare fastconv's first outputs with scipy's: all of them would take scipy minutes."""
    n = 48
    part = image[: n + kernel.shape[0] - 1, : n + kernel.shape[1] - 1]
    calls = {
        "fastconv": lambda: fastconv.convolve2d(image, kernel, mode)[:n, :n],
        "scipy.signal": lambda: peers.signal.convolve2d(part, kernel, mode)[:n, :n],
    }
    check(label, calls)


def shares(
    bench: Bench, bar: str, mode: str, cases: Iterable[tuple[str, Shape, Shape, float]]
) -> list[Cell]:
    """Share of the peak on one thread; a case is (dtype, image shape, kernel shape, limit)."""
    measured = []
    for dtype, shape, size, limit in cases:
        label = f"{name(dtype, shape, size)} {mode}"
        bench.progress.show(bar, label)
        image, kernel = pair(shape, size, dtype)
        _check_corner(label, image, kernel, mode)
        convolve = partial(fastconv.convolve2d, image, kernel, mode, workers=1)
        calls: dict[str, Call] = {"fastconv": convolve, "peak": partial(bench.peak.sample, dtype)}
        seconds = measure(calls, bench.budget)["fastconv"]
        rate = flops(convolve().shape, size, dtype) / seconds
        measured.append((label, dtype, limit, rate, seconds))
    # The peak only rises while measuring: shares are taken of the best, after the last case.
    return [
        Cell(bar, label, rate / bench.peak.of(dtype), "of peak", limit, seconds={"fastconv": s})
        for label, dtype, limit, rate, s in measured
    ]


def against(
    bench: Bench,
    bar: str,
    limits: dict[str, float | None],
    cases: Iterable[tuple[str, int, int]],
    threads: int = 1,
) -> list[Cell]:
    """Time of each peer in `limits` over fastconv's; a case is (dtype, image side, kernel side)."""
    cells = []
    for dtype, n, k in cases:
        label = f"{name(dtype, (n, n), (k, k))}, {threads} thr"
        bench.progress.show(bar, label)
        image, kernel = pair((n, n), (k, k), dtype)
        calls = peers.calls(image, kernel, threads, only=limits)
        check(label, calls)
        seconds = measure(calls, bench.budget)
        cells += [
            Cell(
                bar,
                f"{label}, {peer}",
                seconds[peer] / seconds["fastconv"],
                "x",
                limits[peer],
                threads=threads,
                seconds={key: seconds[key] for key in ("fastconv", peer)},
                case={"dtype": dtype, "image": n, "kernel": k, "peer": peer},
            )
            for peer in calls
            if peer != "fastconv"
        ]
    return cells
