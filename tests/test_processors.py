"""How many threads a call has: processors, quotas, environment, other calls, refusals."""

import ctypes
import os
import sys
import threading

import numpy as np
import pytest
from cases import same_bits
from process import printed, python

import fastconv
from fastconv import _runtime, _workers

OPENMP = bool(_runtime.BUILD["openmp"])
LINUX = sys.platform == "linux"
THREADS = "/proc/self/task"


def words(script, **environment):
    """What a script prints."""
    return printed("-c", script, timeout=300, **environment).split()


# --- the default ---------------------------------------------------------------------------------

ASK = "import fastconv; print(fastconv.get_workers())"


@pytest.mark.skipif(not OPENMP, reason="a serial build has one thread")
@pytest.mark.parametrize(
    ("told", "expected"),
    [("1", 1), ("3", 3), ("2,1", 2), ("5,2", 4), ("99999", 4)]
    # No number of threads: OpenMP uses as many as there are processors.
    + [(told, None) for told in ("", " ", "0", "-1", "abc", "1.5", "99999999999999999999")],
)
def test_the_default_is_what_openmp_is_told_but_no_more_than_processors(told, expected):
    if expected is None and not _runtime.BUILD["compiler"].startswith("gcc"):
        pytest.skip("LLVM's runtime takes any number, or ends the process")
    (told_back,) = words(ASK, OMP_NUM_THREADS=told, PYTHON_CPU_COUNT="4")
    processors = len(os.sched_getaffinity(0)) if LINUX else os.cpu_count()
    assert int(told_back) == (min(processors, 4) if expected is None else expected)


@pytest.mark.parametrize("told", ["", "0", "-3", "many", "default", "nan", "inf"])
def test_what_is_no_number_of_processors_is_ignored(told):
    # Python 3.13 and later refuse some of them themselves.
    if sys.version_info >= (3, 13) and told != "default":
        pytest.skip("this Python refuses it")
    assert words(ASK, PYTHON_CPU_COUNT=told) == words(ASK)


def test_any_number_of_processors_is_taken():
    most, one = "9" * 4000, "0" * 4000 + "1"
    if sys.version_info >= (3, 13):
        pytest.skip("this Python refuses it")
    assert words(ASK, PYTHON_CPU_COUNT=most, OMP_NUM_THREADS="3") == ["3"]
    assert words(ASK, PYTHON_CPU_COUNT=one) == ["1"]


@pytest.mark.skipif(not LINUX, reason="no affinity")
@pytest.mark.parametrize(
    "binding",
    [
        {"OMP_PROC_BIND": "true"},
        {"OMP_PROC_BIND": "spread"},
        {"OMP_PLACES": "threads"},
        {"OMP_PLACES": "threads(1)"},
    ],
    ids=str,
)
def test_threads_that_are_bound_to_processors_leave_the_others_there(binding):
    script = (
        ASK
        + """
import threading
other = threading.Thread(target=lambda: print(fastconv.get_workers()))
other.start()
other.join()
"""
    )
    all_processors = len(os.sched_getaffinity(0))
    expected = 1 if "threads(1)" in binding.values() else all_processors
    assert words(script, **binding) == [str(expected)] * 2


@pytest.mark.skipif(not LINUX, reason="no affinity")
@pytest.mark.usefixtures("processors_of_the_machine")
def test_processors_that_the_process_may_run_on_count_at_every_call():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert fastconv.get_workers() == 1
        assert _runtime.processors() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert _runtime.processors() <= len(allowed)


def test_elsewhere_processors_are_counted_by_python(monkeypatch):
    for count, expected in ((3, 3), (None, 1)):
        with monkeypatch.context() as patch:
            patch.delenv("PYTHON_CPU_COUNT", raising=False)
            patch.setattr(sys, "platform", "elsewhere")
            patch.setattr(os, "cpu_count", lambda count=count: count)
            _workers.look_at_machine()
        assert _runtime.processors() == expected
    _runtime.set_processors(8, 0)


def test_a_quota_is_a_limit():
    _runtime.set_processors(8, 3)
    assert _runtime.processors() == 3
    _runtime.set_processors(2, 3)
    assert _runtime.processors() == 2
    _runtime.set_processors(8, 0)


# --- quotas of control groups --------------------------------------------------------------------


def quota(root, groups, files):
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "groups").write_text(groups)
    return _workers._quota(str(root), str(root / "groups"))


V1 = "4:cpu,cpuacct:/a/b\n3:memory:/a/b\n1:name=systemd:/a/b\n0::/a/b\n"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, 0),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "1000 100000\n"}, 1),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/a/b\n", {"a/b/cpu.max": "500000 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/a/b\n", {"a/b/cpu.max": "500000 100000", "a/cpu.max": "700000 100000"}, 5),
        # A container sees its own group at the top, under the path of the host.
        ("0::/docker/0123\n", {"cpu.max": "400000 100000"}, 4),
        ("0::/a:b\n", {"a:b/cpu.max": "300000 100000"}, 3),
        ("0::/\n", {}, 0),
        ("0::/\n", {"cpu.max": ""}, 0),
        ("0::/\n", {"cpu.max": "many 100000"}, 0),
        ("0::/\n", {"cpu.max": "100000"}, 0),
        ("0::/\n", {"cpu.max": "100000 0"}, 0),
        ("0::/\n", {"cpu.max": "100000 -5"}, 0),
        ("0::/\n", {"cpu.max": "17592186044415 1000"}, 4096),
        ("0::/\n", {"cpu.max": "inf 1000"}, 0),
        ("0::/\n", {"cpu.max": "nan 1000"}, 0),
        ("no groups at all\n", {}, 0),
        ("", {}, 0),
        (V1, {"cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1\n"}, 0),
        (
            V1,
            {
                "cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000\n",
                "cpu,cpuacct/a/cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
                "memory/a/b/cpu.cfs_quota_us": "100000\n",
                "memory/a/b/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
    ],
)
def test_the_quota_is_the_least_of_all_groups_above(tmp_path, groups, files, expected):
    assert quota(tmp_path, groups, files) == expected


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert _workers._quota(str(tmp_path), str(tmp_path / "nothing")) == 0


# --- threads that are really started -------------------------------------------------------------

PREPARE = """
import os, sys
import numpy as np, fastconv
rng = np.random.default_rng(1)
image, kernel = rng.random((600, 600)), rng.random((15, 15))
def threads():
    return len(os.listdir("/proc/self/task"))
before = threads()
expected = fastconv.convolve2d(image, kernel, workers=1), fastconv.fftconvolve(image, kernel, workers=1)
assert threads() == before
def check(workers=None):
    assert (fastconv.convolve2d(image, kernel, workers=workers) == expected[0]).all()
    assert (fastconv.fftconvolve(image, kernel, workers=workers) == expected[1]).all()
"""  # noqa: E501

linux_openmp = pytest.mark.skipif(not (LINUX and OPENMP), reason="needs Linux and OpenMP")


@linux_openmp
@pytest.mark.parametrize("processors", [1, 2, 5])
def test_no_more_threads_are_started_than_there_are_processors(processors):
    script = PREPARE + "check(1000); print(threads() - before)"
    assert words(script, PYTHON_CPU_COUNT=str(processors)) == [str(processors - 1)]


@linux_openmp
def test_as_many_threads_wait_as_the_last_call_had():
    script = PREPARE + "\n".join(f"check({n}); print(threads() - before)" for n in (8, 3, 5, 1, 2))
    assert words(script, PYTHON_CPU_COUNT="8") == ["7", "2", "4", "4", "1"]


INSIDE = """
import ctypes
openmp = ctypes.CDLL("libgomp.so.1")
counts = []
@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def body(_):
    check(8)
    counts.append(threads())
openmp.GOMP_parallel(body, None, 3, 0)
print(len(counts), max(counts) - before)
"""


def runtime_of(library):
    """Where the functions of the OpenMP runtime are that a library is linked to."""
    return ctypes.cast(ctypes.CDLL(library).omp_get_max_threads, ctypes.c_void_p).value


@linux_openmp
def test_inside_a_parallel_region_of_another_library_a_call_starts_no_threads():
    try:
        same = runtime_of("libgomp.so.1") == runtime_of(_runtime.__file__)
    except OSError:
        same = False
    if not same:
        pytest.skip("fastconv has an OpenMP runtime of its own, as in wheels, or not GCC's")
    assert words(PREPARE + INSIDE, PYTHON_CPU_COUNT="8") == ["3", "2"]


REFUSED_BY_NUMBER = """
import resource
# A user nobody else is, who may have so many threads; limits do not bind the superuser.
if os.getuid() == 0:
    resource.setrlimit(resource.RLIMIT_NPROC, (MANY, MANY))
    os.setuid(100000 + os.getpid())
else:
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
check(8)
# An emulator has a thread of its own, which stays the superuser's.
user = f"Uid:\\t{os.getuid()}\\t"
tasks = os.listdir("/proc/self/task")
others = sum(user not in open(f"/proc/self/task/{task}/status").read() for task in tasks)
print(threads(), before, others)
check(8)
check(3)
check(8)
import threading
thread = threading.Thread(target=check, args=(8,))
try:
    thread.start()
except RuntimeError:
    pass
else:
    thread.join()
"""


@linux_openmp
@pytest.mark.parametrize("many", [1, 3, 4, 5, 7])
def test_threads_that_are_refused_are_done_without(many):
    script = PREPARE + REFUSED_BY_NUMBER.replace("MANY", str(many))
    threads, before, others = map(int, words(script, PYTHON_CPU_COUNT="8"))
    assert threads == (max(many + others, before) if os.getuid() == 0 else before)


SEVERAL_AT_ONCE = """
import resource, threading
gate = threading.Barrier(CALLERS + 1)
part = image[:200, :300]
answer = fastconv.convolve2d(part, kernel, workers=1)
results = []
def call():
    gate.wait()
    gate.wait()
    results.extend(fastconv.convolve2d(part, kernel, workers=8) for _ in range(20))
callers = [threading.Thread(target=call) for _ in range(CALLERS)]
for caller in callers:
    caller.start()
gate.wait()
if os.getuid() == 0:
    resource.setrlimit(resource.RLIMIT_NPROC, (MANY, MANY))
    os.setuid(100000 + os.getpid())
else:
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
gate.wait()
for caller in callers:
    caller.join()
print(len(results), all((y == answer).all() for y in results))
"""


@linux_openmp
@pytest.mark.parametrize(("callers", "many"), [(2, 6), (3, 7), (3, 8)])
def test_calls_at_once_do_not_take_each_others_threads(callers, many):
    """Each asks how many there is room for; what it was told must be there when it starts them."""
    script = SEVERAL_AT_ONCE.replace("CALLERS", str(callers)).replace("MANY", str(many))
    assert words(PREPARE + script, PYTHON_CPU_COUNT="24", OMP_NUM_THREADS="8") == [
        str(20 * callers),
        "True",
    ]


@linux_openmp
@pytest.mark.parametrize("variable", ["OMP_STACKSIZE", "GOMP_STACKSIZE"])
@pytest.mark.parametrize("size", ["100G", "102400 m", "107374182400B", "104857600"])
def test_threads_whose_stacks_there_is_no_room_for_are_done_without(size, variable):
    script = PREPARE + (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (20 << 30, 20 << 30))\n"
        "check(8); print(threads() - before)"
    )
    assert words(script, PYTHON_CPU_COUNT="8", **{variable: size}) == ["0"]


@linux_openmp
@pytest.mark.parametrize("size", ["64k", " 128 K ", "nonsense", "", "99999999999999999999G"])
def test_sizes_of_stacks_that_are_no_hindrance(size):
    script = PREPARE + "check(4); print(threads() - before)"
    assert words(script, PYTHON_CPU_COUNT="4", OMP_STACKSIZE=size) == ["3"]


@linux_openmp
@pytest.mark.parametrize(
    ("told", "spins"),
    [
        ({}, "5000"),
        ({"GOMP_SPINCOUNT": "77"}, "77"),
        ({"OMP_WAIT_POLICY": "passive"}, "0"),
        ({"OMP_WAIT_POLICY": "active"}, "30000000000"),
    ],
)
def test_threads_that_wait_leave_the_processor_soon_unless_told_otherwise(told, spins):
    if not _runtime.BUILD["compiler"].startswith("gcc"):
        pytest.skip("LLVM's runtime waits by another rule")
    script = "import os, fastconv; print(os.environ.get('GOMP_SPINCOUNT'))"
    environment = {"GOMP_SPINCOUNT": None, "OMP_WAIT_POLICY": None} | told
    code, output, error = python("-c", script, OMP_DISPLAY_ENV="verbose", **environment)
    assert code == 0
    assert f"GOMP_SPINCOUNT = '{spins}'" in error
    assert output.split() == [str(told.get("GOMP_SPINCOUNT"))]  # nothing of ours stays


@linux_openmp
def test_threadpoolctl_sees_and_limits_the_threads():
    script = (
        PREPARE
        + """
from threadpoolctl import threadpool_info, threadpool_limits
pools = [pool for pool in threadpool_info() if pool["user_api"] == "openmp"]
assert pools, threadpool_info()
with threadpool_limits(1, user_api="openmp"):
    print(fastconv.get_workers())
    check()
    print(threads() - before)
with threadpool_limits(3, user_api="openmp"):
    print(fastconv.get_workers())
    check()
    print(threads() - before)
"""
    )
    assert words(script, PYTHON_CPU_COUNT="4") == ["1", "0", "3", "2"]


def test_more_calls_at_once_than_processors():
    # More calls under way than processors: each has one thread, and all the right answer.
    rng = np.random.default_rng(2)
    image, kernel = rng.random((300, 300)), rng.random((9, 9))
    expected = fastconv.convolve2d(image, kernel, workers=1)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(fastconv.convolve2d(image, kernel)))
        for _ in range(32)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 32
    assert all(same_bits(y, expected) for y in results)
