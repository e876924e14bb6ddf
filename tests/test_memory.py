"""No memory: MemoryError before any output is written, nothing leaks, and the next call works."""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import scipy
from numpy.lib import NumpyVersion
from process import printed

TESTS = Path(__file__).parent
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD and RLIMIT_AS are Linux's")


@LINUX
def test_any_allocation_of_an_engine_or_of_numpy_may_fail(tmp_path):
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC"))
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"there is no C compiler {compiler[0]}")
    library = str(tmp_path / "no_memory.so")
    source = str(TESTS / "no_memory.c")
    subprocess.run([*compiler, "-O1", "-fPIC", "-shared", "-o", library, source], check=True)
    output = printed(TESTS / "no_memory.py", "malloc", timeout=900, LD_PRELOAD=library)
    # From 1.18 on, SciPy's transform takes its memory in fewer pieces.
    few = NumpyVersion(scipy.__version__) >= "1.18.0"
    assert int(output.split()[-1]) > (200 if few else 500)


def test_any_allocation_of_the_interpreter_may_fail():
    pytest.importorskip("_testcapi", reason="this interpreter comes without its own tests")
    output = printed(TESTS / "no_memory.py", "python", timeout=900)
    assert int(output.split()[-1]) > 5000


LIMIT = """
import resource
import numpy as np, fastconv

def limited(call, *args, room=1 << 19, **options):
    # Room for what is small, and none for a megabyte.
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, -1))
    try:
        call(*args, **options)
    except MemoryError:
        return True
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (-1, -1))

if not limited(np.ones, 1 << 24):
    print("no limit")  # an emulator leaves it to the system below, or to nobody
    raise SystemExit
image, kernel = np.ones((3000, 3000), "f"), np.ones((31, 31), "f")
kernel[3, 4] = 2
room = np.ones((40, 200, 200))
for method in ("direct", "fft", "certified"):
    expected = fastconv.convolve2d(image, kernel, "same", method=method)
    assert limited(fastconv.convolve2d, image, kernel, "same", method=method)
    assert (fastconv.convolve2d(image, kernel, "same", method=method) == expected).all()
for name in ("convolve", "correlate", "fftconvolve", "oaconvolve"):
    assert limited(getattr(fastconv, name), image[0], image[1], workers=2) is None
    assert limited(getattr(fastconv, name), image, kernel, workers=2)
    assert limited(getattr(fastconv, name), room, room[:3, :3, :3])
assert limited(fastconv.sepfir2d, image, kernel[0], kernel[0])
assert limited(fastconv.plan, np.ones((2000, 2000)), (4000, 4000), "d", method="fft")
# What SciPy transforms, with threads of Python's.
for a, b in (
    (room[:, :100, :90] + 0, room[:9, :9, :9]),
    (np.ones((40, 100, 90), "i"), np.full((9, 9, 9), 2)),
    (np.ones(1 << 18, "g"), np.ones(999, "g")),
):
    expected = fastconv.fftconvolve(a, b, workers=3)
    out = np.empty_like(expected)
    for size in (int(2 ** (i / 3)) for i in range(30, 87)):
        out.fill(7)
        if limited(fastconv.fftconvolve, a, b, out=out, workers=3, room=size):
            assert (out == 7).all()
        else:
            assert (out == expected).all()
print("done")
"""


@LINUX
def test_a_process_that_may_not_grow():
    seen = printed("-c", LIMIT)
    if seen == "no limit\n":
        pytest.skip("memory has no limit here")
    assert seen == "done\n"
