"""
Calls of eight threads at once, against the same ones in turn: ``python bench/crowd.py``.

Every call may use all processors. Printed are the seconds of each, and their ratio, which should
not be far above one: threads that share the processors should not cost more than taking turns.
"""

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

    for _ in range(5):
        start = time.perf_counter()
        for i in range(THREADS):
            work(i)
        in_turn = time.perf_counter() - start
        threads = [threading.Thread(target=work, args=(i,)) for i in range(THREADS)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        at_once = time.perf_counter() - start
        print(f"in turn {in_turn:.3f} s, at once {at_once:.3f} s, ratio {at_once / in_turn:.2f}")


if __name__ == "__main__":
    main()
