"""
Calls beside other work: ``python bench/crowd.py``.

First those of eight threads at once, against the same ones in turn. Every call may use all
processors. Threads that share them should not cost much more than taking turns.

Then those in turn, alone and while as many other processes as there are processors do nothing but
keep them busy. Each processor has two then, so twice the time is fair.

Printed are seconds, those of both interleaved: the least of each, and the middle of the ratios.
"""

import os
import subprocess
import sys
import threading
import time

import numpy as np

import fastconv

THREADS = 8
ROUNDS = 15


def report(name, pairs):
    """Print the least of what a thing took without and with other work, and the ratios."""
    one, other = (min(seconds) for seconds in zip(*pairs, strict=True))
    ratios = sorted(b / a for a, b in pairs)
    print(
        f"{name:14}{one:8.3f}{other:8.3f}{other / one:8.2f}"
        f"{ratios[len(ratios) // 2]:8.2f}{ratios[0]:8.2f} to {ratios[-1]:.2f}"
    )


def main():
    rng = np.random.default_rng(1)
    images = rng.random((THREADS, 512, 512), np.float32)
    small, large = (rng.random((side, side), np.float32) for side in (7, 33))

    def work(i):
        for _ in range(40):
            fastconv.convolve2d(images[i], small)
            fastconv.fftconvolve(images[i], large, "same")
            fastconv.convolve2d(images[i, :64, :64], small)

    def in_turn():
        start = time.perf_counter()
        for i in range(THREADS):
            work(i)
        return time.perf_counter() - start

    def at_once():
        threads = [threading.Thread(target=work, args=(i,)) for i in range(THREADS)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - start

    def beside_others():
        busy = [sys.executable, "-c", "while True: pass"]
        others = [subprocess.Popen(busy) for _ in range(os.cpu_count())]
        try:
            time.sleep(0.5)
            return in_turn()
        finally:
            for other in others:
                other.kill()
                other.wait()

    print(f"{'':14}{'alone':>8}{'beside':>8}{'ratio':>8}{'middle':>8}{'all':>8}")
    for name, beside in (("threads", at_once), ("processes", beside_others)):
        report(name, [(in_turn(), beside()) for _ in range(ROUNDS)])


if __name__ == "__main__":
    main()
