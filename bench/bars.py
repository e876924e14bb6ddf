"""
The bars: what is measured, and what must come out.

Every function here is one row of `BARS`: it takes the `Bench` and returns cells. A limit stands
beside the sizes it applies to; nothing else in the benchmark decides what passes.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import bars_engines
import peers
from cells import FLOATS, Bench, against, shares, squares
from common import Cell, check, measure
from problems import name, pair

import fastconv


def fma_share(bench: Bench) -> list[Cell]:
    """Share of the FMA peak over kernel sizes."""
    limits = {5: 0.60, 7: 0.75}
    sizes = bench.pick((5, 7, 9, 11, 15, 21, 31, 63), (5, 7, 9, 31))
    cases = [
        (dtype, (1024, 1024), (k, k), limits.get(k, 0.85)) for dtype, k in product(FLOATS, sizes)
    ]
    return shares(bench, "fma_share", "valid", cases)


def complex_share(bench: Bench) -> list[Cell]:
    """Share of the FMA peak where both operands are complex: 8 flops a tap."""
    sizes = bench.pick((7, 9, 15, 21, 33), (7, 33))
    cases = [
        (dtype, (512, 512), (k, k), 0.75)
        for dtype, k in product(("complex128", "complex64"), sizes)
    ]
    return shares(bench, "complex_share", "valid", cases)


def long(bench: Bench) -> list[Cell]:
    """Share of the FMA peak on one long row, and on one long column."""
    n = 1_000_000
    lines = (((1, n), (1, 65)), ((n, 1), (65, 1)))
    cases = [(dtype, shape, kernel, 0.60) for dtype, (shape, kernel) in product(FLOATS, lines)]
    return shares(bench, "long", "full", cases)


def opencv(bench: Bench) -> list[Cell]:
    """Small kernels against filter2D, at 1 and at 2 threads."""
    # 2048 x 2048 stays in quick mode: from 1024 x 1024 on OpenCV uses its threads.
    sizes = bench.pick((128, 512, 2048), (128, 2048))
    cases = squares(FLOATS, sizes, (3, 5))
    return [
        cell
        for threads in (1, 2)
        for cell in against(bench, "opencv", {"opencv": 1.0}, cases, threads)
    ]


def scipy(bench: Bench) -> list[Cell]:
    """What a user of scipy.signal gains."""
    sizes = bench.pick((7, 9, 15, 31), (7, 15))
    return [
        cell
        for kernels, limit in (((3,), 25.0), (sizes, 40.0))
        for cell in against(
            bench, "scipy", {"scipy.signal": limit}, squares(("float64",), (512,), kernels)
        )
    ]


def integers(bench: Bench) -> list[Cell]:
    """Integer images against both of scipy's ways."""
    sizes = bench.pick((3, 5, 7, 11, 15), (3, 15))
    cases = squares(("uint8", "int16", "int32", "int64"), (512,), sizes)
    return against(bench, "integers", {"scipy.signal": 10.0, "scipy.ndimage": 4.0}, cases)


def peer_curve(bench: Bench) -> list[Cell]:
    """No bar: every direct peer over a range of kernels, for the plot."""
    images = bench.pick((128, 512, 2048), (512,))
    kernels = bench.pick((3, 5, 7, 9, 11, 15, 21, 31), (3, 7, 15, 31))
    limits = dict.fromkeys(peers.names("direct"))
    return against(bench, "peer_curve", limits, squares(FLOATS, images, kernels))


def borders(bench: Bench) -> list[Cell]:
    """Time per output with a border to look up, over the time without one."""
    cells = []
    shape = (512, 512)
    variants = [("same", "fill"), *product(("full", "valid"), ("wrap", "symm"))]
    for dtype, k in product(FLOATS, bench.pick((3, 7, 15), (3, 15))):
        image, kernel = pair(shape, (k, k), dtype)
        label = name(dtype, shape, (k, k))
        bench.progress.show("borders", label)
        calls, outputs = {}, {}
        for mode, boundary in variants:
            variant, args = f"{boundary} {mode}", (image, kernel, mode, boundary)
            ours = partial(fastconv.convolve2d, *args, workers=1)
            check(
                f"{label} {variant}",
                {"fastconv": ours, "scipy.signal": partial(peers.signal.convolve2d, *args)},
            )
            calls[variant], outputs[variant] = ours, ours().size
        seconds = measure(calls, bench.budget * 2)
        each = {variant: seconds[variant] / outputs[variant] for variant in calls}
        base = each.pop("fill same")
        cells += [
            Cell(
                "borders",
                f"{label} {variant}",
                time / base,
                "x fill same",
                1.10,
                lower_is_better=True,
                seconds={key: seconds[key] for key in ("fill same", variant)},
            )
            for variant, time in each.items()
        ]
    return cells


def small(bench: Bench) -> list[Cell]:
    """What a call costs when there is next to nothing to compute."""
    cells = []
    image, kernel = pair((8, 8), (3, 3), "float64")
    for mode in ("full", "same"):
        label = f"{name('float64', image.shape, kernel.shape)} {mode}"
        bench.progress.show("small", label)
        calls = {
            "fastconv": partial(fastconv.convolve2d, image, kernel, mode, workers=1),
            "scipy.signal": partial(peers.signal.convolve2d, image, kernel, mode),
        }
        check(label, calls)
        seconds = measure(calls, bench.budget)
        ratio = seconds["fastconv"] / seconds["scipy.signal"]
        cells.append(
            Cell("small", label, ratio, "x scipy", 0.5, lower_is_better=True, seconds=seconds)
        )
    return cells


def memory(bench: Bench) -> list[Cell]:
    """Memory beyond inputs and output, each call in a process of its own (rss.py)."""
    if sys.platform == "win32":  # no getrusage
        return []
    cells = []
    script = Path(__file__).with_name("rss.py")
    modes = bench.pick(("same", "full"), ("same",))
    boundaries = ("fill", "wrap", "symm")
    # Transforms may take a tenth of the image, which has 256 MB.
    cases = [
        *product(modes, boundaries, (15,), ("auto",), (16.0,)),
        *product(modes, bench.pick(boundaries, ("fill",)), (255,), ("fft",), (25.6,)),
    ]
    for mode, boundary, side, method, limit in cases:
        label = f"f4 8192x8192 by {side}x{side} {mode} {boundary} {method}"
        bench.progress.show("memory", label)
        command = [sys.executable, script, mode, boundary, str(side), method]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        megabytes = float(done.stdout)
        cells.append(Cell("memory", label, megabytes, "MB", limit, lower_is_better=True))
    return cells


def scaling(bench: Bench) -> list[Cell]:
    """What the second thread brings."""
    if (os.cpu_count() or 1) < 2:
        return []
    cells = []
    shape, size = (1024, 1024), (15, 15)
    for dtype in FLOATS:
        label = f"{name(dtype, shape, size)} same, 2 thr to 1"
        bench.progress.show("scaling", label)
        image, kernel = pair(shape, size, dtype)
        calls = {
            f"{threads} thr": partial(fastconv.convolve2d, image, kernel, "same", workers=threads)
            for threads in (1, 2)
        }
        check(label, calls, reference="1 thr")
        seconds = measure(calls, bench.budget * 2)
        gain = seconds["1 thr"] / seconds["2 thr"]
        cells.append(Cell("scaling", label, gain, "x", 1.8, threads=2, seconds=seconds))
    return cells


BARS: dict[str, Callable[[Bench], list[Cell]]] = {
    "fma_share": fma_share,
    "complex_share": complex_share,
    "opencv": opencv,
    "scipy": scipy,
    "integers": integers,
    "borders": borders,
    "small": small,
    "family_small": bars_engines.family_small,
    "long": long,
    "memory": memory,
    "scaling": scaling,
    "fft": bars_engines.fft,
    "fft_large": bars_engines.fft_large,
    "certified": bars_engines.certified,
    "separable": bars_engines.separable,
    "one_d": bars_engines.one_d,
    "auto": bars_engines.auto,
    "plan": bars_engines.plan,
    "growth": bars_engines.growth,
    "peer_curve": peer_curve,
}
