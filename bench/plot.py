"""
Draw results: ``python bench/plot.py RESULTS.json ... --out DIR``.

Reads what ``bench/run.py`` writes, and draws one SVG for each group that it finds there and knows.
The documentation is built with these plots.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from common import Cell
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from report import COLOURS, STYLES, lines_of

GREY, ORANGE, TEXT, GRID = "#a9b0b8", "#d1490c", "#22262a", "#e4e7ea"
SIZE = (5.2, 3.5)  # inches: on a telephone, text is not much smaller than that around it

# Group: file, title, what the peers are, and how a kernel of k taps a side is written.
RATIOS = {
    "fft": ("fft.svg", "method='fft', mode='same'", "the quickest peer", "{0}x{0}"),
    "one_d": ("one_d.svg", "convolve, 1-D, mode='full'", "the quickest peer", "{0} taps"),
}


def _cells(paths: Iterable[Path]) -> list[Cell]:
    """Cells of all groups; of a group in several files those of the last."""
    groups: dict[str, list[Cell]] = {}
    for path in paths:
        found: dict[str, list[Cell]] = {}
        for cell in json.loads(path.read_text())["cells"]:
            cell.pop("ok", None)
            found.setdefault(cell["bar"], []).append(Cell(**cell))
        groups |= found
    return [cell for group in groups.values() for cell in group]


def _axes() -> tuple[Figure, Any]:
    figure = Figure(figsize=SIZE, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.spines[["right", "top"]].set_visible(False)
    axes.grid(axis="y", color=GRID, zorder=0)
    axes.tick_params(length=0)
    return figure, axes


def _duration(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def _image(size: int, name: str) -> str:
    """Size of an image, or a signal, for people."""
    return f"{size}x{size}" if "x" in name else f"{size:.0e} samples".replace("e+0", "e")


def times(path: Path, cells: list[Cell], title: str) -> None:
    """Draw scipy's times and fastconv's, side by side, for each kernel."""
    figure, axes = _axes()
    for name, colour, shift in (("scipy.signal", GREY, -0.2), ("fastconv", ORANGE, 0.2)):
        seconds = [cell.seconds[name] for cell in cells]
        places = [x + shift for x in range(len(cells))]
        axes.bar(places, seconds, 0.38, color=colour, label=name, zorder=2)
        for x, value in zip(places, seconds, strict=True):
            axes.annotate(
                _duration(value),
                (x, value),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=TEXT,
            )
    axes.set_yscale("log")
    axes.margins(y=0.1)
    axes.set_xticks(range(len(cells)), [f"{c.case['kernel']}x{c.case['kernel']}" for c in cells])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _duration(value)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("kernel")
    axes.set_ylabel("time of one call, log scale")
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(frameon=False)
    figure.savefig(path)


def ratios(path: Path, cells: list[Cell], title: str, peer: str, name: str) -> None:
    """Draw the ratio to the quickest peer against the size of the kernel."""
    lines = lines_of([cell for cell in cells if cell.case.get("dtype") in COLOURS])
    images = sorted({image for _, image, _ in lines})
    styles = dict(zip(images, STYLES, strict=False))
    kernels = sorted({kernel for points in lines.values() for kernel, *_ in points})
    figure, axes = _axes()
    axes.axhline(1, color=TEXT, linewidth=1)
    for (dtype, image, threads), points in lines.items():
        sizes, values, _ = zip(*points, strict=True)
        axes.plot(
            [kernels.index(size) for size in sizes],
            values,
            color=COLOURS[dtype][threads],
            linestyle=styles[image],
            marker="o",
            label=f"{dtype}, {_image(image, name)}, {threads} thread{'s' * (threads > 1)}",
        )
    axes.set_xticks(range(len(kernels)), [name.format(kernel) for kernel in kernels])
    axes.margins(x=0.1)
    axes.set_ylim(0, None)
    axes.set_xlabel("kernel")
    axes.set_ylabel(f"time of {peer}\n/ time of fastconv", fontsize=9)
    axes.set_title(title, loc="left", fontsize=11)
    figure.legend(fontsize=8, ncols=2, loc="outside lower center", frameon=False)
    figure.savefig(path)


def draw(paths: Iterable[Path], out: Path) -> list[Path]:
    """Draw every group that is known, and return the files."""
    out.mkdir(parents=True, exist_ok=True)
    groups: dict[str, list[Cell]] = {}
    for cell in _cells(paths):
        if cell.case:
            groups.setdefault(cell.bar, []).append(cell)
    drawn = []
    # Files that do not change from one build to the next.
    with mpl.rc_context({"svg.hashsalt": "fastconv", "font.family": "DejaVu Sans"}):
        if "scipy" in groups:
            drawn.append(out / "scipy.svg")
            times(drawn[-1], groups["scipy"], "convolve2d, float64, 512x512, mode='same'")
        for group, (file, *words) in RATIOS.items():
            if group in groups:
                drawn.append(out / file)
                ratios(drawn[-1], groups[group], *words)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("results", type=Path, nargs="+", help="results.json of bench/run.py")
    parser.add_argument("--out", type=Path, default=Path(), help="folder (default: this one)")
    arguments = parser.parse_args()
    for path in draw(arguments.results, arguments.out):
        print(path)


if __name__ == "__main__":
    main()
