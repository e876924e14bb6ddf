"""How long a call of each engine goes on after a signal: ``python bench/interrupt.py``."""

import argparse
import signal
import threading
import time

import numpy as np

import fastconv

SIDE = 16384

ENGINES = {
    "direct": ("d", (255, 255), {"method": "direct"}),
    "direct, one thread": ("d", (255, 255), {"method": "direct", "workers": 1}),
    "direct, int64": ("q", (255, 255), {}),
    "direct, complex128": ("D", (255, 255), {"method": "direct"}),
    "direct, long double": ("g", (99, 99), {}),
    "separable": ("d", (99, 99), {"method": "separable"}),
    "certified": ("f", (255, 255), {}),
    "fft": ("d", (255, 255), {"method": "fft"}),
    "fft, one thread": ("d", (255, 255), {"method": "fft", "workers": 1}),
    "fft, large kernel": ("d", (4001, 4001), {"method": "fft"}),
    "fft, float32": ("f", (255, 255), {"method": "fft"}),
    "conversion of int8 to float64": ("b", (255, 255), {"method": "fft"}),
    "three dimensions, 200^3": ("d", (200, 200, 200), {"method": "fft"}),
}


def latencies(image, kernel, keywords, runs, rng):
    """Seconds from the signal to the exception, and of calls that were over before."""
    seen = []
    out = None
    call = fastconv.convolve2d if image.ndim == 2 else fastconv.convolve
    for _ in range(runs):
        sent = []

        def interrupt(sent=sent):
            sent.append(time.perf_counter())
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        timer = threading.Timer(rng.uniform(0.1, 2.0), interrupt)
        try:
            timer.start()
            while True:
                out = call(image, kernel, "same", out=out, **keywords)
        except KeyboardInterrupt:
            seen.append(time.perf_counter() - sent[0])
        timer.join()
    return seen


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    arguments = parser.parse_args()
    rng = np.random.default_rng(1)
    print(f"{SIDE} x {SIDE}, {arguments.runs} interrupts each; milliseconds")
    print(f"{'':32}{'median':>8}{'largest':>9}")
    for name, (dtype, shape, keywords) in ENGINES.items():
        side = SIDE if dtype not in "gD" else SIDE // 2  # lest memory run out
        image = rng.integers(-9, 10, (side, side) if len(shape) == 2 else shape, np.int8)
        if "conversion" not in name:
            image = image.astype(dtype)
        if keywords.get("method") == "separable":
            kernel = np.multiply.outer(*rng.integers(1, 9, (2, shape[0])))
        else:
            kernel = rng.integers(1, 9, shape)
        kernel = kernel.astype("d" if dtype == "b" else dtype)
        found = [1e3 * s for s in latencies(image, kernel, keywords, arguments.runs, rng)]
        print(f"{name:32}{np.median(found):8.1f}{max(found):9.1f}", flush=True)


if __name__ == "__main__":
    main()
