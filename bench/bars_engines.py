"""
The bars of the engines beyond the direct sum, and of the choice between them.

As bars.py: every function is one group, and a limit stands beside what it applies to.
"""

from collections import Counter
from functools import partial
from itertools import chain
from statistics import geometric_mean

import numpy as np
import peers
from cells import FLOATS, Bench, against, check_corner, quickest, ratios, squares
from common import Call, Cell, check, measure
from problems import name, pair, random_problem, smooth_pair

import fastconv


def fft(bench: Bench) -> list[Cell]:
    """method='fft' against the quickest of all peers that transform."""
    images = bench.pick((512, 2048), (512,))
    cases = squares(FLOATS, images, bench.pick((13, 33, 65, 129), (33, 129)))
    limits = dict.fromkeys(peers.names("fft"))
    cells = [
        cell
        for threads in (1, 2)
        for cell in quickest(against(bench, "fft", limits, cases, threads, method="fft"), 1.0)
    ]
    mean = geometric_mean(cell.value for cell in cells)
    return [*cells, Cell("fft", "geometric mean", mean, "x", 2.0)]


def fft_large(bench: Bench) -> list[Cell]:
    """The same for kernels that fill a tile, or are as large as the image."""
    groups = [
        ("same", [(1024, 512), (300, 300), *bench.pick(((4096, 255),), ())]),
        ("full", [(300, 300)]),
    ]
    limits = dict.fromkeys(peers.names("fft"))
    cells = []
    for threads in (1, 2):
        for mode, sizes in groups:
            cases = chain.from_iterable(squares(FLOATS, (n,), (k,)) for n, k in sizes)
            found = against(bench, "fft_large", limits, cases, threads, mode=mode, method="fft")
            cells += quickest(found, 1.0)
    return cells


def certified(bench: Bench) -> list[Cell]:
    """What transforms bring where every output must keep the direct sum's bound, or be exact."""
    limits = {33: 2.0, 65: 6.0}
    # What cameras give, by what quantised filters hold: int16 at its full range is the worst case.
    camera = partial(pair, levels=((0, 1024), (-128, 128)))
    full = partial(pair, levels=((-(2**15), 2**15),) * 2)
    cells = []
    for k, limit in limits.items():
        for dtype, make, bar, note in (
            ("float32", pair, limit, ""),
            ("int16", camera, limit, " (10 by 8 bits)"),
            ("int16", full, None, " (full range)"),
        ):
            cases = squares((dtype,), (1024,), (k,))
            found = against(bench, "certified", {"fastconv.direct": bar}, cases, make=make)
            for cell in found:
                cell.label += note
            cells += found
    return cells


def separable(bench: Bench) -> list[Cell]:
    """Gaussian kernels, given as matrices, against packages that are given the factors."""
    others = {"opencv.sepFilter2D": 1.0, "scipy.ndimage.1d": None}
    cells = []
    for k in bench.pick((15, 25, 35, 65), (15, 65)):
        limits = {"fastconv.direct": 3.0 if k == 15 else None, **others}
        cases = squares(FLOATS, (1024,), (k,))
        cells += against(bench, "separable", limits, cases, make=smooth_pair)
    return cells


def one_d(bench: Bench) -> list[Cell]:
    """Signals of 10^6 samples through convolve, against every way of numpy and scipy."""
    cells = []
    for k in bench.pick((65, 1025, 65537), (65, 1025)):
        limits = {"numpy.convolve": 1.0, "scipy.fftconvolve": 1.0, "scipy.oaconvolve": 1.0}
        if k > 10_000:
            del limits["numpy.convolve"]  # seconds a call
        cases = [(dtype, (1_000_000,), (k,)) for dtype in FLOATS]
        cells += against(bench, "one_d", limits, cases, mode="full")
    return cells


def auto(bench: Bench) -> list[Cell]:
    """Time of the default over the time of the best engine that it may choose."""
    cells, raced = [], Counter[str]()
    for seed in range(*bench.pick((300,), (40,))):
        problem, is_product = random_problem(seed)
        engines = ["fastconv.direct"]
        engines += ["fastconv.separable"] if is_product else []
        # In float64 no transform is accurate enough to be chosen, nor is any for a single tap.
        certifiable = problem.image.dtype != "f8" and problem.kernel.size > 1
        engines += ["fastconv.certified"] if certifiable else []
        calls = peers.calls(problem, engines)
        label = f"{seed}: {problem}"
        bench.progress.show("auto", label)
        check(label, calls)
        seconds = measure(calls, bench.budget / 4)
        best = min(engines, key=seconds.__getitem__)
        chosen = fastconv.explain(problem.image, problem.kernel, mode=problem.mode)
        raced.update(engines)
        cells.append(
            Cell(
                "auto",
                f"{label}, {chosen.engine}",
                seconds["fastconv"] / seconds[best],
                "x best",
                1.50,
                lower_is_better=True,
                seconds={key: seconds[key] for key in ("fastconv", *engines)},
                case={
                    "seed": seed,
                    "peer": best,
                    "engine": chosen.engine,
                    "tile": chosen.tile,
                    "predicted": chosen.predicted,
                },
            )
        )
    close = sum(cell.value <= 1.15 for cell in cells) / len(cells)
    counts = ", ".join(f"{engine.removeprefix('fastconv.')} {n}" for engine, n in raced.items())
    return [*cells, Cell("auto", f"share within 15 % ({counts})", close, "", 0.95)]


def plan(bench: Bench) -> list[Cell]:
    """What is saved by preparing the kernel once."""
    cells = []
    image, kernel = pair((256, 256), (33, 33), "float32")
    for method, limit in (("auto", 1.3), ("fft", None)):
        prepared = fastconv.plan(kernel, image.shape, image.dtype, mode="same", method=method)
        calls: dict[str, Call] = {
            "plan": partial(prepared, image, workers=1),
            "convolve2d": partial(
                fastconv.convolve2d, image, kernel, "same", method=method, workers=1
            ),
        }
        label = f"{name('float32', image.shape, kernel.shape)} same {method}"
        cells += ratios(bench, "plan", label, calls, {"convolve2d": limit})
    return cells


def growth(bench: Bench) -> list[Cell]:
    """Time per pixel over that of the smallest image, all sizes in turns."""
    sizes = bench.pick((512, 1024, 2048, 4096, 8192), (512, 2048))
    cells = []
    pairs = {n: pair((n, n), (31, 31), "float32") for n in sizes}
    for method in ("auto", "fft"):
        calls: dict[str, Call] = {}
        for n, (image, kernel) in pairs.items():
            label = f"{name('float32', image.shape, kernel.shape)} same {method}"
            bench.progress.show("growth", label)
            check_corner(label, image, kernel, "same", method)
            convolve = partial(fastconv.convolve2d, image, kernel, "same", method=method, workers=1)
            calls[f"{n}"] = convolve
            # The same without the pages of a new result, which the system has to clear.
            calls[f"{n} out="] = partial(convolve, out=np.zeros_like(image))
        seconds = measure(calls, bench.budget * 4)
        for n in sizes[1:]:
            for way, limit in (("", 1.15), (" out=", None)):
                small, large = f"{sizes[0]}{way}", f"{n}{way}"
                cells.append(
                    Cell(
                        "growth",
                        f"f4 {n}x{n} by 31x31 same {method}{way}",
                        seconds[large] / seconds[small] * (sizes[0] / n) ** 2,
                        f"x {sizes[0]}",
                        limit,
                        lower_is_better=True,
                        seconds={key: seconds[key] for key in (small, large)},
                    )
                )
    return cells


def family_small(bench: Bench) -> list[Cell]:
    """Small images through the functions that choose a method, against scipy's of that name."""
    cells = []
    for dtype in FLOATS:
        image, kernel = pair((64, 64), (3, 3), dtype)
        for function in ("convolve", "fftconvolve"):
            calls: dict[str, Call] = {
                "fastconv": partial(getattr(fastconv, function), image, kernel, workers=1),
                "scipy.signal": partial(getattr(peers.signal, function), image, kernel),
            }
            label = f"{name(dtype, image.shape, kernel.shape)} full {function}"
            cells += ratios(bench, "family_small", label, calls, {"scipy.signal": 1.0})
    return cells
