"""
Memory that one call takes beyond its inputs and its output, in MB, on stdout.

``python bench/rss.py MODE BOUNDARY [WORKERS]``. A process of its own, because what is read is the
highest resident size a process ever had; it must not have been higher before the call.
"""

import resource
import sys

import numpy as np

import fastconv

N, K = 8192, 15
MB = 2.0**20
# The interpreter, numpy and fastconv: an earlier peak above this would hide the call's own.
PROGRAM_MB = 200


def peak_rss() -> float:
    """Highest resident size so far, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB


def main(mode: str, boundary: str, workers: int) -> None:
    kernel = np.full((K, K), 1 / K**2, dtype=np.float32)
    # A first call, for what is allocated once for all: thread pool, code pages.
    fastconv.convolve2d(np.ones((64, 64), np.float32), kernel, mode, boundary, workers=workers)
    size = N + K - 1 if mode == "full" else N
    # Filled, not only allocated: pages count as resident once they are written.
    image = np.full((N, N), 1, dtype=np.float32)
    out = np.full((size, size), 1, dtype=np.float32)
    before = peak_rss()
    if before > (image.nbytes + out.nbytes) / MB + PROGRAM_MB:
        raise SystemExit(f"resident before the call: {before:.0f} MB, too much to measure")
    fastconv.convolve2d(image, kernel, mode, boundary, out=out, workers=workers)
    after = peak_rss()
    if not np.allclose(out[K:-K:64, K:-K:64], 1, atol=1e-5):
        raise SystemExit("wrong answer")
    print(f"{after - before:.2f}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1)
