"""Throughput of dask's workers on arrays in files, larger than memory, beside that in memory.

    python bench/cluster.py [dtype] [side] [workers] [rounds]

Convolves side x side pixels of zarr, float64 and 22528 (4 GB) unless told, with 31 x 31 taps, by
workers of 1 GB each, and compares sampled blocks of the result with those of arrays in memory.
In the same rounds, three unless told, one process does the same job with as many threads: it reads
the image, convolves it in memory, and writes the result. The best round of each counts. Beside
them, calls in memory of 4096 x 4096 pixels: as many as make up the image, and the fastest of them,
as a processor may be faster for a moment than for long.
"""

import mmap
import os
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import zarr
from dask.distributed import Client, LocalCluster

import fastconv

CHUNK, TAPS, MEMORY = 2048, 31, "1GB"
SMALL = 4096

# With glibc: memory of huge pages that is kept for the next chunk, or each would be cleared first.
ENVIRONMENT = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:"
    "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=1073741824"
}


def touch_memory():
    """Write to the memory that is free, most of it.

    A virtual machine is given a page when it first uses it, and may give it back when it is free.
    That takes ten times as long as clearing a page, and is the machine's, not the program's.
    """
    free = os.sysconf("SC_AVPHYS_PAGES") * mmap.PAGESIZE // 10 * 9
    with mmap.mmap(-1, free, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        for start in range(0, free, mmap.PAGESIZE):
            memory[start] = 1


def create(path, side, dtype):
    return zarr.create_array(
        path,
        shape=(side, side),
        chunks=(CHUNK, CHUNK),
        dtype=dtype,
        compressors=None,
        config={"write_empty_chunks": True},  # or each chunk is compared with zero
    )


def fill(image):
    """Write whole numbers, so that results are the same by any engine."""
    rng = np.random.default_rng(1)
    side = image.shape[0]
    for y in range(0, side, CHUNK):
        rows = rng.integers(0, 256, (min(CHUNK, side - y), side), np.uint8)
        image[y : y + CHUNK] = rows.astype(image.dtype)


def check(image, target, kernel):
    side = image.shape[0]
    for y, x in ((0, 0), (CHUNK - 64, CHUNK - 64), (side - 128, side // 2)):
        top, left = max(0, y - TAPS), max(0, x - TAPS)
        part = image[top : y + 128 + TAPS, left : x + 128 + TAPS]
        expected = fastconv.convolve2d(part, kernel, "same", "symm")
        expected = expected[y - top : y - top + 128, x - left : x - left + 128]
        assert np.array_equal(target[y : y + 128, x : x + 128], expected), "wrong numbers"


def stolen():
    """Seconds that other virtual machines had this one's processors for; each one's, on average."""
    try:
        times = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return 0.0
    return int(times[8]) / os.sysconf("SC_CLK_TCK") / os.cpu_count()


class Best:
    """The shortest times of what happens in each round, without those that were stolen."""

    def __init__(self):
        self.seconds = {}

    def time(self, name, call):
        start = time.perf_counter() - stolen()
        result = call()
        took = time.perf_counter() - stolen() - start
        self.seconds[name] = min(took, self.seconds.get(name, took))
        return result


def main(dtype="float64", side=22528, workers=2, rounds=3):
    side, workers, rounds = int(side), int(workers), int(rounds)
    kernel = np.random.default_rng(2).integers(-9, 10, (TAPS, TAPS)).astype(dtype)
    small = np.random.default_rng(3).integers(0, 256, (SMALL, SMALL)).astype(dtype)
    calls = -(-(side**2) // SMALL**2)
    best = Best()

    def convolved(image, **options):
        return fastconv.convolve2d(image, kernel, "same", "symm", **options)

    def by_calls():
        for _ in range(calls):
            best.time("one call", lambda: convolved(small, workers=workers))

    def by_one(image, target):
        pixels = image[:]
        target[:] = best.time("in memory", lambda: convolved(pixels, workers=workers))

    def by_workers(image, target):
        convolved(da.from_zarr(image)).store(target, lock=False)

    folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
    try:
        image = create(folder / "in", side, dtype)
        fill(image)
        with (
            dask.config.set({"distributed.nanny.pre-spawn-environ": ENVIRONMENT}),
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=MEMORY,
                dashboard_address=None,
            ) as cluster,
            Client(cluster),
        ):
            # Workers import what they need when they first need it.
            little = create(folder / "little", 2 * CHUNK, dtype)
            fill(little)
            by_workers(little, create(folder / "first", 2 * CHUNK, dtype))
            for _ in range(rounds):
                touch_memory()
                best.time("calls", by_calls)
                for name, job in {"one process": by_one, "workers": by_workers}.items():
                    touch_memory()
                    target = create(folder / name, side, dtype)
                    best.time(name, partial(job, image, target))
                    check(image, target, kernel)
                    shutil.rmtree(folder / name)
    finally:
        shutil.rmtree(folder)
    pixels = dict.fromkeys(best.seconds, side**2) | {
        "one call": SMALL**2,
        "calls": calls * SMALL**2,
    }
    rate = {name: pixels[name] / s / workers / 1e6 for name, s in best.seconds.items()}
    print(f"{side} x {side} {dtype}, {TAPS} x {TAPS} taps, million pixels a second and core:")
    for label, name in (
        (f"{SMALL} x {SMALL} in memory, the fastest call", "one call"),
        (f"{SMALL} x {SMALL} in memory, {calls} calls", "calls"),
        ("in memory", "in memory"),
        ("file to file, one process", "one process"),
        (f"file to file, {workers} dask workers", "workers"),
    ):
        print(f"{label:40}{rate[name]:6.1f}  dask: {rate['workers'] / rate[name]:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
