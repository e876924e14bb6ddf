"""Arrays of dask: lazily the same numbers, chunk by chunk."""

import itertools
import os
import pickle
import sys
import threading
import types
from decimal import Decimal

import numpy as np
import pytest
from cases import CALLS, same_bits, small_numbers
from process import printed

import fastconv

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

OTHERS = ("convolve", "correlate", "fftconvolve", "oaconvolve")
SHAPES = [
    ((20, 17), (3, 4), (6, 5)),
    ((20, 17), (6, 5), (3, 4)),
    ((9, 9), (1, 4), (2, 3)),
    ((12, 12), (7, 7), (12, 4)),
    ((5, 6), (7, 3), (2, 2)),
    ((6, 5), (6, 5), (2, 2)),
    ((2, 3), (7, 8), (1, 3)),
    ((1, 40), (1, 6), (1, 7)),
]


@pytest.fixture(autouse=True)
def in_this_thread():
    with dask.config.set(scheduler="sync"):
        yield


def outcome(call, *arguments):
    """What a call returns, or the words of its ValueError."""
    try:
        return call(*arguments)
    except ValueError as error:
        return str(error)


def lazy_and_equal(lazy, expected):
    assert isinstance(lazy, da.Array)
    assert (lazy.shape, lazy.dtype) == (expected.shape, expected.dtype)
    assert isinstance(lazy._meta, np.ndarray)
    assert sum(sum(sizes) for sizes in lazy.chunks) == sum(expected.shape)
    return same_bits(lazy.compute(), expected)


@pytest.mark.parametrize("chars", ["dd", "hB", "fD"])
@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
def test_chunks_make_up_the_result_to_the_bit(function, mode, boundary, chars):
    rng = np.random.default_rng(1)
    call = getattr(fastconv, function)
    for (shape, taps, chunks), fill in itertools.product(SHAPES, (0, 3)):
        x, k = small_numbers(rng, shape, chars[0]), small_numbers(rng, taps, chars[1])
        lazy = da.from_array(x, chunks=chunks)
        expected = outcome(call, x, k, mode, boundary, fill)
        if isinstance(expected, str):
            assert outcome(call, lazy, k, mode, boundary, fill) == expected
            continue
        kernel = da.from_array(k) if fill else k
        assert lazy_and_equal(call(lazy, kernel, mode, boundary, fill), expected)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("function", OTHERS)
@pytest.mark.parametrize(
    ("shape", "taps", "chunks"),
    [
        ((90,), (7,), (20,)),
        ((7,), (90,), (3,)),
        ((20, 17), (6, 5), (4, 4)),
        ((6, 7, 8), (2, 1, 3), (3, 3, 3)),
        ((5, 1, 9), (5, 1, 2), (2, 1, 4)),
    ],
    ids=str,
)
def test_any_dimension(function, mode, shape, taps, chunks):
    rng = np.random.default_rng(2)
    call = getattr(fastconv, function)
    x, k = small_numbers(rng, shape, "l"), small_numbers(rng, taps, "l")
    expected = call(x, k, mode)
    for operands in (
        (da.from_array(x, chunks=chunks), k),
        (x, da.from_array(k)),
        (da.from_array(x, chunks=chunks), da.from_array(k)),
    ):
        lazy = call(*operands, mode)
        if function in ("convolve", "correlate"):
            assert lazy_and_equal(lazy, expected)
        np.testing.assert_allclose(lazy.compute(), expected, atol=1e-9)


def test_empty_chunks_and_empty_arrays():
    k = np.ones((3, 2))
    none = da.zeros((4, 0), chunks=((2, 2), (0, 0)))
    assert lazy_and_equal(fastconv.convolve2d(none, k), np.zeros((6, 1)))
    line = da.zeros(0, chunks=((0, 0),))
    assert lazy_and_equal(fastconv.convolve(line, k[:, 0], "same"), np.zeros(0))
    some = da.concatenate([da.ones((0, 5)), da.ones((4, 5)), da.ones((0, 5))])
    assert lazy_and_equal(fastconv.convolve2d(some, k), fastconv.convolve2d(np.ones((4, 5)), k))


def test_objects_are_left_to_scipy_in_one_task():
    x, k = np.array([Decimal(n) for n in range(6)]), np.array([Decimal(2), Decimal(1)])
    expected = fastconv.convolve(x, k, method="direct")
    lazy = da.from_array(x, chunks=2)
    for pair in ((lazy, k), (x, da.from_array(k, chunks=2)), (lazy, lazy[1:3])):
        y = fastconv.convolve(*pair, method="direct").compute()
        assert y.tolist() == np.convolve(x, np.asarray(pair[1])).tolist()
    assert expected.tolist() == np.convolve(x, k).tolist()


def test_lists():
    lazy, k = da.ones((4, 5), chunks=2), [[1.0, 2], [3, 4]]
    assert lazy_and_equal(fastconv.convolve2d(lazy, k), fastconv.convolve2d(np.ones((4, 5)), k))
    assert lazy_and_equal(fastconv.convolve2d(k, lazy), fastconv.convolve2d(k, np.ones((4, 5))))


@pytest.mark.parametrize("axes", [(0, 1), (1, 2), (2, 0), (-1, 1)])
def test_stacks(axes):
    rng = np.random.default_rng(3)
    x, k = small_numbers(rng, (6, 7, 5)), small_numbers(rng, (2, 3))
    lazy = da.from_array(x, chunks=(2, 3, 5))
    for kernel in (k, np.stack([k] * 6) if axes == (1, 2) else k):
        expected = fastconv.correlate2d(x, kernel, "same", "symm", axes=axes)
        told = fastconv.correlate2d(lazy, kernel, "same", "symm", axes=axes)
        assert lazy_and_equal(told, expected)
    expected = fastconv.fftconvolve(x, k[None], "same", axes=(1, 2))
    told = fastconv.fftconvolve(lazy, k[None], "same", axes=(1, 2))
    np.testing.assert_allclose(told.compute(), expected, atol=1e-12)


@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_what_is_not_finite_reaches_the_same_outputs(spoilt):
    rng = np.random.default_rng(5)
    for shape, taps in (((60,), (5,)), ((12, 9), (3, 3))):
        for which in (0, 1):
            x, k = small_numbers(rng, shape), small_numbers(rng, taps)
            (x, k)[which].flat[2] = spoilt
            expected = fastconv.convolve(x, k, method="direct")
            for kernel in (k, da.from_array(k)):
                lazy = fastconv.convolve(da.from_array(x, chunks=7), kernel, method="direct")
                np.testing.assert_array_equal(lazy.compute(), expected)


def test_nothing_is_computed_before_it_is_asked_for():
    def fail(block):
        raise RuntimeError("computed")

    for shape in ((40, 30), (2, 3)):
        lazy = da.ones(shape, chunks=10).map_blocks(fail, dtype="d", meta=np.empty((0, 0)))
        for function in ("convolve2d", "correlate2d", *OTHERS):
            y = getattr(fastconv, function)(lazy, np.ones((3, 4)))
            with pytest.raises(RuntimeError, match="computed"):
                y.compute()


def test_a_task_has_one_thread_unless_it_is_told(monkeypatch):
    asked = []
    original = fastconv._solve.solve

    def solve(problem, method, out, workers, *rest):
        asked.append(workers)
        return original(problem, method, out, workers, *rest)

    monkeypatch.setattr("fastconv.signal.solve", solve)
    lazy = da.ones((40, 30), chunks=20)
    fastconv.convolve2d(lazy, np.ones((3, 3))).compute()
    assert set(asked) == {1}
    asked.clear()
    fastconv.convolve2d(lazy, np.ones((3, 3)), workers=2).compute()
    assert set(asked) == {2}
    with pytest.raises(ValueError, match="workers must not be zero"):
        fastconv.convolve2d(lazy, np.ones((3, 3)), workers=0)


def test_the_kernel_is_in_the_graph_once():
    kernel = np.random.default_rng(6).random((51, 51))
    lazy = fastconv.convolve2d(da.ones((2000, 2000), chunks=100), kernel, "same")
    tasks = [pickle.dumps(task) for task in dict(lazy.dask).values()]
    assert len(tasks) > 400
    assert sum(kernel.tobytes() in task for task in tasks) == 1


def test_names_tell_what_is_computed():
    lazy, k = da.ones((40, 30), chunks=20), np.ones((3, 3))
    same = [fastconv.convolve2d(lazy, k, "same").name for _ in range(2)]
    others = [
        fastconv.convolve2d(lazy, k, "same", "wrap").name,
        fastconv.convolve2d(lazy, 2 * k, "same").name,
        fastconv.correlate2d(lazy, k, "same").name,
        fastconv.convolve2d(lazy, k, "same", method="direct").name,
    ]
    assert len({*same, *others}) == 5


def test_what_dask_cannot_do_is_refused():
    lazy, k = da.ones((40, 30), chunks=20), np.ones((3, 3))
    for keywords in ({"out": np.zeros((42, 32))}, {"progress": True}):
        with pytest.raises(ValueError, match="no out and no progress"):
            fastconv.convolve2d(lazy, k, **keywords)
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        fastconv.convolve2d(lazy[lazy[:, 0] > 0], k)
    with pytest.raises(ValueError, match="convolve2d inputs must both be 2-D"):
        fastconv.convolve2d(lazy, k[0])
    with pytest.raises(ValueError, match="Acceptable mode"):
        fastconv.convolve(lazy, k, "most")


@pytest.mark.parametrize(("taps", "sizes"), [(1, 20), (8, 20), (39, 20), (40, 40), (41, 40)])
def test_chunks_are_those_of_the_image_unless_they_are_shorter_than_half_the_halo(taps, sizes):
    image, kernel = da.ones((120, 120), chunks=20), np.ones((taps, 1))
    result = fastconv.convolve2d(image, kernel, "same")
    assert result.chunks == ((sizes,) * (120 // sizes), (20,) * 6)


def test_threads_of_dask_compute_chunks_side_by_side():
    rng = np.random.default_rng(7)
    x, k = small_numbers(rng, (300, 200)), small_numbers(rng, (9, 9))
    seen = set()

    def note(block):
        seen.add(threading.get_ident())
        return block

    lazy = da.from_array(x, chunks=50).map_blocks(note, dtype="d", meta=np.empty((0, 0)))
    y = fastconv.convolve2d(lazy, k, "same")
    assert same_bits(
        y.compute(scheduler="threads", num_workers=4), fastconv.convolve2d(x, k, "same")
    )


def test_arrays_of_xarray_by_apply_ufunc():
    xr = pytest.importorskip("xarray")
    rng = np.random.default_rng(8)
    x, k = small_numbers(rng, (3, 20, 30)), small_numbers(rng, (3, 4))
    field = xr.DataArray(x, dims=("time", "y", "x"), coords={"y": np.arange(20)})
    smooth = xr.apply_ufunc(
        fastconv.convolve2d,
        field,
        k,
        input_core_dims=[["y", "x"], []],
        output_core_dims=[["y", "x"]],
        kwargs={"mode": "same", "axes": (-2, -1)},
    )
    assert smooth.dims == field.dims
    assert same_bits(smooth.values, fastconv.convolve2d(x, k, "same", axes=(1, 2)))


CLUSTER = """
import sys
import numpy as np

def main(folder):
    import dask.array as da
    import fastconv
    from dask.distributed import Client, LocalCluster

    kernel = np.random.default_rng(1).integers(-9, 10, (7, 6)).astype("f")
    with LocalCluster(
        n_workers=2, threads_per_worker=1, memory_limit="300MB", dashboard_address=None
    ) as cluster, Client(cluster):
        image = da.from_zarr(folder + "/in")
        fastconv.convolve2d(image, kernel, "same", "symm").to_zarr(folder + "/out")

if __name__ == "__main__":
    main(sys.argv[1])
"""


@pytest.mark.skipif("FASTCONV_SLOW" not in os.environ, reason="FASTCONV_SLOW is not set")
def test_two_workers_process_more_than_their_memory(tmp_path):
    zarr = pytest.importorskip("zarr")
    pytest.importorskip("distributed")
    # 1.6 GB, of numbers that sums are exact of.
    n, chunk = 20480, 2048
    image = zarr.create_array(
        tmp_path / "in", shape=(n, n), chunks=(chunk, chunk), dtype="f", compressors=None
    )
    rng = np.random.default_rng(2)
    for y in range(0, n, chunk):
        image[y : y + chunk] = rng.integers(-99, 100, (chunk, n)).astype("f")
    script = tmp_path / "script.py"
    script.write_text(CLUSTER)
    printed(script, tmp_path, timeout=1200)
    result = zarr.open_array(tmp_path / "out", mode="r")
    assert (result.shape, result.dtype) == ((n, n), np.dtype("f"))
    kernel = np.random.default_rng(1).integers(-9, 10, (7, 6)).astype("f")
    # The seams between chunks, and the ends.
    for y, x in itertools.product((0, chunk - 50, 5 * chunk - 50, n - 100), repeat=2):
        part = image[max(0, y - 10) : y + 110, max(0, x - 10) : x + 110]
        expected = fastconv.convolve2d(part, kernel, "same", "symm")
        top, left = min(y, 10), min(x, 10)
        expected = expected[top : top + 100, left : left + 100]
        assert same_bits(result[y : y + 100, x : x + 100], expected)


def test_what_happens_to_arguments_later_does_not_matter():
    lazy, k, axes = da.ones((9, 9), chunks=3), np.ones((3, 3)), [1]
    y = fastconv.convolve2d(lazy, k, "same")
    z = fastconv.fftconvolve(lazy, np.ones((9, 3)), "same", axes=axes)
    fills = np.array([4.0]), [4.0], [[4.0]]
    ws = [fastconv.convolve2d(da.ones((2, 2)), np.ones((5, 5)), fillvalue=f) for f in fills]
    k[:], axes[0] = 2, 0
    for fill, w in zip(fills, ws, strict=True):
        fill[0] = [0] if isinstance(fill[0], list) else 0
        assert w[0, 0].compute() == 97
    assert y.sum().compute() == 625
    assert z.shape == z.compute().shape


def test_calls_go_on_while_another_thread_imports_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.array", types.ModuleType("dask.array"))
    assert fastconv.convolve([1, 2], [1, 1]).tolist() == [1, 3, 2]


def test_one_tap_and_more_dimensions():
    lazy = fastconv.fftconvolve(da.zeros((10**6, 10**6), chunks=10**4), np.ones((1, 1)))
    assert lazy.numblocks == (100, 100)
    x = np.arange(5 * 6 * 6 * 6.0).reshape(5, 6, 6, 6)
    for axes, taps in (((-2, -1), (1, 1, 3)), ((-3, -2), (1, 3, 1))):
        k = np.ones(taps)
        y = fastconv.convolve2d(da.from_array(x, chunks=3), k, axes=axes)
        assert lazy_and_equal(y, fastconv.convolve2d(x, k, axes=axes))


def test_methods_and_outs_of_dask_are_checked_at_once():
    lazy = da.ones((9, 9), chunks=3)
    with pytest.raises(ValueError, match="Acceptable method"):
        fastconv.convolve2d(lazy, np.ones((3, 3)), method="bogus")
    with pytest.raises(ValueError, match="cannot be written to"):
        fastconv.convolve2d(np.ones((9, 9)), np.ones((3, 3)), "same", out=lazy)


def test_chunks_that_are_not_what_was_declared_are_refused():
    @dask.delayed
    def ones(n, dtype=float):
        return np.ones((n, n), dtype)

    k = np.ones((1, 2))
    for n in (3, 5):
        lazy = da.from_delayed(ones(n), (4, 4), float)
        for array in (lazy, da.concatenate([lazy, da.ones((4, 4))])):
            for taps in (k, np.ones((4, 1))):
                with pytest.raises(ValueError, match="a chunk is of shape"):
                    fastconv.convolve2d(array, taps, "same").compute()
    image = np.arange(72.0).reshape(12, 6)
    parts = [dask.delayed(image[i:j]) for i, j in ((0, 5), (5, 8), (8, 12))]
    shifted = da.concatenate([da.from_delayed(part, (4, 6), float) for part in parts])
    with pytest.raises(ValueError, match="a chunk is of shape"):
        fastconv.convolve2d(shifted, np.ones((9, 3)), "same").compute()
    with pytest.raises(TypeError, match="a chunk is of dtype float64, not int32"):
        fastconv.convolve2d(da.from_delayed(ones(4), (4, 4), "i4"), k, "same").compute()
    assert (
        fastconv.convolve2d(da.from_delayed(ones(4, "f"), (4, 4), float), k).sum().compute() == 32
    )


def test_products_of_more_than_memory_holds_are_not_computed():
    lazy = fastconv.fftconvolve(da.ones((1 << 20, 1), chunks=1 << 18), np.ones((1, 1 << 20)))
    assert lazy.shape == (1 << 20, 1 << 20)
