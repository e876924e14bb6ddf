"""
Run what a page shows: ``python tests/pages.py README.md`` or any other page.

All ```python blocks of the page share one namespace, which begins with `NAMES`. A block that has
prompts is a doctest: what it prints is compared. Others run. Line numbers in tracebacks are those
of the page.
"""

import doctest
import re
import sys
from pathlib import Path

import numpy as np

import fastconv

# What pages take for granted.
IMAGE = np.random.default_rng(1).random((480, 640), np.float32)
KERNEL = np.random.default_rng(2).random((9, 9), np.float32)
NAMES = {
    "fastconv": fastconv,
    "image": IMAGE,
    "kernel": KERNEL,
    "video": np.stack([IMAGE, IMAGE[::-1]]),
    "show": np.shape,
    "y": fastconv.convolve2d(IMAGE, KERNEL, "same"),
    "exact": fastconv.convolve2d(IMAGE.astype(float), KERNEL.astype(float), "same"),
}

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text):
    """Code of each block, and the number of lines before it."""
    for found in BLOCK.finditer(text):
        yield found[1], text[: found.start(1)].count("\n")


def run(path):
    """Run a page, and return how many blocks it has."""
    names = {"__name__": "__page__", **NAMES}
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
    count = 0
    for code, line in blocks(path.read_text(encoding="utf-8")):
        if ">>> " in code:
            test = parser.get_doctest(code, names, path.name, str(path), line)
            test.globs = names  # not the copy: blocks share their names
            runner.run(test, clear_globs=False)
        else:
            exec(compile("\n" * line + code, str(path), "exec"), names)
        count += 1
    if runner.summarize().failed:
        raise SystemExit(1)
    return count


if __name__ == "__main__":
    print(run(Path(sys.argv[1])), "blocks")
