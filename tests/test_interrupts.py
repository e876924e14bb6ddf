"""
Signals during a call: Ctrl-C ends it, a handler runs and it goes on.

Every call here would take minutes. The images have one row in memory, repeated; of the output, only
what was computed is touched.
"""

import os
import sys

import pytest
from process import printed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no timers that send signals")

PREPARE = """
import signal, threading, time
import numpy as np, fastconv

rng = np.random.default_rng(1)

def image(*shape, dtype="d", factor=1):
    row = rng.integers(-9, 10, shape[-1] if len(shape) > 1 else 1).astype(dtype)
    return np.broadcast_to(row * factor, shape)

def kernel(*shape, dtype="d"):
    return rng.integers(-9, 10, shape).astype(dtype)

def interrupt(handler=signal.default_int_handler, interval=0):
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.3, interval)
"""

# A call of every engine, most of them of minutes.
CALLS = {
    "direct": "fastconv.convolve2d(image(16384, 16384), kernel(255, 255), method='direct')",
    "direct, one thread": "fastconv.correlate2d(image(16384, 16384), kernel(255, 255), "
    "method='direct', workers=1)",
    "direct, complex": "fastconv.convolve2d(image(16384, 16384, dtype='D'), "
    "kernel(99, 99) * 1j, method='direct')",
    "direct, integers": "fastconv.convolve2d(image(16384, 16384, dtype='q'), "
    "kernel(255, 255, dtype='q'), method='direct')",
    "direct, long double": "fastconv.convolve2d(image(16384, 16384, dtype='g'), "
    "kernel(255, 255, dtype='g'))",
    "direct, a kernel of a million taps": "fastconv.convolve2d(image(16384, 16384), "
    "kernel(1024, 1024), 'valid', method='direct')",
    "direct, a kernel of a long row": "fastconv.convolve2d(image(1, 10**6), kernel(1, 5 * 10**7), "
    "'same', 'wrap', method='direct')",
    "direct, a line": "fastconv.convolve(image(10**8), kernel(10**5), method='direct')",
    "separable": "fastconv.convolve2d(image(65536, 65536, dtype='f'), np.ones((63, 63), 'f'))",
    "certified": "fastconv.convolve2d(image(65536, 65536, dtype='f'), kernel(65, 65, dtype='f'))",
    "fft": "fastconv.convolve2d(image(65536, 32768), kernel(255, 255), method='fft')",
    "fft, one thread": "fastconv.fftconvolve(image(65536, 32768), kernel(255, 255), workers=1)",
    "fft, large tiles": "fastconv.fftconvolve(image(32768, 32768), kernel(4000, 4000))",
    "fft, a line": "fastconv.fftconvolve(image(2 * 10**9), kernel(300000))",
    "sums of what transforms leave": "fastconv.fftconvolve(image(16384, 16384, factor=np.nan), "
    "kernel(255, 255))",
    "a stack": "fastconv.convolve2d(image(1000, 1024, 1024), kernel(1, 33, 33), axes=(1, 2))",
    "three dimensions": "fastconv.convolve(image(2000, 512, 512), kernel(9, 33, 33), "
    "method='direct')",
    "three dimensions, by SciPy": "fastconv.fftconvolve(image(250, 250, 250), "
    "kernel(250, 250, 250))",
    "a line of long double, by SciPy": "fastconv.fftconvolve(image(4 * 10**7, dtype='g'), "
    "kernel(10**7, dtype='g'))",
    "short lines that become long ones, by SciPy": "fastconv._fftn._along(1, lambda a, **how: "
    "__import__('scipy.fft').fft.rfft(a, 4 * 10**7, **how), kernel(8, 30000, dtype='g'), "
    "np.empty((8, 2 * 10**7 + 1), 'G'), 2)",
    "the ends of a line with an Inf": "fastconv._nd._redo_ends(kernel(2 * 10**6), "
    "kernel(2 * 10**6) + np.inf, 0, np.zeros(4 * 10**6 - 1), 2)",
    "a plan": "fastconv.plan(kernel(33, 33), (1024, 1024), 'd')(image(1000, 1024, 1024))",
    "the transform of a kernel": "[fastconv.plan(kernel(4000, 4000), (8192, 8192), 'd', "
    "method='fft') for _ in range(1000)]",
    "conversion": "fastconv.convolve2d(np.ones((65536, 8192), 'b'), kernel(99, 99))",
}


def run(script):
    # A call that does not listen takes minutes, and the interrupt comes at its end.
    return printed("-c", PREPARE + script, timeout=30)


@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_ends_a_call(name):
    # Python ignores exceptions in what it calls back when an import ends.
    ready, end = "", ""
    if "SciPy" in name:
        ready, end = "import os, sys, scipy.fft", "sys.stdout.flush(); os._exit(0)"
    script = f"""
{ready}
small, taps = kernel(200, 300), kernel(5, 5)
expected = fastconv.convolve2d(small, taps)
try:
    interrupt()
    {CALLS[name]}
except KeyboardInterrupt as error:
    print("interrupted", error)
else:
    print("not interrupted")
assert (fastconv.convolve2d(small, taps) == expected).all()
{end}
"""
    assert run(script) == "interrupted \n"


# What an engine does first takes longer than it waits to look for signals.
FIRST = {
    "tables": "fastconv.convolve2d(ones(1, 10**6), ones(1, 3 * 10**7), 'same', 'symm', "
    "method='direct')",
    "taps": "fastconv.convolve2d(ones(1, 4 * 10**7 + 9), ones(1, 4 * 10**7), 'valid', "
    "method='direct')",
    "rows": "fastconv.convolve2d(ones(64, 3 * 10**6), kernel(1, 10**6), 'valid', "
    "method='direct', workers=1)",
    "tables of a transform": "fastconv.convolve2d(ones(1, 10**6), np.ones((1, 4 * 10**6)), 'same', "
    "'symm', method='fft')",
}


@pytest.mark.parametrize("call", FIRST.values(), ids=FIRST)
def test_an_interrupt_ends_what_comes_before_the_sums(call):
    script = f"""
def ones(*shape):
    return np.broadcast_to(1.0, shape)

def in_the_engine(number, frame):
    if frame.f_code.co_name == "run":
        raise KeyboardInterrupt

signal.signal(signal.SIGALRM, in_the_engine)
signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
try:
    {call}
except KeyboardInterrupt as error:
    signal.setitimer(signal.ITIMER_REAL, 0)
    print("interrupted", error)
"""
    assert run(script) == "interrupted \n"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_transform_of_few_long_rows_hears_signals_all_the_time(workers):
    # A tile is 4 to 16 rows, and each of its passes takes long.
    script = f"""
heard = 0

def handler(number, frame):
    global heard
    heard += frame.f_code.co_name == "run"

a, b = kernel(3, 10**6), kernel(3, 10**6)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
fastconv.convolve2d(a, b, method="fft", workers={workers})
signal.setitimer(signal.ITIMER_REAL, 0)
print("heard" if heard > 10 else heard)
"""
    assert run(script) == "heard\n"


# Two arrays, and how: what parts of a call do that take long with few arrays only.
ANYWHERE = {
    "long rows": "kernel(3, 200000), kernel(3, 200000), 'same', method='fft'",
    "long columns": "kernel(200000, 3), kernel(200000, 3), 'same', method='fft'",
    "outputs that are scaled": "kernel(1, 10**6) * 1e-200, kernel(1, 10**6) * 1e-100, method='fft'",
    "tiles of zeros": "np.zeros((4000, 10000)), kernel(40, 40), 'same', method='fft'",
    "a large kernel": "kernel(1600, 1600), kernel(1500, 1500) * 1e-200, 'valid', method='fft'",
    "rows that are gathered": "np.broadcast_to(1.0, (1, 4 * 10**6 + 9)), kernel(1, 4 * 10**6), "
    "'valid', method='direct'",
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("arguments", ANYWHERE.values(), ids=ANYWHERE)
def test_after_an_interrupt_at_any_time_the_next_result_is_right(arguments, workers):
    script = f"""
from functools import partial

def handler(number, frame):
    if armed:
        armed.clear()
        raise KeyboardInterrupt

call = partial(fastconv.convolve2d, {arguments}, workers={workers})
armed, ended = [], 0
expected = call()
took = []
for _ in range(4):  # the system clears memory for the first
    start = time.perf_counter()
    call()
    took.append(time.perf_counter() - start)
signal.signal(signal.SIGALRM, handler)
for i in range(30):
    try:
        armed.append(True)
        part = 1 - ((i + 0.5) / 30) ** 2  # mostly late: outputs come last
        signal.setitimer(signal.ITIMER_REAL, min(took) * part)
        call()
        armed.clear()
    except KeyboardInterrupt:
        ended += 1
    if i % 10 == 9:
        assert (call() == expected).all()
print("interrupted" if ended > 2 else ended)
"""
    assert run(script) == "interrupted\n"


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_steps_of_a_large_tile_are_interrupted(workers):
    script = f"""
planned = fastconv.plan(kernel(3, 10**6), (3, 10**6), "d", method="fft")
small, taps = kernel(200, 300), kernel(5, 5)
expected = fastconv.convolve2d(small, taps, method="fft")
rows, ended = image(3, 10**6), 0
out = np.empty((5, 2 * 10**6 - 1))
signal.signal(signal.SIGALRM, signal.default_int_handler)
for i in range(16):
    out.fill(np.nan)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01 * 1.3**i)
        planned(rows, out=out, workers={workers})
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        ended += np.isnan(out).any()
assert (fastconv.convolve2d(small, taps, method="fft") == expected).all()
print("interrupted" if ended > 2 else ended)
"""
    assert run(script) == "interrupted\n"


def test_a_process_ends_well_while_a_thread_is_in_scipys_transform():
    script = """
import scipy.fft
try:
    interrupt()
    fastconv._fftn._along(1, lambda a, **how: scipy.fft.rfft(a, 10**7, **how),
        kernel(2, 30000, dtype='g'), np.empty((2, 5 * 10**6 + 1), 'G'), 2)
except KeyboardInterrupt:
    print("interrupted", len(fastconv._fftn._running))
if os.fork() == 0:
    sys.exit()
os.wait()
"""
    # What is registered first is called last.
    last = """
import atexit, os, sys
atexit.register(lambda: print("left", len(fastconv._fftn._running), flush=True))
"""
    output = printed("-c", last + PREPARE + script, timeout=60)
    assert output == "interrupted 2\nleft 0\nleft 0\n"


def test_what_a_handler_raises_comes_out_of_the_call():
    script = """
class Enough(Exception):
    pass

def handler(number, frame):
    raise Enough(number)

try:
    interrupt(handler)
    fastconv.convolve2d(image(16384, 16384), kernel(255, 255), method="direct")
except Enough as error:
    print(error.args[0] == signal.SIGALRM)
"""
    assert run(script) == "True\n"


@pytest.mark.parametrize("method", ["direct", "fft"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_handler_runs_and_the_call_goes_on(method, workers):
    script = f"""
def call(x):
    start = time.monotonic()
    y = fastconv.convolve2d(x, w, method="{method}", workers={workers})
    return y, time.monotonic() - start

def handler(number, frame):
    ran.append(time.monotonic())
    # Engines may be called from a handler, too.
    assert (fastconv.convolve2d(few, w, method="{method}") == small).all()

ran = []
x, w = image(1 << 20, 1024), kernel(33, 33)
few = x[:2, :70]
call(few)
small, seconds = call(few)
interval = max(0.1, 5 * seconds)  # or the next signal would come before the handler is done
n = 256
expected, seconds = call(x[:n])
while min(seconds, call(x[:n])[1]) < 8 * interval:  # one may be late: memory is fresh
    n *= 2
    expected, seconds = call(x[:n])
for _ in range(4):  # a call may take a third of the time that it took before
    ran.clear()
    interrupt(handler, interval)
    start = time.monotonic()
    y, _ = call(x[:n])
    end = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0)
    # If they ran at its end, they ran once: signals of a kind do not queue.
    heard = len([t for t in ran if start < t < end])
    if heard > 1:
        break
print(heard > 1, (y == expected).all())
"""
    assert run(script) == "True True\n"


def test_calls_of_other_threads_are_not_interrupted():
    script = """
x, w = rng.random((1024, 1024)), kernel(65, 65)
expected = fastconv.convolve2d(x, w, method="fft")
results = []

def work():
    while not results or time.monotonic() < end:
        results.append((fastconv.convolve2d(x, w, method="fft") == expected).all())

end = time.monotonic() + 1.0
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
try:
    interrupt()
    fastconv.convolve2d(image(16384, 16384), kernel(255, 255), method="direct")
except KeyboardInterrupt:
    for thread in threads:
        thread.join()
    print(len(results) > 1 and all(results))
"""
    assert run(script) == "True\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_in_a_child_of_another_thread_that_thread_is_the_main_one():
    script = """
import os

def fork():
    child = os.fork()
    if child:
        print(os.waitpid(child, 0)[1])
        return
    interrupt()
    try:
        fastconv.convolve2d(image(16384, 16384), kernel(255, 255), method="direct")
    except KeyboardInterrupt:
        os._exit(0)
    os._exit(1)

thread = threading.Thread(target=fork)
thread.start()
thread.join()
"""
    assert run(script) == "0\n"


def test_a_process_ends_while_threads_that_it_does_not_wait_for_are_in_scipys_transform():
    script = """
import scipy.fft
a, b = rng.random((60, 60, 60)), rng.random((20, 20, 20))
started = threading.Semaphore(0)

def work(workers):
    while True:
        fastconv.fftconvolve(a, b, workers=workers)
        started.release()

for workers in (1, 2, 1):
    threading.Thread(target=work, args=(workers,), daemon=True).start()
for _ in range(4):
    started.acquire()
"""
    # Functions that are called after it may still compute, in the main thread.
    last = """
import atexit, numpy as np
atexit.register(lambda: print(fastconv.fftconvolve(a, b, workers=2).shape, flush=True))
"""
    for _ in range(4):
        assert printed("-c", last + PREPARE + script) == "(79, 79, 79)\n"


@pytest.mark.parametrize("workers", [1, 2])
def test_what_an_interrupt_ends_keeps_no_arrays(workers):
    script = f"""
import gc, sys, weakref
gc.disable()

class Stop(Exception):
    pass

def handler(number, frame):
    raise Stop

class Marked(np.ndarray):
    pass

fft = fastconv._fftn
held = []

def do(part):
    if part == 3:
        array = np.ones(9).view(Marked)
        held.append(weakref.ref(array))
        signal.raise_signal(signal.SIGALRM)
        time.sleep(0.05)

signal.signal(signal.SIGALRM, handler)
for _ in range(5):
    try:
        fft._share(do, fft.deque(range(8)), {workers})
    except Stop:
        pass
gone = [ref() is None for ref in held]
print(len(gone), all(gone))
"""
    assert run(script) == "5 True\n"


@pytest.mark.parametrize(
    "script",
    [
        # Functions that Python calls after fastconv's may wait for threads, or for their locks.
        "thread.start(); begun.wait()",
        "import _thread; _thread.start_new_thread(work, ()); begun.wait(); ended.wait()",
        "atexit._run_exitfuncs(); thread.start(); thread.join()",
        # What is interrupted may be kept, by its traceback.
        """
def trace(frame, event, arg):
    if frame.f_code is fastconv._fftn._leave.__code__:
        sys.settrace(None)
        raise KeyboardInterrupt
sys.settrace(trace)
try:
    work()
except KeyboardInterrupt as error:
    kept = error
thread.start()
begun.wait()
""",
    ],
    ids=["joined", "raw", "again", "interrupted"],
)
def test_a_process_ends_though_something_waits_for_a_thread_in_scipys_transform(script):
    first = """
import atexit, sys, threading
def last():
    if thread.ident is not None:
        thread.join()
    print("last")
atexit.register(last)
"""
    prepare = """
begun, ended = threading.Event(), threading.Event()
def work():
    a = rng.random((30, 30, 30))
    for _ in range(20):
        fastconv.fftconvolve(a, a)
        begun.set()
    ended.set()
thread = threading.Thread(target=work, daemon=True)
"""
    assert "last" in printed("-c", first + PREPARE + prepare + script, timeout=60)
