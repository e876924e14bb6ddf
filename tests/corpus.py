"""
The largest error over its bound, for each engine and dtype: ``python tests/corpus.py``.

Every cell is a million outputs or more (``--outputs``), of ordinary and of hostile inputs. Exact
are sums in long double, the rounding of which is 2**-11 of the bounds of float64 at most; those of
long double itself are sums of integers of few digits, times powers of two, done in integers.
"""

import argparse
import zlib
from itertools import product

import numpy as np

import fastconv

TYPES = {"f": np.float32, "d": np.float64, "g": np.longdouble}
KINDS = ("fill", "wrap", "symm")
PADDING = {"fill": "constant", "wrap": "wrap", "symm": "symmetric"}


# --- inputs --------------------------------------------------------------------------------------


def spread(rng, shape, real, decades):
    """Numbers of many sizes."""
    return rng.uniform(-1, 1, shape) * np.exp(rng.uniform(-decades, decades, shape) * np.log(10))


def distributions(real):
    """Pairs of functions (rng, shape): image and kernel. real: the dtype of a part."""
    info = np.finfo(real)
    large = int(np.log10(float(min(info.max, np.finfo(np.float64).max)))) - 4

    def normal(rng, shape):
        return rng.standard_normal(shape)

    def positive(rng, shape):
        return rng.uniform(0.5, 1, shape)

    def alternating(rng, shape):
        signs = np.indices(shape).sum(0) % 2 * 2 - 1
        return signs * rng.uniform(0.999, 1.001, shape)

    def rounding_up(rng, shape):
        # Just above the middle between two numbers, once summed.
        return np.full(shape, 1.0) + info.eps * rng.integers(1, 4, shape)

    def hot_pixel(rng, shape):
        x = rng.uniform(0.5, 1, shape) * 1e-8
        x[tuple(n // 2 for n in shape)] = 1e8
        return x

    def large_numbers(rng, shape):
        return rng.uniform(-1, 1, shape) * 10.0 ** (large - 4)

    def small_taps(rng, shape):
        return rng.uniform(-1, 1, shape) * 10.0**-large

    def denormal(rng, shape):
        return rng.integers(-(1 << 20), 1 << 20, shape) * float(
            max(info.smallest_subnormal, np.finfo(np.float64).smallest_subnormal)
        )

    def zeros(rng, shape):
        return np.where(rng.random(shape) < 0.9, 0, rng.standard_normal(shape))

    def constant(rng, shape):
        return np.full(shape, rng.uniform(0.5, 1))

    def zero_sum(rng, shape):
        x = rng.standard_normal(shape).astype(np.float32).astype(np.float64)
        x.flat[-1] -= x.sum()
        return x

    def sizes(rng, shape):
        return spread(rng, shape, real, min(12, large // 3))

    return {
        "normal": (normal, normal),
        "positive": (positive, positive),
        "alternating": (alternating, alternating),
        "rounding up": (rounding_up, rounding_up),
        "one hot pixel": (hot_pixel, normal),
        "large by small": (large_numbers, small_taps),
        "subnormal": (denormal, normal),
        "zeros": (zeros, zeros),
        "constant by zero sum": (constant, zero_sum),
        "many sizes": (sizes, sizes),
    }


def draw(make, rng, shape, dtype):
    """Draw an array, complex if the dtype is."""
    dtype = np.dtype(dtype)
    values = make(rng, shape)
    if dtype.kind == "c":
        values = values + 1j * make(rng, shape)
    return values.astype(dtype)


# --- engines -------------------------------------------------------------------------------------


def flat(a):
    return a


def outer(a):
    """The kernel of its first row and column, in few digits, so that it is their product."""
    with np.errstate(all="ignore"):
        column, row = (
            np.ldexp(np.rint(np.ldexp(np.frexp(v)[0], 8)), np.frexp(v)[1] - 8)
            for v in (a[:, 0].astype(np.float64), a[0].astype(np.float64))
        )
    scale = np.abs(row).max()
    return np.multiply.outer(column, row / 2.0 ** np.frexp(scale)[1]).astype(a.dtype)


# engine: function, keywords, kernel shape, image shape, of the kernel, dtypes
ENGINES = {
    "direct": ("convolve2d", {"method": "direct"}, (7, 6), (512, 512), flat, "fdFD"),
    "separable": ("convolve2d", {"method": "separable"}, (9, 11), (512, 512), outer, "fd"),
    "certified": ("convolve2d", {}, (23, 21), (400, 400), flat, "fF"),
    "fft": ("convolve2d", {"method": "fft"}, (19, 17), (512, 512), flat, "fdFD"),
    "fft, lines": ("fftconvolve", {}, (301,), (1 << 18,), flat, "fdFD"),
    "direct, 3-D": ("convolve", {"method": "direct"}, (3, 5, 4), (48, 72, 72), flat, "fdFD"),
    "fft, 3-D": ("convolve", {"method": "fft"}, (9, 8, 7), (48, 72, 72), flat, "fdFD"),
}


def exact(x, w, boundary):
    """Sums in long double, in mode 'same'."""
    wide = np.clongdouble if np.result_type(x, w).kind == "c" else np.longdouble
    before = [m // 2 for m in w.shape]
    padding = [(b, m - 1 - b) for b, m in zip(before, w.shape, strict=True)]
    # Convolution looks back: output p is a sum over P[p + m - 1 - i] w[i].
    padding = [(m - 1 - (m - 1) // 2, (m - 1) // 2) for m in w.shape]
    extended = np.pad(x.astype(wide), padding, mode=PADDING[boundary])
    total = np.zeros(x.shape, wide)
    taps = w.astype(wide)
    for place in product(*map(range, w.shape)):
        if taps[place]:
            window = tuple(
                slice(m - 1 - i, m - 1 - i + n)
                for i, m, n in zip(place, w.shape, x.shape, strict=True)
            )
            total += taps[place] * extended[window]
    return total


def ratio(y, sums, bound):
    """Largest error over bound; outputs that overflow, or may, do not count."""
    y = y.astype(sums.dtype)
    largest, errors = 0.0, y - sums
    for part in (errors.real, errors.imag)[: 1 + (sums.dtype.kind == "c")]:
        counts = np.isfinite(bound)
        over = abs(part[counts]) / bound[counts]
        assert not np.isnan(over).any()
        largest = max(largest, float(over.max(initial=0)))
    return largest


def cell(engine, char, outputs, scale=1.0):
    """Largest error over bound of an engine and a dtype, the input that had it, and how many."""
    function, keywords, taps, shape, shaped, _ = ENGINES[engine]
    shape = tuple(max(2 * m, int(n * scale)) for n, m in zip(shape, taps, strict=True))
    dtype = np.dtype(char)
    rng = np.random.default_rng(zlib.crc32(f"{engine} {char}".encode()))
    found, worst, done = 0.0, "", 0
    while done < outputs:
        for name, (image, kernel) in distributions(dtype.type(0).real.dtype).items():
            boundary = KINDS[rng.integers(3)] if function == "convolve2d" else "fill"
            x, w = draw(image, rng, shape, dtype), shaped(draw(kernel, rng, taps, dtype))
            arguments = (x, w, "same", *((boundary,) if boundary != "fill" else ()))
            with np.errstate(all="ignore"):
                try:
                    y = getattr(fastconv, function)(*arguments, **keywords)
                except ValueError as refusal:
                    if "not separable" not in str(refusal):
                        raise
                    continue
                bound = fastconv.error_bound(*arguments, function=function, **keywords)
                this = ratio(y, exact(x, w, boundary), bound)
            assert this < 1, (engine, char, name, boundary, this)
            if this > found:
                found, worst = this, name
            done += y.size
    return found, worst, done


INTEGERS = "bBhHiIqQ"


def integer_cell(char, outputs, scale=1.0):
    """Outputs that differ from the exact ones modulo two to the width, and how many there were."""
    dtype, rng = np.dtype(char), np.random.default_rng(ord(char))
    info, wrong, done = np.iinfo(dtype), 0, 0
    shape = (int(300 * scale) + 40,) * 2
    while done < outputs:
        for bits, taps, method in product((3, 12, 64), ((5, 6), (33, 31)), ("auto", "fft")):
            low, high = max(int(info.min), -(1 << bits)), min(int(info.max), (1 << bits) - 1)
            x = rng.integers(low, high, shape, dtype, endpoint=True)
            w = rng.integers(low, high, taps, dtype, endpoint=True)
            boundary = KINDS[rng.integers(3)]
            y = fastconv.convolve2d(x, w, "same", boundary, method=method)
            padding = [(m // 2, (m - 1) // 2) for m in taps]
            extended = np.pad(x.astype(np.uint64), padding, mode=PADDING[boundary])
            total = np.zeros(shape, np.uint64)
            for i, j in np.ndindex(taps):
                part = extended[taps[0] - 1 - i :, taps[1] - 1 - j :][: shape[0], : shape[1]]
                total += w[i, j].astype(np.uint64) * part
            wrong += int((y != total.astype(dtype)).sum())
            done += y.size
    return wrong, done


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outputs", type=int, default=1_000_000)
    arguments = parser.parse_args()
    print(f"instruction set: {fastconv.show_config('dicts')['level in use']}")
    print("| engine | dtype | outputs | largest error over bound | of |")
    print("|---|---|---|---|---|")
    for engine, (*_, chars) in ENGINES.items():
        for char in chars:
            found, worst, done = cell(engine, char, arguments.outputs)
            print(f"| {engine} | {np.dtype(char)} | {done} | {found:.4f} | {worst} |", flush=True)
    for char in INTEGERS:
        wrong, done = integer_cell(char, arguments.outputs)
        print(f"| all | {np.dtype(char)} | {done} | {wrong} wrong | |", flush=True)


if __name__ == "__main__":
    main()
