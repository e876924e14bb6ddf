"""The pictures of the pages on convolution and correlation, and on the architecture."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

import fastconv

ORANGE, TEXT = "#d1490c", "#22262a"

# Files of src/fastconv, from the top down, and what a layer hands to the next.
LAYERS = (
    ("commands, scipy's names", "__main__ _demo _run _patch _tune", "two arrays"),
    ("functions", "signal plans _explain _error_bound _choose _config", "arrays in files, of dask"),
    ("larger than memory", "_blocks _dask _cut", "blocks with their halos"),
    ("arguments to problems", "_images _nd _slices _fftn _fallback", "2-D problems"),
    (
        "problem to result",
        "_solve _problem _plan _costs _rank_one _fourier _error",
        "engine, tile, threads",
    ),
    ("instruction set, threads", "_dispatch _workers _openmp _parts", "pointers, strides, taps"),
    ("compiled", "_direct _fft _runtime", ""),
)


def _grid(axes: Any, array: np.ndarray[Any, Any], title: str, limit: float) -> None:
    """Draw a small array as squares with their numbers."""
    axes.imshow(array, cmap="Oranges", vmin=0, vmax=limit)
    for (y, x), value in np.ndenumerate(array):
        axes.text(x, y, f"{value:g}", ha="center", va="center", color=TEXT, fontsize=9)
    rows, columns = array.shape
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0, labelleft=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=10, color=TEXT)


def flip(path: Path) -> None:
    """A kernel, the same turned by 180 degrees, and what both do to a single pixel."""
    kernel = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    point = np.zeros((5, 5), int)
    point[2, 2] = 1
    panels = (
        (kernel, "kernel"),
        (kernel[::-1, ::-1], "turned by 180°:\nkernel[::-1, ::-1]"),
        (point, "image: one pixel"),
        (fastconv.convolve2d(point, kernel, "same"), "convolve2d:\nthe kernel"),
        (fastconv.correlate2d(point, kernel, "same"), "correlate2d:\nthe kernel, turned"),
    )
    figure = Figure(figsize=(7, 5.2), facecolor="white")
    above = figure.add_gridspec(
        1, 3, width_ratios=[3, 3, 5], left=0.03, right=0.97, top=0.9, bottom=0.53, wspace=0.5
    )
    below = figure.add_gridspec(1, 2, left=0.12, right=0.88, top=0.4, bottom=0.03, wspace=0.3)
    places = []
    for cell, (array, title) in zip([*above, *below], panels, strict=True):
        axes = figure.add_subplot(cell)
        _grid(axes, array, title, 14)
        places.append(axes)
    figure.canvas.draw()
    left, right = (axes.get_position() for axes in places[:2])
    middle = (left.y0 + left.y1) / 2
    figure.add_artist(
        FancyArrowPatch(
            (left.x1 + 0.004, middle),
            (right.x0 - 0.004, middle),
            connectionstyle="arc3,rad=-0.6",
            arrowstyle="-|>",
            mutation_scale=12,
            color=ORANGE,
            linewidth=1.5,
        )
    )
    figure.savefig(path)


def modes(path: Path) -> None:
    """Where the kernel is for the first and the last output of each mode."""
    figure = Figure(figsize=(8, 2.7), facecolor="white", layout="constrained")
    for axes, (mode, first, last) in zip(
        figure.subplots(1, 3),
        (("full", -2, 6), ("same", -1, 5), ("valid", 0, 4)),
        strict=True,
    ):
        axes.add_patch(mpl.patches.Rectangle((0, 0), 7, 7, color="#f5c9a8"))
        for start in (first, last):
            axes.add_patch(
                mpl.patches.Rectangle(
                    (start, start), 3, 3, fill=False, edgecolor=TEXT, linewidth=1.8
                )
            )
        size = last - first + 1
        axes.set_title(f"'{mode}': 7x7 by 3x3 gives {size}x{size}", fontsize=10, color=TEXT)
        axes.set(xlim=(-2.3, 9.3), ylim=(9.3, -2.3), aspect="equal")
        axes.axis("off")
    figure.savefig(path)


def boundaries(path: Path) -> None:
    """What the borders are extended with."""
    row = np.arange(1, 6)
    around = (
        ("'fill', fillvalue=0", np.pad(row, 4)),
        ("'wrap'", np.pad(row, 4, "wrap")),
        ("'symm'", np.pad(row, 4, "symmetric")),
    )
    figure = Figure(figsize=(8, 2.1), facecolor="white", layout="constrained")
    for axes, (name, values) in zip(figure.subplots(3, 1), around, strict=True):
        inside = np.zeros((1, 13))
        inside[0, 4:9] = 1
        axes.imshow(inside, cmap="Oranges", vmin=0, vmax=3, aspect="auto")
        for x, value in enumerate(values):
            axes.text(x, 0, str(value), ha="center", va="center", color=TEXT)
        for x in (3.5, 8.5):
            axes.axvline(x, color=TEXT, linewidth=1.5)
        axes.set_yticks([0], [name])
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    figure.savefig(path)


def layers(path: Path) -> None:
    """Boxes of files, one above the other."""
    figure = Figure(figsize=(8, 6.2), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 10), ylim=(len(LAYERS) - 0.02, -0.05))
    axes.axis("off")
    for y, (title, files, handed) in enumerate(LAYERS):
        axes.add_patch(
            mpl.patches.FancyBboxPatch(
                (0.15, y + 0.04),
                9.7,
                0.56,
                boxstyle="round,pad=0,rounding_size=0.08",
                facecolor="#fdf0e8" if y < len(LAYERS) - 1 else "#f5c9a8",
                edgecolor="#e5a67c",
            )
        )
        axes.text(0.4, y + 0.32, title, va="center", color=TEXT, fontsize=10)
        names = "  ".join(files.split())
        axes.text(3.2, y + 0.32, names, va="center", color=TEXT, fontsize=9.5, family="monospace")
        if handed:
            axes.annotate(
                "",
                (1.2, y + 1.04),
                (1.2, y + 0.6),
                arrowprops={"arrowstyle": "-|>", "color": ORANGE, "shrinkA": 0, "shrinkB": 1},
            )
            axes.text(1.4, y + 0.81, handed, va="center", color=ORANGE, fontsize=9)
    figure.savefig(path)


def draw(out: Path) -> None:
    """Draw all of them into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "fastconv", "font.family": "DejaVu Sans"}):
        flip(out / "flip.svg")
        modes(out / "modes.svg")
        boundaries(out / "boundaries.svg")
        layers(out / "layers.svg")
