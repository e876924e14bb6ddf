"""
Shapes no machine has room for, inputs that change, races, small stacks, and calls without end.

Set FASTCONV_SLOW=1 for the tests that take gigabytes or minutes.
"""

import contextlib
import itertools
import os
import sys
import sysconfig
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from cases import BOUNDARIES, CALLS, FUNCTIONS, numbers, same_bits
from process import python

import fastconv

SLOW = pytest.mark.skipif("FASTCONV_SLOW" not in os.environ, reason="FASTCONV_SLOW is not set")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
METHODS = ("auto", "direct", "separable", "fft")
OTHERS = ("convolve", "correlate", "fftconvolve", "oaconvolve")


# --- shapes --------------------------------------------------------------------------------------

HUGE = ((2**31, 2**31), (1, 2**62), (2**62, 1), (2**40, 2**20))
REFUSED = pytest.raises((ValueError, MemoryError))


def repeated(shape, dtype):
    """One element that seems to be many."""
    return np.broadcast_to(np.ones((), dtype), shape)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [*itertools.product(HUGE, "b"), *itertools.product([(2**29, 2**29), (2**26, 2**26)], "bhlfdF")],
    ids=str,
)
def test_images_that_nothing_has_room_for_are_refused_at_once(shape, dtype):
    image = repeated(shape, dtype)
    kernel = np.ones([min(3, n) for n in shape], dtype)
    for (name, mode, boundary), method in itertools.product(CALLS, METHODS):
        with REFUSED:
            getattr(fastconv, name)(image, kernel, mode, boundary, method=method)
        if mode != "valid":
            with REFUSED:
                getattr(fastconv, name)(image, image, mode, boundary, method=method)
            with REFUSED:
                getattr(fastconv, name)(kernel, image, "full", boundary, method=method)
    for name, mode in itertools.product(OTHERS, ("full", "same", "valid")):
        with REFUSED:
            getattr(fastconv, name)(image, kernel, mode)
        with REFUSED:
            getattr(fastconv, name)(image, image, "full")
    with REFUSED:
        fastconv.sepfir2d(image, [1], [1])
    with REFUSED:
        fastconv.plan(kernel, shape, dtype)(image)
    assert "x" in str(fastconv.explain(image, kernel))


@pytest.mark.parametrize("shape", [(2**63 - 1, 1), (1, 2**63 - 1)])
def test_results_longer_than_any_axis_are_refused_at_once(shape):
    image, kernel = repeated(shape, "b"), np.ones((9, 9), "b")
    for method in METHODS:
        with pytest.raises(ValueError, match="dimension"):
            fastconv.convolve2d(image, kernel, method=method)
    with pytest.raises(ValueError, match="dimension"):
        fastconv.plan(kernel, shape, "b")
    for name in OTHERS:
        with REFUSED:
            getattr(fastconv, name)(image, kernel)
        with REFUSED:
            fastconv.explain(image, kernel, function=name)


@pytest.mark.parametrize(
    ("length", "words"), [(2**50, "such a length"), (2**49, "bytes of scratch")]
)
def test_kernels_that_there_is_no_scratch_memory_for_are_refused(length, words):
    line = repeated((1, length), "b")
    for each in (line, line.T):
        with pytest.raises(MemoryError, match=words):
            fastconv.convolve2d(each, each, "valid")


@pytest.mark.parametrize("dtype", "bdD")
@pytest.mark.parametrize("shape", [(2**58,), (2**20, 2**20, 2**18), (2**14,) * 4], ids=repr)
def test_other_dimensions_that_nothing_has_room_for_are_refused_at_once(shape, dtype):
    image = repeated(shape, dtype)
    kernel = np.ones((3,) * len(shape), dtype)
    for name, mode in itertools.product(OTHERS, ("full", "same", "valid")):
        with REFUSED:
            getattr(fastconv, name)(image, kernel, mode)
        if mode != "valid":
            with REFUSED:
                getattr(fastconv, name)(image, image, mode)
    if len(shape) > 2:
        with REFUSED:
            fastconv.convolve2d(image, kernel[0, 0] if len(shape) == 4 else kernel[0], axes=(0, 1))


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_lags_that_nothing_has_room_for_are_refused_at_once(mode):
    for lengths in ((2**62, 2**62), (2**62, 1), (2**63, 2**63), (2**100, 1)):
        if mode != "valid" or lengths[1] == 1:
            with REFUSED:
                fastconv.correlation_lags(*lengths, mode)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_kernel_may_be_far_larger_than_the_image(function, boundary):
    rng = np.random.default_rng(1)
    for dtype, shape in itertools.product("qd", ((3, 4), (1, 5), (2, 1), (1, 1))):
        image = rng.integers(-9, 10, shape).astype(dtype)
        kernel = rng.integers(-9, 10, (301, 407)).astype(dtype)
        pad = {"fill": "constant", "wrap": "wrap", "symm": "symmetric"}[boundary]
        extended = np.pad(image, ((150, 150), (203, 203)), pad)
        taps = kernel if function == "correlate2d" else kernel[::-1, ::-1]
        windows = np.lib.stride_tricks.sliding_window_view(extended, kernel.shape)
        expected = np.einsum("yxij,ij->yx", windows, taps)
        for method in ("auto", "direct", "fft"):
            y = getattr(fastconv, function)(image, kernel, "same", boundary, method=method)
            # By transform, exact numbers below 2**24 are off by rounding alone.
            assert (np.rint(y) == expected).all()


def test_a_row_of_ten_million():
    row = np.arange(10**7, dtype="q") % 1000
    for kernel in (np.array([1, 2, 3]), np.arange(100)):
        expected = np.convolve(row, kernel)
        assert (fastconv.convolve(row, kernel) == expected).all()
        assert (fastconv.convolve2d(row[None], kernel[None])[0] == expected).all()
        assert (fastconv.convolve2d(row[:, None], kernel[:, None])[:, 0] == expected).all()


@SLOW
@pytest.mark.parametrize("method", ["direct", "separable", "fft"])
@pytest.mark.parametrize(
    "shape", [(2**16 + 5, 2**15 + 3), (3, 716_000_000), (716_000_000, 3)], ids=repr
)
def test_more_than_two_to_the_31_elements(shape, method):
    image = np.resize(np.arange(251, dtype="b"), shape)
    assert image.size > 2**31
    image[-9:] = 7
    kernel = np.multiply.outer([1, 2, 3], [3, -1, 2]).astype("b")
    y = fastconv.convolve2d(image, kernel, "same", method=method)
    assert y.shape == shape
    for rows, inner in ((slice(0, 6), slice(0, 4)), (slice(-6, None), slice(-4, None))):
        expected = fastconv.convolve2d(image[rows, :9], kernel, "same", method="direct")
        assert (y[inner, :8] == expected[inner, :8]).all()
        expected = fastconv.convolve2d(image[rows, -9:], kernel, "same", method="direct")
        assert (y[inner, -2:] == expected[inner, -2:]).all()


# --- inputs that change, and races ---------------------------------------------------------------


@pytest.mark.parametrize("method", ["direct", "separable", "certified", "fft"])
def test_inputs_may_change_during_the_call(method):
    rng = np.random.default_rng(2)
    values = np.array([0, 1, -1, np.nan, np.inf, 1e38, 1e-45], "f")
    image, kernel = np.ones((300, 400), "f"), np.ones((9, 9), "f")
    stop = threading.Event()

    def write():
        while not stop.is_set():
            image[...] = rng.choice(values, image.shape)
            kernel[...] = rng.choice(values)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with np.errstate(all="ignore"):
            for boundary in ("fill", "wrap", "symm") * 5:
                # Whether the kernel is of rank one may have changed, too.
                with contextlib.suppress(ValueError):
                    y = fastconv.convolve2d(image, kernel, "full", boundary, method=method)
                    assert y.shape == (308, 408)
    finally:
        stop.set()
        thread.join()


def jobs():
    """Calls of all kinds."""
    rng = np.random.default_rng(3)
    for index in range(64):
        dtype = "BhiLfdgFD"[index % 9]
        shape, size = rng.integers(20, 200, 2), rng.integers(1, 12, 2)
        image, kernel = numbers(rng, shape, dtype), numbers(rng, size, dtype)
        function, mode, boundary = CALLS[index % len(CALLS)]
        method = ("direct", "fft", "auto")[index % 3] if dtype != "g" else "direct"
        yield lambda a=(function, image, kernel, mode, boundary, method): getattr(fastconv, a[0])(
            *a[1:5], method=a[5], workers=2
        )
        name = OTHERS[index % 4]
        yield lambda a=(name, image, kernel): getattr(fastconv, a[0])(*a[1:])
        line = image[0], kernel[:, 0]
        yield lambda a=(name, *line): getattr(fastconv, a[0])(*a[1:])
        room = numbers(rng, (5, 9, 20), dtype), numbers(rng, (2, 3, 4), dtype)
        yield lambda a=(name, *room): getattr(fastconv, a[0])(*a[1:])
        if dtype not in "gG":
            box = np.ones(size, image.real.dtype)
            yield lambda a=(image, box): fastconv.convolve2d(*a, "same", method="separable")


def test_32_threads_with_calls_of_all_kinds_get_their_own_answers():
    calls = list(jobs())
    expected = [call() for call in calls]
    order = np.random.default_rng(4).permutation(np.repeat(np.arange(len(calls)), 4))
    with ThreadPoolExecutor(32) as pool:
        results = list(pool.map(lambda index: calls[index](), order))
    for index, y in zip(order, results, strict=True):
        assert same_bits(y, expected[index])


FIRST = """
import sys, threading
sys.setswitchinterval(1e-6)
import numpy as np, fastconv

THREADS = 32
barrier = threading.Barrier(THREADS)
image, kernel = np.arange(40000).reshape(200, 200) % 7, np.arange(81).reshape(9, 9) % 5
right = []

def work(index):
    dtype = "bhilfdgFD"[index % 9]
    method = ("direct", "fft", "separable")[index % 3]
    a, b = image.astype(dtype), (kernel if method != "separable" else kernel // 9).astype(dtype)
    if method == "separable":
        b[...] = 1
    barrier.wait()
    y = fastconv.convolve2d(a, b, "same", method=method, workers=2)
    z = fastconv.convolve2d(a, b, "same", method="direct", workers=1)
    right.append(np.allclose(y, z, rtol=1e-4, atol=1e-2))

threads = [threading.Thread(target=work, args=(index,)) for index in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(right), all(right))
"""


def test_32_threads_may_be_the_first_to_use_every_engine():
    for _ in range(3):
        assert python("-c", FIRST) == (0, "32 True\n", "")


# --- ways to run Python --------------------------------------------------------------------------


def least_stack():
    """64 KiB, or what the system asks for at least."""
    try:
        return max(1 << 16, os.sysconf("SC_THREAD_STACK_MIN"))
    except (AttributeError, ValueError):
        return 1 << 16


STACK = least_stack()
SCRIPT = """
import threading
import numpy as np, fastconv

rng = np.random.default_rng(1)

def work():
    for dtype in "bhilfdgFD":
        image = rng.integers(-9, 10, (150, 200)).astype(dtype)
        kernel = rng.integers(-9, 10, (9, 12)).astype(dtype)
        y = fastconv.convolve2d(image, kernel, "same", "wrap")
        for method in ("direct", "fft"):
            z = fastconv.convolve2d(image, kernel, "same", "wrap", method=method, workers=3)
            # Of numbers that small, float32 has all digits of a direct sum.
            assert np.abs(y - z).max() <= (method == "fft") * 0.01 or dtype in "bhil"
        fastconv.convolve2d(image, np.ones((9, 9), dtype), method="separable")
        fastconv.convolve(image[0], kernel[0])
        fastconv.fftconvolve(image.reshape(3, 50, 200), kernel.reshape(3, 3, 12))
        fastconv.correlate(image, kernel)
    fastconv.sepfir2d(image, [1, 2, 1], [1, 2, 1])
    fastconv.plan(kernel, (150, 200), "d")(image.real.astype("d"))
    str(fastconv.explain(image, kernel))
    done.append(True)

done = []
work()
threading.stack_size(STACK)
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(done))
"""


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        ("", {"OMP_STACKSIZE": f"{STACK}B"}),
        ("-W error", {}),
        ("-X dev", {}),
        ("-O", {}),
        ("-OO", {}),
        ("-I", {}),
        ("-bb", {}),
        ("", {"PYTHONMALLOC": "debug"}),
        pytest.param(
            "",
            {"PYTHONMALLOC": "malloc", "MALLOC_PERTURB_": "165", "MALLOC_CHECK_": "3"},
            marks=pytest.mark.skipif(FREE_THREADED, reason="it has its own memory only"),
        ),
    ],
    ids=str,
)
def test_stacks_of_64_kib_and_other_ways_to_run_python(options, environment):
    first, last = (str(Path(module.__file__).parents[1]) for module in (fastconv, np))
    path = f"import sys; sys.path = [{first!r}, *sys.path, {last!r}]\n"
    path += f"STACK = {STACK}\n"
    assert python(*options.split(), "-c", path + SCRIPT, **environment) == (0, "4\n", "")


# --- calls without end ---------------------------------------------------------------------------


def of_the_process():
    """Memory pages, threads and files."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages, *(len(list(Path("/proc/self", name).iterdir())) for name in ("task", "fd"))


def many(calls):
    """Calls that work, and calls that fail, a quarter of them."""
    small, kernel = np.ones((12, 12), "f"), np.ones((3, 3), "f")
    image, line = np.ones((64, 64)), np.ones(300)
    nan = np.full((20, 20), np.nan)
    room = np.ones((4, 5, 6))
    out = np.empty((12, 12), "f")
    taps = np.arange(25.0).reshape(5, 5)
    plan = fastconv.plan(taps, (64, 64), "d", method="fft")
    for _ in range(calls // 20):
        for workers in (1, 2):
            fastconv.convolve2d(small, kernel, "same", out=out, workers=workers)
            fastconv.correlate2d(small, kernel, "full", "symm", workers=workers)
            fastconv.convolve2d(small, kernel, method="separable", workers=workers)
        fastconv.convolve2d(image, taps, "same", method="fft")
        fastconv.convolve2d(nan, taps, "same", method="fft")
        fastconv.convolve(line, line[:30])
        fastconv.fftconvolve(room, room[:2, :2, :2])
        fastconv.sepfir2d(small, [1.0], [1.0])
        plan(image)
        fastconv.convolve2d(small.astype("i"), kernel.astype("l"), axes=(0, 1))
        fastconv.correlation_lags(10, 3)
        fastconv.choose_conv_method(line, line)
        for wrong in (
            lambda: fastconv.convolve2d(small, kernel, "none"),
            lambda: fastconv.convolve2d(small, kernel, out=out),
            lambda: fastconv.convolve2d(small, taps, method="separable"),
            lambda: fastconv.convolve(small, line),
            lambda: fastconv.convolve2d(repeated((2**31, 2**31), "b"), small),
        ):
            with pytest.raises((ValueError, TypeError, MemoryError)):
                wrong()


@LINUX
@pytest.mark.parametrize(
    ("dtype", "method"), [("d", "fft"), ("f", "auto"), ("h", "auto"), ("D", "fft")]
)
def test_memory_of_kernels_and_tiles_is_given_back(dtype, method):
    rng = np.random.default_rng(1)
    image, taps = (rng.integers(-9, 10, (n, n)).astype(dtype) for n in (512, 257))

    def call(times):
        for _ in range(times):
            fastconv.convolve2d(image, taps, "same", method=method)
            fastconv.plan(taps, image.shape, dtype, method=method)
        return of_the_process()[0] * os.sysconf("SC_PAGESIZE")

    before = call(3)
    # The least that is kept of a kernel, of one in five.
    assert call(20) - before < 4 * taps.size * 8


@LINUX
def test_calls_without_end_leave_nothing_behind():
    n = 10**6 if "FASTCONV_SLOW" in os.environ else 10**5
    many(n // 10)
    pages, *before = of_the_process()
    many(n // 2)
    more, *after = of_the_process()
    assert after == before
    # 64 bytes of each call would be more.
    assert (more - pages) * os.sysconf("SC_PAGESIZE") < 64 * n // 2
    tracemalloc.start()
    many(1000)
    size = tracemalloc.get_traced_memory()[0]
    objects = sys.getallocatedblocks()
    many(2000)
    assert tracemalloc.get_traced_memory()[0] - size < 16 * 2000
    assert sys.getallocatedblocks() - objects < 2000 // 4
    tracemalloc.stop()
