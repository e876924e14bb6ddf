"""
Calls beside other work: ``python bench/crowd.py``.

First those of eight threads at once, against the same ones in turn. Every call may use all
processors. Printed are the seconds of each, and their ratio, which should not be far above one:
threads that share the processors should not cost more than taking turns.

Then those in turn, alone and while as many other processes as there are processors do nothing but
keep them busy. Each processor has two then, so a ratio of two is fair.
"""

import os
import subprocess
import sys
import threading
import time

import numpy as np

import fastconv

THREADS = 8


def main():
    rng = np.random.default_rng(1)
    images = rng.random((THREADS, 512, 512), np.float32)
    small, large = (rng.random((side, side), np.float32) for side in (7, 33))

    def work(i):
        for _ in range(40):
            fastconv.convolve2d(images[i], small)
            fastconv.fftconvolve(images[i], large, "same")
            fastconv.convolve2d(images[i, :64, :64], small)

    def in_turns():
        start = time.perf_counter()
        for i in range(THREADS):
            work(i)
        return time.perf_counter() - start

    for _ in range(5):
        in_turn = in_turns()
        threads = [threading.Thread(target=work, args=(i,)) for i in range(THREADS)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        at_once = time.perf_counter() - start
        print(f"in turn {in_turn:.3f} s, at once {at_once:.3f} s, ratio {at_once / in_turn:.2f}")

    for _ in range(5):
        alone = in_turns()
        idle = [sys.executable, "-c", "while True: pass"]
        others = [subprocess.Popen(idle) for _ in range(os.cpu_count())]
        time.sleep(0.5)
        beside = in_turns()
        for other in others:
            other.kill()
            other.wait()
        print(f"alone {alone:.3f} s, beside others {beside:.3f} s, ratio {beside / alone:.2f}")


if __name__ == "__main__":
    main()
