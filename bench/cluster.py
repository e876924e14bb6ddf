"""Throughput of dask's workers on arrays in files, larger than memory, beside that in memory.

    python bench/cluster.py [side] [workers]

Convolves side x side float32 pixels of zarr, 32768 unless told, with 31 x 31 taps, by workers of
one thread and 1 GB each, and compares sampled blocks of the result with those of arrays in memory.
The time is that of reading, computing and writing. In memory: 4096 x 4096 pixels by one thread,
the best of five runs.
"""

import sys
import tempfile
import time
from pathlib import Path

import dask.array as da
import numpy as np
import zarr
from dask.distributed import Client, LocalCluster

import fastconv

CHUNK, TAPS, MEMORY = 2048, 31, "1GB"


def create(path, side):
    """Write the image: whole numbers, so that results are the same by any engine."""
    image = zarr.create_array(
        path, shape=(side, side), chunks=(CHUNK, CHUNK), dtype="f4", compressors=None
    )
    rng = np.random.default_rng(1)
    for y in range(0, side, CHUNK):
        image[y : y + CHUNK] = rng.integers(0, 256, (min(CHUNK, side - y), side)).astype("f4")
    return image


def seconds(call, runs):
    """Time of the quickest run."""
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def main(side=32768, workers=2):
    kernel = np.random.default_rng(2).integers(-9, 10, (TAPS, TAPS)).astype("f4")
    small = np.random.default_rng(3).random((4096, 4096), np.float32)
    in_memory = small.size / seconds(
        lambda: fastconv.convolve2d(small, kernel, "same", "symm", workers=1), 5
    )
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        image = create(f"{folder}/in", side)
        with (
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=MEMORY,
                dashboard_address=None,
            ) as cluster,
            Client(cluster),
        ):
            target = zarr.create_array(
                f"{folder}/out",
                shape=image.shape,
                chunks=image.chunks,
                dtype="f4",
                compressors=None,
            )
            start = time.perf_counter()
            lazy = fastconv.convolve2d(da.from_zarr(image), kernel, "same", "symm")
            lazy.store(target, lock=False)
            by_workers = side * side / (time.perf_counter() - start) / workers
        for y, x in ((0, 0), (CHUNK - 64, CHUNK - 64), (side - 128, side // 2)):
            top, left = max(0, y - TAPS), max(0, x - TAPS)
            part = image[top : y + 128 + TAPS, left : x + 128 + TAPS]
            expected = fastconv.convolve2d(part, kernel, "same", "symm")
            expected = expected[y - top : y - top + 128, x - left : x - left + 128]
            assert np.array_equal(target[y : y + 128, x : x + 128], expected), "wrong numbers"
    print(f"in memory: {in_memory / 1e6:.1f} million pixels a second, one thread")
    print(f"{workers} workers: {by_workers / 1e6:.1f} each, {by_workers / in_memory:.2f} of that")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
