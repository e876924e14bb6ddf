"""
Measure every bar: ``python bench/run.py [--quick] [--only NAME ...] [--out DIR]``.

Prints a table and writes ``results.json`` and two plots into DIR. See bench/README.md.
"""

import argparse
from pathlib import Path

import peers
import report
from bars import BARS
from cells import FLOATS, Bench
from common import Cell

import fastconv

# Seconds per cell. Twelve rounds of a cell then sample each candidate for tens of milliseconds.
BUDGET, QUICK_BUDGET = 1.0, 0.3


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="fewer sizes and shorter runs: a look, not a result"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=BARS,
        metavar="NAME",
        default=list(BARS),
        help=f"measure these groups alone: {', '.join(BARS)}",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).parent / "results",
        help="folder for results.json and the plots (default: bench/results)",
    )
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments.quick, QUICK_BUDGET if arguments.quick else BUDGET)

    print("  ".join(f"{name} {version}" for name, version in peers.versions().items()))
    fastconv.show_config()
    for dtype in FLOATS:
        bench.progress.show("peak", dtype)
        bench.peak.settle(dtype, 0.3 if arguments.quick else 1.0)

    cells: list[Cell] = []
    for name in arguments.only:
        found = BARS[name](bench)
        bench.progress.close()
        print(f"\n{name}")
        layout = report.LAYOUTS.get(name, report.table)
        print(layout(found) if found else "  not measured on this machine", flush=True)
        cells += found

    print()
    for dtype in FLOATS:
        print(f"peak {dtype}: {bench.peak.of(dtype) / 1e9:.1f} Gflop/s, one thread")
    print()
    print(report.summary(cells))
    report.write_json(
        arguments.out / "results.json",
        cells,
        bench.peak.as_dict(),
        peers.versions(),
        arguments.quick,
    )
    for name, (file, title) in report.PLOTS.items():
        curve = [cell for cell in cells if cell.bar == name and cell.case]
        if curve:
            report.plot(arguments.out / file, curve, title)
    print(f"\nwritten to {arguments.out}")


if __name__ == "__main__":
    main()
