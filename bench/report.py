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
# One marker per peer: which one was the quickest, and so the one compared with.
MARKERS = "osD^vP"
COLOURS = {"float32": "#1f77b4", "float64": "#d1490c"}
STYLES: tuple[Literal["-", "--", ":"], ...] = ("-", "--", ":")


def table(cells: list[Cell]) -> str:
    """One line per cell."""
    width = max(len(cell.label) for cell in cells)
    lines = []
    for cell in cells:
        sign = "<=" if cell.lower_is_better else ">="
        bar = "" if cell.limit is None else f"{sign} {cell.limit:g}"
        times = ", ".join(f"{name} {_duration(s)}" for name, s in cell.seconds.items())
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


def _best_peers(cells: list[Cell]) -> dict[tuple[str, int], list[tuple[int, float, str]]]:
    """Per line (dtype, image): kernel size, ratio to the quickest peer, and its name."""
    lines: dict[tuple[str, int], dict[int, tuple[float, str]]] = {}
    for cell in cells:
        dtype, image, kernel, peer = (
            cell.case[key] for key in ("dtype", "image", "kernel", "peer")
        )
        line = lines.setdefault((dtype, image), {})
        line[kernel] = min(line.get(kernel, (float("inf"), "")), (cell.value, peer))
    return {key: [(k, *line[k]) for k in sorted(line)] for key, line in lines.items()}


def plot(path: Path, cells: list[Cell]) -> None:
    """Draw the ratio to the quickest peer against kernel size, one line per dtype and image."""
    lines = _best_peers(cells)
    names = sorted({peer for points in lines.values() for _, _, peer in points})
    markers = dict(zip(names, MARKERS, strict=False))
    images = sorted({image for _, image in lines})
    styles = dict(zip(images, STYLES, strict=False))

    figure = Figure(figsize=(9, 5.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(1, color="black", linewidth=1)
    for (dtype, image), points in lines.items():
        sizes, ratios, _ = zip(*points, strict=True)
        axes.plot(sizes, ratios, color=COLOURS[dtype], linestyle=styles[image], linewidth=1.5)
        for size, ratio, peer in points:
            axes.plot(size, ratio, markers[peer], color=COLOURS[dtype], markersize=6)
    kernels = sorted({k for points in lines.values() for k, *_ in points})
    axes.set_xscale("log")
    axes.set_yscale("log", base=2)
    axes.set_xticks(kernels, [f"{k}x{k}" for k in kernels])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.grid(color="#e4e7ea", zorder=0)
    axes.set_xlabel("kernel")
    axes.set_ylabel("time of the quickest peer / time of fastconv")
    axes.set_title("convolve2d, mode='same', one thread: above 1 fastconv is quicker", loc="left")
    handles = [
        Line2D(
            [],
            [],
            color=COLOURS[dtype],
            linestyle=styles[image],
            label=f"{dtype}, {image}x{image}",
        )
        for dtype, image in lines
    ]
    handles += [
        Line2D(
            [],
            [],
            color="#6b7278",
            marker=markers[name],
            linestyle="",
            label=f"quickest peer: {name}",
        )
        for name in names
    ]
    axes.legend(handles=handles, fontsize=8, ncols=2)
    axes.spines[["right", "top"]].set_visible(False)
    figure.savefig(path)
