"""Throughput of dask's workers on arrays in files, larger than memory, beside that in memory.

    python bench/cluster.py [dtype] [side] [workers]

Convolves side x side pixels of zarr, float64 and 22528 (4 GB) unless told, with 31 x 31 taps, by
workers of 1 GB each, and compares sampled blocks of the result with those of arrays in memory.
Beside it, for each core: fastconv.convolve2d alone, of 4096 x 4096 pixels in memory by as many
threads, the best of five runs; and the same job, from file to file, by one process that reads the
whole image, which takes twice its size in memory.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import zarr
from dask.distributed import Client, LocalCluster

import fastconv

CHUNK, TAPS, MEMORY = 2048, 31, "1GB"

# Huge pages for what malloc maps, with glibc: reading a chunk is bound by page faults.
ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


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


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def check(image, target, kernel):
    side = image.shape[0]
    for y, x in ((0, 0), (CHUNK - 64, CHUNK - 64), (side - 128, side // 2)):
        top, left = max(0, y - TAPS), max(0, x - TAPS)
        part = image[top : y + 128 + TAPS, left : x + 128 + TAPS]
        expected = fastconv.convolve2d(part, kernel, "same", "symm")
        expected = expected[y - top : y - top + 128, x - left : x - left + 128]
        assert np.array_equal(target[y : y + 128, x : x + 128], expected), "wrong numbers"


def main(dtype="float64", side=22528, workers=2):
    side, workers = int(side), int(workers)
    kernel = np.random.default_rng(2).integers(-9, 10, (TAPS, TAPS)).astype(dtype)
    small = np.random.default_rng(3).integers(0, 256, (4096, 4096)).astype(dtype)

    def alone():
        fastconv.convolve2d(small, kernel, "same", "symm", workers=workers)

    in_memory = small.size / min(seconds(alone) for _ in range(5))
    folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
    try:
        image = create(folder / "in", side, dtype)
        fill(image)
        target = create(folder / "out", side, dtype)

        def by_one():
            target[:] = fastconv.convolve2d(image[:], kernel, "same", "symm", workers=workers)

        one = side * side / seconds(by_one)
        shutil.rmtree(folder / "out")
        target = create(folder / "out", side, dtype)
        with (
            dask.config.set({"distributed.nanny.pre-spawn-environ": ENVIRONMENT}),
            LocalCluster(
                n_workers=workers,
                threads_per_worker=2,  # one reads or writes while the other computes
                memory_limit=MEMORY,
                dashboard_address=None,
            ) as cluster,
            Client(cluster),
        ):
            lazy = fastconv.convolve2d(da.from_zarr(image), kernel, "same", "symm")
            by_workers = side * side / seconds(lambda: lazy.store(target, lock=False))
        check(image, target, kernel)
    finally:
        shutil.rmtree(folder)
    print(f"{side} x {side} {dtype}, {TAPS} x {TAPS} taps, million pixels a second and core:")
    print(f"convolve2d alone, in memory     {in_memory / workers / 1e6:6.1f}")
    print(f"file to file, one process       {one / workers / 1e6:6.1f}")
    print(
        f"file to file, {workers} dask workers    {by_workers / workers / 1e6:6.1f}  "
        f"{by_workers / in_memory:.2f} and {by_workers / one:.2f} of these"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
