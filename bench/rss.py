"""
Memory that one call takes beyond its inputs and its output, in MB, on stdout.

``python bench/rss.py MODE BOUNDARY KERNEL_SIDE METHOD [WORKERS]``. A process of its own, because
what is read is the highest resident size a process ever had; it must not have been higher before
the call.
"""

import re
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np

import fastconv

N = 8192
MB = 2.0**20
# The interpreter, numpy and fastconv: an earlier peak above this would hide the call's own.
PROGRAM_MB = 200


def peak_rss() -> float:
    """Highest resident size so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux what it tells begins with the process that started this one.
        line = re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text(), re.MULTILINE)
        if line:
            return int(line[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB


def main(mode: str, boundary: str, side: int, method: str, workers: int) -> None:
    kernel = np.full((side, side), 1 / side**2, dtype=np.float32)
    options: dict[str, Any] = {"method": method, "workers": workers}
    # A first call, for what is allocated once for all: thread pool, code pages.
    fastconv.convolve2d(np.ones((64, 64), np.float32), kernel, mode, boundary, **options)
    size = N + side - 1 if mode == "full" else N
    # Filled, not only allocated: pages count as resident once they are written.
    image = np.full((N, N), 1, dtype=np.float32)
    out = np.full((size, size), 1, dtype=np.float32)
    before = peak_rss()
    if before > (image.nbytes + out.nbytes) / MB + PROGRAM_MB:
        raise SystemExit(f"resident before the call: {before:.0f} MB, too much to measure")
    fastconv.convolve2d(image, kernel, mode, boundary, out=out, **options)
    after = peak_rss()
    if not np.allclose(out[side:-side:64, side:-side:64], 1, atol=1e-4):
        raise SystemExit("wrong answer")
    print(f"{after - before:.2f}")


if __name__ == "__main__":
    mode, boundary, side, method, *workers = sys.argv[1:]
    main(mode, boundary, int(side), method, int(workers[0]) if workers else 1)
