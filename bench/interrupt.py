"""
How long a call goes on after a signal.

    python bench/interrupt.py               of each engine
    python bench/interrupt.py --random 600  calls of any function, of arrays of many shapes, for as
                                            many seconds
"""

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
    "direct, large kernel": ("d", (4001, 4001), {"method": "direct"}),
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


def random_call(rng):
    """Draw a call of arrays that are long, wide, or of many dimensions, of up to 10^7 elements."""
    n_axes = int(rng.integers(1, 6))
    share = rng.dirichlet(np.full(n_axes, rng.choice([0.3, 1, 5])))
    shape = [max(1, round(n)) for n in (10 ** rng.uniform(5.5, 7.2)) ** share]
    taps = [int(rng.integers(1, n * (1 if rng.random() < 0.8 else 2) + 1)) for n in shape]
    functions = ["convolve", "correlate", "fftconvolve", "oaconvolve", "convolve2d"]
    name = functions[rng.integers(5 if n_axes > 1 else 4)]
    mode = ("full", "same", "valid")[rng.integers(3)]
    keywords = {"workers": 1} if rng.random() < 0.2 else {}
    if name in ("convolve", "correlate"):
        keywords["method"] = ("auto", "auto", "direct", "fft", "fft")[rng.integers(5)]
    elif name == "convolve2d" or rng.random() < 0.5:
        n_convolved = 2 if name == "convolve2d" else int(rng.integers(1, n_axes + 1))
        axes = [int(axis) for axis in rng.permutation(n_axes)[:n_convolved]]
        keywords["axes"] = axes
        alike = [n if rng.random() < 0.5 else 1 for n in shape]
        taps = [m if i in axes else alike[i] for i, m in enumerate(taps)]
    if mode == "valid":
        taps = [min(pair) for pair in zip(shape, taps, strict=True)]
    dtypes = rng.choice(list("fdgFDG"), 2)
    if rng.random() < 0.4:
        dtypes = rng.choice(list("?bBhHiIlLqQefdgFDG"), 2)
    in1, in2 = (
        rng.integers(-50, 50, n).astype(dtype)
        for n, dtype in zip((shape, taps), dtypes, strict=True)
    )
    if rng.random() < 0.3:
        in1 = in1.T.copy().T
    return name, in1, in2, mode, keywords


def random_latencies(seconds, rng):
    """Interrupt random calls; print those that go on for 60 ms, and a summary."""
    armed, found, start = [], [], time.perf_counter()

    def handle(*_):
        if armed:
            raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, handle)
    while time.perf_counter() - start < seconds:
        name, in1, in2, mode, keywords = random_call(rng)
        delay = 10 ** rng.uniform(-2, 0.3)
        due = time.perf_counter() + delay
        try:
            armed.append(1)
            signal.setitimer(signal.ITIMER_REAL, delay)
            getattr(fastconv, name)(in1, in2, mode, **keywords)
        except KeyboardInterrupt:
            found.append(1e3 * (time.perf_counter() - due))
            if found[-1] > 60:
                what = f"{in1.shape} {in1.dtype} by {in2.shape} {in2.dtype}"
                print(f"{found[-1]:7.1f} ms: {name}, {what}, {mode!r}, {keywords}", flush=True)
        except ValueError:
            pass  # bool, and no method for it
        finally:
            armed.clear()
            signal.setitimer(signal.ITIMER_REAL, 0)
    median, most, largest = np.quantile(found, (0.5, 0.99, 1))
    print(
        f"{len(found)} interrupts: median {median:.1f}, 99 % {most:.1f}, largest {largest:.1f} ms"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--random", type=float, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.random:
        random_latencies(arguments.random, np.random.default_rng(arguments.seed))
        return
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
