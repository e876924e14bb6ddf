"""
The demonstration: one photograph, five kernels, scipy beside fastconv.

`run` is the whole job; the rest are its steps: read the image, time each filter, print the
table, draw the picture. Needs the extras of ``fastconv[demo]``; nothing else imports this module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import cbook
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray
from scipy import signal  # type: ignore[import-untyped]

import fastconv

Image = NDArray[np.float64]
Array = NDArray[Any]

# Each filter runs until it has both this many runs and this many seconds, scipy's included...
MIN_RUNS = 3
MIN_SECONDS = 1.0
# ...but no more than this, so that a tiny image is quick and a huge one ends.
MAX_RUNS = 20
MAX_SECONDS = 30.0

CALL = {"mode": "same", "boundary": "symm"}
SCIPY_COLOUR = "#a9b0b8"
FASTCONV_COLOUR = "#d1490c"
TEXT_COLOUR = "#22262a"
FAINT_COLOUR = "#6b7278"


class UsageError(Exception):
    """The demonstration cannot run with what the user gave it."""


def _gaussian(size: int, sigma: float) -> Image:
    """Gaussian of `size` x `size` taps that sum to one."""
    line = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
    kernel = np.outer(line, line)
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)


def _unsharp(size: int, sigma: float, amount: float) -> Image:
    """Identity plus `amount` times what a Gaussian takes away."""
    kernel = -amount * _gaussian(size, sigma)
    kernel[size // 2, size // 2] += 1 + amount
    return kernel


def _disk(size: int) -> Image:
    """Disk of diameter `size`, as an open lens blurs a point."""
    line = np.arange(size) - size // 2
    inside = np.hypot(line[:, None], line) <= size / 2
    return np.asarray(inside / inside.sum(), dtype=np.float64)


def _clip(result: Array) -> Image:
    """Show a brightness as it is."""
    return np.clip(result, 0, 1)


def _magnitude(result: Array) -> Image:
    """Show the length of the gradient, dark on light."""
    length = np.abs(result)
    return np.clip(1 - length / max(float(np.quantile(length, 0.99)), 1e-12), 0, 1)


@dataclass(frozen=True)
class Filter:
    """A named kernel and how to show what it gives."""

    name: str
    kernel: Array
    show: Callable[[Array], Image] = _clip

    @property
    def size(self) -> str:
        """Rows by columns, for people."""
        return f"{self.kernel.shape[0]} x {self.kernel.shape[1]}"


FILTERS = (
    Filter("blur", _gaussian(15, 3.0)),
    Filter("sharpen", _unsharp(5, 1.0, 2.5)),
    # Scharr's two derivatives in one complex kernel, as in scipy's own example.
    Filter(
        "edge",
        np.array([[-3 - 3j, 0 - 10j, 3 - 3j], [-10 + 0j, 0, 10 + 0j], [-3 + 3j, 10j, 3 + 3j]]),
        _magnitude,
    ),
    Filter(
        "emboss",
        np.array([[2.0, 1.0, 0.0], [1.0, 0.0, -1.0], [0.0, -1.0, -2.0]]),
        lambda result: _clip(result / 2 + 0.5),
    ),
    Filter("lens blur", _disk(61)),
)


@dataclass(frozen=True)
class Row:
    """What one filter gave and took."""

    filter: Filter
    result: Array
    scipy_seconds: float
    fastconv_seconds: float
    runs: int
    difference: float

    @property
    def ratio(self) -> float:
        """How many times as fast as scipy."""
        return self.scipy_seconds / self.fastconv_seconds


class Progress:
    """One line on stderr, rewritten on a terminal; a line per filter anywhere else."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._tty = sys.stderr.isatty()

    def show(self, done: int, name: str, runs: int) -> None:
        """Say that `runs` runs of filter `name` are over, after `done` whole filters."""
        bar = "#" * done + "." * (self._total - done)
        line = f"[{bar}] {name}"
        if self._tty:
            print(f"\r\x1b[K{line}, run {runs + 1}", end="", file=sys.stderr, flush=True)
        elif runs == 0:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the terminal's line empty."""
        if self._tty:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def load(path: Path | None) -> Image:
    """Read `path`, or matplotlib's sample photograph, as brightness from 0 to 1."""
    if path is None:
        path = Path(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    try:
        pixels = np.asarray(imread(path))
    except (OSError, SyntaxError, ValueError) as error:  # a broken PNG is a SyntaxError to PIL
        raise UsageError(f"cannot read {path} as an image: {error}") from error
    scale = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    image = pixels.astype(np.float64) / scale
    if image.ndim == 3:
        image = image[..., :3] @ np.array([0.299, 0.587, 0.114])
    return np.ascontiguousarray(image)


def _timed(call: Callable[[], Array]) -> tuple[Array, float]:
    """Call, and tell the result and the seconds it took."""
    start = perf_counter()
    result = call()
    return result, perf_counter() - start


def measure(image: Image, filter_: Filter, workers: int, tick: Callable[[int], None]) -> Row:
    """Run one filter through both, in turns, and keep each one's quickest run."""
    kernel = filter_.kernel
    scipy_best = fastconv_best = float("inf")
    runs, start = 0, perf_counter()
    while True:
        tick(runs)
        theirs, seconds = _timed(lambda: signal.convolve2d(image, kernel, **CALL))
        scipy_best = min(scipy_best, seconds)
        ours, seconds = _timed(
            lambda: fastconv.convolve2d(image, kernel, "same", "symm", workers=workers)
        )
        fastconv_best = min(fastconv_best, seconds)
        runs += 1
        spent = perf_counter() - start
        enough = runs >= MIN_RUNS and spent >= MIN_SECONDS
        if enough or runs >= MAX_RUNS or spent >= MAX_SECONDS:
            break
    difference = float(np.max(np.abs(ours - theirs)))
    return Row(filter_, ours, scipy_best, fastconv_best, runs, difference)


def table(rows: list[Row]) -> str:
    """Lay the rows out as text."""
    head = (
        f"{'filter':<10} {'kernel':>8} {'scipy ms':>10} {'fastconv ms':>12} "
        f"{'ratio':>7} {'largest difference':>19} {'runs':>5}"
    )
    lines = [head, "-" * len(head)]
    for row in rows:
        lines.append(
            f"{row.filter.name:<10} {row.filter.size:>8} {row.scipy_seconds * 1e3:>10.2f} "
            f"{row.fastconv_seconds * 1e3:>12.3f} {row.ratio:>6.1f}x "
            f"{row.difference:>19.1e} {row.runs:>5}"
        )
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    """Seconds to three digits, in the unit people would choose."""
    if seconds >= 1:
        return f"{seconds:.3g} s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds * 1e6:.3g} µs"


def _times(ratio: float) -> str:
    """Ratio to the digits that matter."""
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"


def _bars(axes: Any, row: Row, limits: tuple[float, float], labelled: bool) -> None:
    """Draw one filter's two times as bars from the floor of a log axis."""
    low, high = limits
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.set_xlim(-0.75, 1.75)
    seconds = (row.scipy_seconds, row.fastconv_seconds)
    colours = (SCIPY_COLOUR, FASTCONV_COLOUR)
    axes.bar((0, 1), seconds, width=0.8, color=colours, zorder=2)
    for x, value in enumerate(seconds):
        axes.annotate(
            _duration(value),
            (x, value),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=10,
            color=TEXT_COLOUR,
        )
    axes.set_title(
        f"{_times(row.ratio)}x", fontsize=26, fontweight="bold", color=FASTCONV_COLOUR, pad=4
    )
    axes.set_xticks((0, 1), ("scipy", "fastconv"), fontsize=10, color=FAINT_COLOUR)
    axes.yaxis.set_major_formatter(lambda value, _: _duration(value))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color="#e4e7ea", linewidth=0.8, zorder=0)
    axes.tick_params(length=0, labelcolor=FAINT_COLOUR, labelleft=labelled)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT_COLOUR)


def _legend(axes: Any, rows: list[Row], threads: int) -> None:
    """Explain the bars, in the corner below the original."""
    axes.axis("off")
    plural = "thread" if threads == 1 else "threads"
    axes.legend(
        handles=[
            Patch(color=SCIPY_COLOUR, label="scipy.signal\n.convolve2d"),
            Patch(color=FASTCONV_COLOUR, label=f"fastconv.convolve2d\n{threads} {plural}"),
        ],
        loc="upper left",
        bbox_to_anchor=(-0.03, 1.02),
        frameon=False,
        fontsize=10,
        handlelength=1,
        labelspacing=0.8,
        labelcolor=TEXT_COLOUR,
    )
    fewest, most = min(row.runs for row in rows), max(row.runs for row in rows)
    runs = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    axes.text(
        0.0,
        0.0,
        "Time of one call, log scale.\n"
        f"The quickest of {runs} runs,\nscipy and fastconv in turns.\n"
        "Largest difference between\n"
        f"the two results: {max(row.difference for row in rows):.0e}",
        transform=axes.transAxes,
        va="bottom",
        fontsize=10,
        color=FAINT_COLOUR,
        linespacing=1.5,
    )


def picture(image: Image, rows: list[Row], threads: int) -> Figure:
    """Draw original and results in one line, and under each result its two times."""
    columns = len(rows) + 1
    width, side = 17.0, 0.35
    panel = (width - 2 * side) / columns
    image_height = panel * min(max(image.shape[0] / image.shape[1], 0.3), 2.0)
    bars_height, head, gap, foot = 2.9, 1.35, 0.7, 0.4
    height = head + image_height + gap + bars_height + foot
    figure = Figure(figsize=(width, height), dpi=110, facecolor="white")
    grid = figure.add_gridspec(
        2,
        columns,
        height_ratios=(image_height, bars_height),
        left=side / width,
        right=1 - side / width,
        top=1 - head / height,
        bottom=foot / height,
        wspace=0.06,
        hspace=gap / ((image_height + bars_height) / 2),
    )

    slowest, quickest = min(row.ratio for row in rows), max(row.ratio for row in rows)
    figure.text(
        side / width,
        1 - 0.3 / height,
        f"The same convolutions, {_times(slowest)} to {_times(quickest)} times as fast as scipy",
        va="top",
        fontsize=24,
        fontweight="bold",
        color=TEXT_COLOUR,
    )
    figure.text(
        side / width,
        1 - 0.8 / height,
        f"{image.shape[0]} x {image.shape[1]} float64 image, mode='same', boundary='symm'",
        va="top",
        fontsize=12,
        color=FAINT_COLOUR,
    )

    titles = [("original", "")] + [(row.filter.name, row.filter.size) for row in rows]
    shown = [image] + [row.filter.show(row.result) for row in rows]
    for column, (title, pixels) in enumerate(zip(titles, shown, strict=True)):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
        axes.axis("off")
        axes.set_title(title[0], loc="left", fontsize=14, color=TEXT_COLOUR)
        axes.set_title(title[1], loc="right", fontsize=11, color=FAINT_COLOUR)

    _legend(figure.add_subplot(grid[1, 0]), rows, threads)
    seconds = [time for row in rows for time in (row.scipy_seconds, row.fastconv_seconds)]
    limits = (min(seconds) / 3, max(seconds) * 3)
    for column, row in enumerate(rows, start=1):
        _bars(figure.add_subplot(grid[1, column]), row, limits, labelled=column == 1)
    return figure


def run(path: Path | None, output: Path, workers: int | None) -> None:
    """
    Filter one photograph with scipy and fastconv, print the times, draw the picture.

    Parameters
    ----------
    path : Path or None
        Image to filter; None for the photograph that ships with matplotlib.
    output : Path
        Picture to write.
    workers : int or None
        Threads for fastconv, as in its `workers` argument.

    Raises
    ------
    UsageError
        If the image cannot be read, the picture cannot be written, or `workers` is 0.
    """
    try:
        with fastconv.set_workers(fastconv.get_workers() if workers is None else workers):
            threads = fastconv.get_workers()
    except ValueError as error:
        raise UsageError(str(error)) from error
    image = load(path)
    if not output.parent.is_dir():  # not when all is measured
        raise UsageError(f"cannot write {output}: there is no folder {output.parent}")
    print(
        f"image: {path or 'grace_hopper.jpg (matplotlib sample data)'}, "
        f"{image.shape[0]} x {image.shape[1]}, float64; fastconv threads: {threads}"
    )

    progress = Progress(len(FILTERS))
    rows = []
    for done, filter_ in enumerate(FILTERS):
        tick = partial(progress.show, done, f"{filter_.name} {filter_.size}")
        rows.append(measure(image, filter_, threads, tick))
    progress.close()
    print(table(rows))

    try:
        with mpl.rc_context({"font.family": "DejaVu Sans"}):
            picture(image, rows, threads).savefig(output)
    except (OSError, ValueError) as error:  # ValueError: a suffix matplotlib cannot write
        raise UsageError(f"cannot write {output}: {error}") from error
    print(f"picture: {output}")
