"""Processes: forked while threads compute, of any start method, and ended during a call."""

import multiprocessing
import os

import pytest
from process import printed, python

FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

PREPARE = """
import multiprocessing, os, threading, time
import numpy as np, fastconv

rng = np.random.default_rng(1)
image, kernel = rng.random((500, 500)), rng.random((9, 9))
ENGINES = "direct", "fft", "separable"
taps = {"direct": kernel, "fft": kernel, "separable": np.ones((9, 9))}

def call(engine):
    return fastconv.convolve2d(image, taps[engine], method=engine, workers=2)

expected = {engine: call(engine) for engine in ENGINES}

def right():
    return all((call(engine) == expected[engine]).all() for engine in ENGINES)

def forked(work):
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    os._exit(0 if work() else 1)

def compute_for_ever():
    while True:
        right()

def start(n):
    for _ in range(n):
        threading.Thread(target=compute_for_ever, daemon=True).start()
    time.sleep(0.1)
"""


@FORK
def test_a_child_of_a_child_of_a_child_computes():
    script = "print(forked(lambda: forked(lambda: forked(right) and right()) and right()), right())"
    assert printed("-c", PREPARE + script) == "True True\n"


@FORK
def test_a_child_forked_while_other_threads_compute_computes_too():
    script = "start(2); print([forked(right) for _ in range(10)], right())"
    assert printed("-c", PREPARE + script) == f"{[True] * 10} True\n"


@FORK
def test_a_child_forked_by_a_thread_that_computes_has_one_thread_and_computes():
    script = """
def fork():
    results.append(right() and forked(right) and right())

results = []
start(1)
threads = [threading.Thread(target=fork) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(results)
"""
    assert printed("-c", PREPARE + script) == "[True, True, True, True]\n"


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.parametrize("busy", [0, 1], ids=["quiet", "busy"])
def test_a_pool_of_any_kind_computes(method, busy):
    script = f"""
start({busy})
with multiprocessing.get_context("{method}").Pool(2) as pool:
    results = [pool.apply_async(fastconv.convolve2d, (image, kernel)) for _ in range(8)]
    print(all((result.get() == expected["direct"]).all() for result in results))
"""
    assert printed("-c", PREPARE + script) == "True\n"


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "os._exit(3)", "raise SystemExit(3)"])
def test_a_process_ends_while_threads_compute(end):
    for _ in range(3):
        script = f"import sys; start(3); print('end', flush=True); {end}"
        assert python("-c", PREPARE + script) == (3 if end else 0, "end\n", "")
