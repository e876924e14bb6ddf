"""
A call leaves the floating-point environment as it was, and computes as if it were the usual one.

A library that was built with -ffast-math flushes subnormal numbers to zero in the thread that loads
it, and in all that this thread starts.
"""

import ctypes
import ctypes.util
import platform
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import same_bits
from process import printed

import fastconv

# In the words that fegetenv() writes: which one flushes subnormal numbers, and by what bits; and
# which bits of which words tell how to compute, not what has happened.
FLUSH = {"x86_64": (7, 0x8040), "aarch64": (0, 1 << 24)}
CONTROL = {"x86_64": {0: 0xF3F, 7: 0xFFC0}, "aarch64": {0: 0xFFFFFFFF}}
TOWARD_ZERO = {"x86_64": 0xC00, "aarch64": 3 << 22}
MACHINE = platform.machine()

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or MACHINE not in FLUSH or platform.libc_ver()[0] != "glibc",
    reason="the environment is laid out as glibc does",
)


class Environment:
    """Another environment, for a while."""

    def __init__(self, kind):
        self.libm = ctypes.CDLL(ctypes.util.find_library("m"))
        self.kind = kind

    def words(self):
        words = (ctypes.c_uint32 * 16)()
        self.libm.fegetenv(words)
        return words

    def control(self):
        words = self.words()
        return [words[i] & bits for i, bits in CONTROL[MACHINE].items()]

    def __enter__(self):
        self.before = self.words()
        usual = self.control()
        if self.kind == "rounding":
            self.libm.fesetround(TOWARD_ZERO[MACHINE])
        elif self.kind == "flush":
            words = self.words()
            place, bits = FLUSH[MACHINE]
            words[place] |= bits
            self.libm.fesetenv(words)
        self.set = self.control()
        assert self.set != usual or self.kind == "usual"

    def __exit__(self, *_):
        still = self.control()
        self.libm.fesetenv(self.before)
        assert still == self.set


ODD = pytest.mark.parametrize("kind", ["flush", "rounding"])

ENGINES = [("convolve2d", {"method": method}) for method in ("direct", "fft", "separable")]
ENGINES += [("fftconvolve", {}), ("convolve2d", {})]


def problems(dtype):
    rng = np.random.default_rng(1)
    info = np.finfo(dtype)
    for scale in (info.tiny / 8, info.tiny * 2.0**30, 1.0):
        image = rng.random((120, 90)).astype(dtype) * dtype(scale)
        row = rng.random(33).astype(dtype)
        kernel = np.multiply.outer(row, row)
        yield image, kernel
        yield kernel * dtype(scale), image / dtype(scale)
    yield rng.random((1, 5000)).astype(dtype), rng.random((1, 400)).astype(dtype) * info.tiny


@ODD
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize(("name", "keywords"), ENGINES, ids=str)
def test_results_do_not_depend_on_the_environment_of_a_thread(name, keywords, dtype, kind):
    call = getattr(fastconv, name)
    for image, kernel in problems(dtype):
        image, kernel = (np.asarray(a, dtype) for a in (image, kernel))
        if keywords.get("method") == "separable" and min(kernel.shape) in (1, 90):
            continue  # no outer product of two vectors
        expected = call(image, kernel, workers=1, **keywords)
        with Environment(kind):
            one, three = (call(image, kernel, workers=n, **keywords) for n in (1, 3))
        assert same_bits(three, one)
        if keywords.get("method") == "direct":
            # Others look at the kernel first, and see what NumPy sees.
            assert same_bits(one, expected)
        assert same_bits(call(image, kernel, workers=3, **keywords), expected)


HASHES = """
import hashlib
import numpy as np
from test_rounding import Environment
import fastconv
x, w = np.random.default_rng(1).random((2, 500, 500)) * 1e-310
w = w[:9, :9] * 1e310

def results():
    for method in ("direct", "fft"):
        for workers in (4, 1):
            yield fastconv.convolve2d(x, w, method=method, workers=workers)

with Environment(KIND):
    list(results())
for y in results():
    print(hashlib.sha256(y.tobytes()).hexdigest())
"""


def hashes(kind):
    return printed("-c", HASHES.replace("KIND", repr(kind)), cwd=Path(__file__).parent)


@ODD
def test_threads_and_tables_that_were_made_in_another_environment_serve_as_well(kind):
    assert hashes(kind) == hashes("usual")


def test_an_import_leaves_subnormal_numbers_alone():
    script = "import fastconv, numpy as np; assert (np.full(9, 5e-324) * 1.0).all()"
    printed("-c", script)


INTERRUPTED = """
import signal
import numpy as np
from test_rounding import Environment
import fastconv

image = np.broadcast_to(np.ones(8192), (8192, 8192))
kernel = np.random.default_rng(1).random((4000, 4000))

for k in range(12):
    with Environment(KIND):
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.05 + 0.05 * k)
        try:
            fastconv.convolve2d(image, kernel, "valid", method="fft", workers=1)
            signal.setitimer(signal.ITIMER_REAL, 0)  # else it ends the process after the script
        except KeyboardInterrupt:
            print("interrupted")
"""


@ODD
def test_a_call_that_is_interrupted_leaves_the_environment_alone(kind):
    script = INTERRUPTED.replace("KIND", repr(kind))
    assert printed("-c", script, cwd=Path(__file__).parent).split().count("interrupted") > 5
