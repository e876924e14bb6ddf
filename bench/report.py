"""What a run leaves behind: a table on stdout, a JSON file, a plot."""

import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from common import Cell
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

import fastconv

VERDICT = {True: "pass", False: "MISS", None: ""}
# Times shown beside a cell; the JSON file has all.
SHOWN_TIMES = 4
# Cells shown of a group that has hundreds.
SHOWN_CELLS = 15
# One marker per peer: which one was the quickest, and so the one compared with.
MARKERS = "osD^vP*X"
# Per dtype, by number of threads.
COLOURS = {
    "float32": {1: "#1f77b4", 2: "#7fc4ee"},
    "float64": {1: "#b8400a", 2: "#f5a26f"},
}
STYLES: tuple[Literal["-", "--", ":"], ...] = ("-", "--", ":")
PLOTS = {
    "peer_curve": ("ratio.png", "convolve2d, mode='same', against direct sums"),
    "fft": ("fft.png", "convolve2d, mode='same', method='fft', against transforms"),
}


def table(cells: list[Cell]) -> str:
    """One line per cell."""
    width = max(len(cell.label) for cell in cells)
    lines = []
    for cell in cells:
        sign = "<=" if cell.lower_is_better else ">="
        bar = "" if cell.limit is None else f"{sign} {cell.limit:g}"
        shown = list(cell.seconds.items())[:SHOWN_TIMES]
        times = ", ".join(f"{name} {_duration(s)}" for name, s in shown)
        lines.append(
            f"  {cell.label:<{width}}  {cell.value:8.3f} {cell.unit:<11} {bar:>8} "
            f" {VERDICT[cell.ok]:<4}  {times}".rstrip()
        )
    return "\n".join(lines)


def matrix(cells: list[Cell]) -> str:
    """One line per problem, one column per peer: for groups that have no bar."""
    names = list(dict.fromkeys(cell.case["peer"] for cell in cells))
    problems: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        problem = cell.label.removesuffix(f", {cell.case['peer']}")
        problems.setdefault(problem, {})[cell.case["peer"]] = cell
    width = max(len(problem) for problem in problems)
    lines = [f"  {'':<{width}}  fastconv" + "".join(f"  {name:>16}" for name in names)]
    for problem, row in problems.items():
        ours = next(iter(row.values())).seconds["fastconv"]
        ratios = "".join(
            f"  {row[name].value:>14.2f} x" if name in row else f"  {'':>16}" for name in names
        )
        lines.append(f"  {problem:<{width}}  {_duration(ours):>8}{ratios}")
    return "\n".join(lines)


def worst(cells: list[Cell]) -> str:
    """Only the cells that are the furthest below their limits, or the nearest above."""
    return table(sorted(cells, key=_margin)[:SHOWN_CELLS])


LAYOUTS = {"peer_curve": matrix, "auto": worst}


def summary(cells: list[Cell]) -> str:
    """One line per bar: how many cells passed, and the one furthest below its limit."""
    lines = [f"{'bar':<14} {'passed':>8}  worst against its bar"]
    for bar in dict.fromkeys(cell.bar for cell in cells):
        judged = [cell for cell in cells if cell.bar == bar and cell.limit is not None]
        if judged:
            worst = min(judged, key=_margin)
            passed = f"{sum(bool(cell.ok) for cell in judged)}/{len(judged)}"
            lines.append(
                f"{bar:<14} {passed:>8}  {worst.value:.3g} {worst.unit} "
                f"(bar {worst.limit:g}): {worst.label}"
            )
    return "\n".join(lines)


def _margin(cell: Cell) -> float:
    """How far above its limit a cell is, as a factor."""
    assert cell.limit is not None
    small, large = (cell.value, cell.limit) if cell.lower_is_better else (cell.limit, cell.value)
    return large / max(small, 1e-9)


def _duration(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _processor() -> str:
    """Name of the processor; Linux tells it only in /proc."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine() -> dict[str, object]:
    """Where the numbers were taken."""
    return {
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def write_json(
    path: Path, cells: list[Cell], peak: dict[str, float], versions: dict[str, str], quick: bool
) -> None:
    """Write everything needed to judge or repeat the run."""
    content = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "machine": machine(),
        "versions": versions,
        "config": fastconv.show_config(mode="dicts"),
        "peak_flops": peak,
        "cells": [{**asdict(cell), "ok": cell.ok} for cell in cells],
    }
    path.write_text(json.dumps(content, indent=1, default=str) + "\n")


Line = tuple[str, int, int]
Point = tuple[int, float, str]


def lines_of(cells: list[Cell]) -> dict[Line, list[Point]]:
    """Per line (dtype, image, threads): kernel size, ratio to the quickest peer, and its name."""
    lines: dict[Line, dict[int, tuple[float, str]]] = {}
    for cell in cells:
        dtype, image, kernel = (cell.case[key] for key in ("dtype", "image", "kernel"))
        # One name for tiles of all sizes.
        point = (cell.value, cell.case["peer"].rstrip("0123456789"))
        line = lines.setdefault((dtype, image, cell.threads), {})
        line[kernel] = min(line.get(kernel, point), point)
    return {key: [(k, *line[k]) for k in sorted(line)] for key, line in sorted(lines.items())}


def plot(path: Path, cells: list[Cell], title: str) -> None:
    """Draw the ratio to the quickest peer against kernel size, by dtype, image and threads."""
    lines = lines_of(cells)
    names = sorted({peer for points in lines.values() for _, _, peer in points})
    markers = dict(zip(names, MARKERS, strict=False))
    images = sorted({image for _, image, _ in lines})
    styles = dict(zip(images, STYLES, strict=False))

    figure = Figure(figsize=(9, 5.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(1, color="black", linewidth=1)
    handles = []
    for (dtype, image, threads), points in lines.items():
        sizes, ratios, _ = zip(*points, strict=True)
        colour, style = COLOURS[dtype][threads], styles[image]
        label = f"{dtype}, {image}x{image}, {threads} thread{'s' * (threads > 1)}"
        handles += axes.plot(sizes, ratios, color=colour, linestyle=style, label=label)
        for size, ratio, peer in points:
            axes.plot(size, ratio, markers[peer], color=colour, markersize=6)
    kernels = sorted({k for points in lines.values() for k, *_ in points})
    axes.set_xscale("log")
    axes.set_yscale("log", base=2)
    axes.set_xticks(kernels, [f"{k}x{k}" for k in kernels])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.grid(color="#e4e7ea", zorder=0)
    axes.set_xlabel("kernel")
    axes.set_ylabel("time of the quickest peer / time of fastconv")
    axes.set_title(f"{title}: above 1 fastconv is quicker", loc="left")
    for name in names:
        label = f"quickest peer: {name}"
        handles.append(
            Line2D([], [], color="#6b7278", marker=markers[name], linestyle="", label=label)
        )
    figure.legend(handles=handles, fontsize=8, ncols=3, loc="outside lower center", frameon=False)
    axes.spines[["right", "top"]].set_visible(False)
    figure.savefig(path)
