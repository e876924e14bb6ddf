"""
Threads: any number gives the same bits, the defaults are scipy.fft's, and the GIL is released.
"""

import contextvars
import os
import sysconfig
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.fft
from cases import BOUNDARIES, CALLS, FUNCTIONS, WORDS, numbers, same_bits
from process import printed

import fastconv

WORKERS = (1, 2, 3, 7)


@pytest.mark.parametrize("dtype", WORDS)
@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS[::2])
def test_any_number_of_workers_gives_the_same_bits(function, mode, boundary, dtype):
    rng = np.random.default_rng(1)
    for image_shape, kernel_shape in (
        ((300, 130), (9, 8)),
        ((1, 20000), (1, 33)),
        ((9000, 2), (40, 1)),
        ((90, 700), (1, 1)),
        ((5, 5), (3, 3)),
    ):
        image, kernel = numbers(rng, image_shape, dtype), numbers(rng, kernel_shape, dtype)
        if dtype == "g":  # has no vectors, and takes its time
            image = image[:100, :2000]
        one, *others = (
            getattr(fastconv, function)(image, kernel, mode, boundary, 1, workers=workers)
            for workers in WORKERS
        )
        for other in others:
            assert same_bits(other, one)


@pytest.mark.parametrize("dtype", "BLfdFD")
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_results_are_repeatable_to_the_bit(boundary, dtype):
    rng = np.random.default_rng(2)
    image, kernel = numbers(rng, (200, 333), dtype), numbers(rng, (5, 7), dtype)
    first = fastconv.convolve2d(image, kernel, "same", boundary, workers=3)
    for _ in range(10):
        again = fastconv.convolve2d(image, kernel, "same", boundary, workers=3)
        assert same_bits(again, first)


# Image and kernel: one tile, of few and of many blocks; a line; a few tiles, and many; two that
# take long.
TILES = (((250, 300), (150, 99)), ((330, 220), (90, 99)), ((1, 60000), (1, 30001)))
TILES += (((5, 190, 190), (1, 99, 99)), ((40, 130, 130), (1, 61, 61)))
TILES += (((2, 900, 900), (1, 400, 400)),)


@pytest.mark.parametrize("dtype", "fdFD")
@pytest.mark.parametrize("shapes", TILES, ids=str)
def test_threads_share_tiles_or_have_their_own_and_give_the_same_bits(shapes, dtype):
    rng = np.random.default_rng(3)
    image, kernel = (numbers(rng, shape, dtype) for shape in shapes)
    axes = (0, 1) if image.ndim == 2 else (1, 2)
    one, *others = (
        fastconv.convolve2d(image, kernel, "same", "symm", method="fft", axes=axes, workers=workers)
        for workers in (1, 2, 3, 7, 8)
    )
    for other in others:
        assert same_bits(other, one)


@pytest.mark.skipif("FASTCONV_SLOW" not in os.environ, reason="FASTCONV_SLOW is not set")
@pytest.mark.parametrize(
    "shapes", [((1, 90_000_001), (1, 30_000_000)), ((9001, 5001), (3000, 2999))]
)
def test_threads_share_large_tiles_and_give_the_same_bits(shapes):
    rng = np.random.default_rng(4)
    image, kernel = (numbers(rng, shape, "f") for shape in shapes)
    one, three = (
        fastconv.convolve2d(image, kernel, "same", method="fft", workers=workers)
        for workers in (1, 3)
    )
    assert same_bits(one, three)


# --- the number of workers -----------------------------------------------------------------------


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("workers", [-1, 1, 2, 1000, np.int64(2), True, 2**40], ids=repr)
def test_integers_are_numbers_of_workers(function, workers):
    y = getattr(fastconv, function)(np.ones((4, 5)), np.ones((2, 2)), workers=workers)
    assert y.shape == (5, 6)


def refusal(call, *args, **kwargs):
    """Type and words of what a call raises, with the number of processors left out."""
    with pytest.raises((TypeError, ValueError)) as raised:
        call(*args, **kwargs)
    return raised.type, str(raised.value).rpartition("less than")[0] or str(raised.value)


@pytest.mark.parametrize("workers", [0, -1000000, 1.0, 2.5, "2", [1], 1j, np.float64(1)], ids=repr)
def test_other_numbers_of_workers_are_refused_in_scipys_words(workers):
    with pytest.raises((TypeError, ValueError)) as theirs, scipy.fft.set_workers(workers):
        pass
    words = str(theirs.value).rpartition("less than")[0] or str(theirs.value)
    image, kernel = np.ones((4, 5)), np.ones((2, 2))
    assert refusal(fastconv.set_workers, workers) == (theirs.type, words)
    for function in FUNCTIONS:
        call = getattr(fastconv, function)
        assert refusal(call, image, kernel, workers=workers) == (theirs.type, words)


def test_none_means_the_default_for_a_call_and_nothing_for_set_workers():
    fastconv.convolve2d(np.ones((4, 5)), np.ones((2, 2)), workers=None)
    with pytest.raises(TypeError), scipy.fft.set_workers(None):
        pass
    with pytest.raises(TypeError):
        fastconv.set_workers(None)


@pytest.mark.usefixtures("processors_of_the_machine")
def test_negative_numbers_count_back_from_all_processors():
    with fastconv.set_workers(-1):
        processors = fastconv.get_workers()
    assert 1 <= processors <= os.cpu_count()
    with fastconv.set_workers(-processors):
        assert fastconv.get_workers() == 1
    with pytest.raises(ValueError, match=rf"got {-processors - 1}, .* less than -{processors}$"):
        fastconv.set_workers(-processors - 1)


def scenario(module):
    """What get_workers() says at every turn; each number but the defaults."""
    seen = []
    default = module.get_workers()

    def look():
        n = module.get_workers()
        seen.append("default" if n == default else n)

    look()
    with module.set_workers(default + 1) as value:
        seen.append(value)
        look()
        with module.set_workers(default + 2):
            look()
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
        look()
        try:
            with module.set_workers(default + 3):
                raise KeyError
        except KeyError:
            look()
        try:
            with module.set_workers(0):
                look()
        except ValueError:
            look()
    look()
    return [n if isinstance(n, (str, type(None))) else n - default for n in seen]


def test_set_workers_holds_where_scipys_does():
    assert scenario(fastconv) == scenario(scipy.fft)
    assert scenario(fastconv) == ["default", None, 1, 2, "default", 1, 1, 1, "default"]


def test_set_workers_also_holds_when_called_plainly():
    before = fastconv.get_workers()

    def scenario():
        fastconv.set_workers(before + 1)
        assert fastconv.get_workers() == before + 1
        with fastconv.set_workers(before + 2):
            assert fastconv.get_workers() == before + 2
        assert fastconv.get_workers() == before + 1

    contextvars.copy_context().run(scenario)
    assert fastconv.get_workers() == before


# --- threads of the caller -----------------------------------------------------------------------


def test_calls_from_many_python_threads_do_not_disturb_each_other():
    rng = np.random.default_rng(3)
    jobs = []
    for index in range(64):
        dtype = "BHILfdFD"[index % 8]
        function, mode, boundary = CALLS[index % len(CALLS)]
        shape = tuple(rng.integers(9, 150, 2).tolist())
        jobs.append(
            (function, numbers(rng, shape, dtype), numbers(rng, (5, 4), dtype), mode, boundary)
        )

    def run(job, workers):
        function, *args = job
        return getattr(fastconv, function)(*args, workers=workers)

    expected = [run(job, 1) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        for workers in (1, 2, 3):
            for y, its in zip(pool.map(run, jobs * 4, [workers] * 256), expected * 4, strict=True):
                assert same_bits(y, its)


def runs_during_a_call(dtype):
    """Tell whether this thread was seen to run in the middle of a call in another one."""
    image, kernel = np.ones((1500, 1500), dtype), np.ones((31, 31), dtype)
    span, seen = [], []

    def work():
        span.append(time.monotonic())
        fastconv.convolve2d(image, kernel, "valid", workers=1)
        span.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        seen.append(time.monotonic())
        time.sleep(0.0001)
    begin, end = span
    # The GIL is free for a moment around any call, so only the middle counts.
    quarter = (end - begin) / 4
    return any(begin + quarter < moment < end - quarter for moment in seen)


@pytest.mark.parametrize("dtype", "BLfdD")
def test_the_gil_is_released(dtype):
    # Were it held, none of the attempts could succeed; on a busy machine one of them may fail.
    assert any(runs_during_a_call(dtype) for _ in range(100))


FORK = """
import multiprocessing, os, sys
import numpy as np, fastconv

image, kernel = np.arange(90000.0).reshape(300, 300), np.ones((9, 9))
expected = fastconv.convolve2d(image, kernel, workers=2)

def same(_):
    return bool((fastconv.convolve2d(image, kernel, workers=2) == expected).all())

child = os.fork()
if child == 0:
    os._exit(0 if same(0) else 1)
assert os.waitpid(child, 0)[1] == 0
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(same, range(4)) == [True] * 4
assert same(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_process_forked_after_use_computes_too():
    # GCC's OpenMP runtime waits for threads that a child does not have.
    printed("-c", FORK)


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this interpreter has a lock anyway"
)
def test_no_module_brings_the_global_lock_back():
    script = """
import sys
import numpy as np
from fastconv import _dispatch
for word in ("f32", "f64"):
    _dispatch.engine_for("fft", word)
for char in _dispatch.SUPPORTED:
    _dispatch.engine_for("direct", _dispatch.word_of(np.dtype(char)))
print(sys._is_gil_enabled())
"""
    assert printed("-W", "error", "-c", script) == "False\n"
