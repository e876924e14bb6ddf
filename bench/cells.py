"""The two ways most cells are measured: as a share of the peak, and against other candidates."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from types import MappingProxyType
from typing import Any

import peers
from common import Array, Call, Cell, Progress, check, flops, measure
from peak import Peak
from problems import Problem, Shape, name, pair

import fastconv

FLOATS = ("float64", "float32")

Pair = Callable[[Shape, Shape, str], tuple[Array, Array]]
Limits = Mapping[str, float | None]


@dataclass
class Bench:
    """What every group needs: how long to measure, the peak so far, and where to say so."""

    quick: bool
    budget: float
    peak: Peak = field(default_factory=Peak)
    progress: Progress = field(default_factory=Progress)

    def pick(self, full: tuple[Any, ...], quick: tuple[Any, ...]) -> tuple[Any, ...]:
        return quick if self.quick else full


def check_corner(label: str, image: Array, kernel: Array, mode: str, method: str = "auto") -> None:
    """Compare fastconv's first outputs with scipy's: all of them would take scipy minutes."""
    n = 48
    part = image[: n + kernel.shape[0] - 1, : n + kernel.shape[1] - 1]
    calls = {
        "fastconv": lambda: fastconv.convolve2d(image, kernel, mode, method=method)[:n, :n],
        "scipy.signal": lambda: peers.signal.convolve2d(part, kernel, mode)[:n, :n],
    }
    check(label, calls)


def shares(
    bench: Bench, bar: str, mode: str, cases: Iterable[tuple[str, Shape, Shape, float]]
) -> list[Cell]:
    """
    Share of the peak that the direct sum has on one thread.

    A case is (dtype, image shape, kernel shape, limit).
    """
    measured = []
    for dtype, shape, size, limit in cases:
        label = f"{name(dtype, shape, size)} {mode}"
        bench.progress.show(bar, label)
        image, kernel = pair(shape, size, dtype)
        check_corner(label, image, kernel, mode, "direct")
        convolve = peers.ours(Problem(image, kernel, mode), "direct")
        calls: dict[str, Call] = {"fastconv": convolve, "peak": partial(bench.peak.sample, dtype)}
        seconds = measure(calls, bench.budget)["fastconv"]
        rate = flops(convolve().shape, size, dtype) / seconds
        measured.append((label, dtype, limit, rate, seconds))
    # The peak only rises while measuring: shares are taken of the best, after the last case.
    return [
        Cell(bar, label, rate / bench.peak.of(dtype), "of peak", limit, seconds={"fastconv": s})
        for label, dtype, limit, rate, s in measured
    ]


def ratios(
    bench: Bench,
    bar: str,
    label: str,
    calls: Mapping[str, Call],
    limits: Limits,
    threads: int = 1,
    case: Mapping[str, Any] = MappingProxyType({}),
) -> list[Cell]:
    """Time of each other candidate over the first's, which is ours; all in turns, after a check."""
    bench.progress.show(bar, label)
    first, *others = calls
    check(label, calls, first)
    seconds = measure(calls, bench.budget)
    return [
        Cell(
            bar,
            f"{label}, {other}",
            seconds[other] / seconds[first],
            "x",
            limits.get(other),
            threads=threads,
            seconds={key: seconds[key] for key in (first, other)},
            case={**case, "peer": other},
        )
        for other in others
    ]


def against(
    bench: Bench,
    bar: str,
    limits: Limits,
    cases: Iterable[tuple[str, Shape, Shape]],
    threads: int = 1,
    *,
    mode: str = "same",
    method: str = "auto",
    make: Pair = pair,
) -> list[Cell]:
    """
    Time of each peer and engine in `limits` over fastconv's.

    A case is (dtype, image shape, kernel shape); `make` gives its arrays.
    """
    cells = []
    for dtype, shape, size in cases:
        problem = Problem(*make(shape, size, dtype), mode=mode, threads=threads)
        calls = peers.calls(problem, limits, method)
        case = {"dtype": dtype, "image": shape[0], "kernel": size[0]}
        cells += ratios(bench, bar, str(problem), calls, limits, threads, case)
    return cells


def squares(
    dtypes: Iterable[str], images: Iterable[int], kernels: Iterable[int]
) -> list[tuple[str, Shape, Shape]]:
    """All cases of square images and kernels with these sides."""
    return [(dtype, (n, n), (k, k)) for dtype, n, k in product(dtypes, images, kernels)]


def quickest(cells: list[Cell], limit: float) -> list[Cell]:
    """
    Of each problem the cell of its quickest peer alone, held against `limit`.

    Its times are those of all peers, itself first.
    """
    problems: dict[str, list[Cell]] = {}
    for cell in cells:
        problems.setdefault(cell.label.removesuffix(cell.case["peer"]), []).append(cell)
    best = []
    for group in problems.values():
        group.sort(key=lambda cell: cell.value)
        seconds = {key: value for cell in group for key, value in cell.seconds.items()}
        best.append(replace(group[0], limit=limit, seconds=seconds))
    return best
