"""
Small calls of this tree and of another, in turn: ``python bench/calls.py ../other/src``.

Tells what a change costs where there is next to nothing to compute. The other tree has its modules
built in place (``python setup.py build_ext --inplace``). Printed are microseconds, the least of
all, and the ratio.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent.parent / "src"
MODES = "full", "same", "valid"
CALLS = 1000
REPEATS = 100

TIME = f"""
import timeit
import numpy as np
from fastconv import convolve2d

image, kernel = (np.random.default_rng(1).random((side, side)) for side in (8, 3))
for mode in {MODES}:
    timer = timeit.Timer(lambda: convolve2d(image, kernel, mode))
    print(min(timer.repeat({REPEATS}, {CALLS})) / {CALLS})
"""


def measure(tree):
    """Seconds of a call in each mode, of a process that imports from a tree."""
    output = subprocess.run(
        [sys.executable, "-c", TIME],
        env=os.environ | {"PYTHONPATH": str(tree)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [float(line) for line in output.splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("other", type=Path, help="a folder that has a built package fastconv")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    trees = HERE, arguments.other.resolve(strict=True)
    rounds = [[measure(tree) for tree in trees] for _ in range(arguments.rounds)]
    here, other = np.min(rounds, axis=0) * 1e6
    for mode, a, b in zip(MODES, here, other, strict=True):
        print(f"8x8 by 3x3, {mode:6}{a:6.2f}{b:6.2f}{a / b:6.2f}")


if __name__ == "__main__":
    main()
