"""
fastconv in one process with other libraries that bring an OpenMP runtime or threads of their own.

``python tests/neighbours.py torch numba sklearn``: right answers and no hang, whichever is
imported first, with both computing at the same time, and in a forked process.
"""

import subprocess
import sys

WORK = {
    "torch": """
import torch
def other():
    a = torch.ones(300, 300)
    assert torch.nn.functional.conv2d(a[None, None], torch.ones(1, 1, 9, 9)).max() == 81
    assert (a @ a).max() == 300
""",
    "numba": """
import numba
@numba.njit(parallel=True)
def total(a):
    s = 0.0
    for i in numba.prange(a.size):
        s += a[i]
    return s
def other():
    import numpy
    assert total(numpy.ones(100000)) == 100000
""",
    "sklearn": """
import sklearn.cluster
def other():
    import numpy
    points = numpy.repeat(numpy.eye(3), 500, 0)
    fit = sklearn.cluster.KMeans(3, n_init=2, random_state=0).fit(points)
    assert len(set(fit.labels_)) == 3
""",
    "scipy": """
import scipy.fft, scipy.linalg
def other():
    import numpy
    a = numpy.ones((300, 300))
    assert scipy.fft.fft2(a, workers=2)[0, 0] == 90000
    assert (a @ a == 300).all()
""",
}

FASTCONV = """
import fastconv
def ours():
    import numpy
    rng = numpy.random.default_rng(1)
    image, kernel = rng.integers(-9, 10, (300, 400)), rng.integers(-9, 10, (9, 9))
    direct = fastconv.convolve2d(image, kernel, method="direct", workers=1)
    for method in ("direct", "fft"):
        assert (fastconv.convolve2d(image, kernel, method=method, workers=2) == direct).all()
    box = fastconv.convolve2d(image, numpy.ones((9, 9), int), method="separable", workers=2)
    assert box.sum() == 81 * image.sum()
"""

TOGETHER = """
import os, sys, threading
def both():
    for _ in range(3):
        ours()
        other()
both()
errors = []
sys.excepthook = threading.excepthook = lambda *error: errors.append(error)
threads = [threading.Thread(target=work) for work in (ours, other, both) * 2]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
both()
if hasattr(os, "fork"):
    child = os.fork()
    if child == 0:
        ours()
        os._exit(0 if not errors else 1)
    assert os.waitpid(child, 0)[1] == 0
assert not errors, errors
print("right")
"""


def main(names):
    for name in names:
        for first in ("fastconv", name):
            sources = [FASTCONV, WORK[name]]
            if first == name:
                sources.reverse()
            script = "".join(sources) + TOGETHER
            done = subprocess.run([sys.executable, "-c", script], timeout=300, check=False)
            print(f"{first} before {name if first != name else 'fastconv'}: {done.returncode}")
            if done.returncode:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(WORK)))
