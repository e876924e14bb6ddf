"""Results in blocks: arrays in files, anything that is read and written in parts, progress."""

import io
import itertools
import mmap
import os
import shutil
import sys
import tempfile
import tracemalloc
import types
from multiprocessing import shared_memory
from pathlib import Path

import numpy as np
import pytest
from cases import CALLS, fits, same_bits, small_numbers

import fastconv
from fastconv import _blocks, _cut, _problem

OTHERS = ("convolve", "correlate", "fftconvolve", "oaconvolve")
SHAPES = [
    ((20, 17), (3, 4)),
    ((20, 17), (6, 5)),
    ((9, 9), (1, 4)),
    ((12, 12), (7, 7)),
    ((5, 6), (5, 6)),
    ((5, 6), (7, 3)),
    ((1, 1), (1, 1)),
]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(_blocks, "BLOCK", 30)
    monkeypatch.setattr(_blocks, "HALOS", 1)


class Stored:
    """What stores of arrays have in common; counts the elements it is asked for at a time."""

    def __init__(self, array, **more):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.most = 0
        self.__dict__.update(more)

    def __getitem__(self, place):
        assert all(0 <= s.start < s.stop <= n for s, n in zip(place, self.shape, strict=True))
        part = self.array[place]
        self.most = max(self.most, part.size)
        return part

    def __setitem__(self, place, values):
        if place is not Ellipsis:
            assert [s.stop - s.start for s in place] == list(values.shape)
        self.array[place] = values


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("chars", ["dd", "hB", "fD", "Dd"])
@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
def test_blocks_make_up_the_result_to_the_bit(function, mode, boundary, chars):
    rng = np.random.default_rng(1)
    call = getattr(fastconv, function)
    for (shape, taps), fill in itertools.product(SHAPES, (0, 3)):
        if not fits(shape, taps, mode):
            continue
        x, k = small_numbers(rng, shape, chars[0]), small_numbers(rng, taps, chars[1])
        expected = call(x, k, mode, boundary, fill)
        out = Stored(np.zeros_like(expected))
        assert call(Stored(x), k, mode, boundary, fill, out=out) is out
        assert same_bits(out.array, expected)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("function", OTHERS)
@pytest.mark.parametrize(
    ("shape", "taps"),
    [((90,), (7,)), ((20, 17), (6, 5)), ((6, 7, 8), (2, 1, 3)), ((5, 1, 9), (5, 1, 2))],
    ids=str,
)
def test_blocks_in_any_dimension(function, mode, shape, taps):
    rng = np.random.default_rng(2)
    call = getattr(fastconv, function)
    x, k = small_numbers(rng, shape, "l"), small_numbers(rng, taps, "l")
    expected = call(x, k, mode)
    out = Stored(np.zeros_like(expected))
    call(Stored(x), k, mode, out=out)
    if function in ("convolve", "correlate"):
        assert same_bits(out.array, expected)
    np.testing.assert_allclose(out.array, expected, atol=1e-9)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("axes", [(0, 1), (1, 2), (2, 0), (-1, 1)])
def test_stacks_are_cut_too(axes):
    rng = np.random.default_rng(3)
    x, k = small_numbers(rng, (6, 7, 5)), small_numbers(rng, (2, 3))
    one = [1, 1, 1]
    for axis, m in zip(axes, (2, 3), strict=True):
        one[axis] = m
    several = small_numbers(rng, [x.shape[i] if n == 1 else n for i, n in enumerate(one)])
    for kernel in (k, small_numbers(rng, one), several):
        expected = fastconv.correlate2d(x, kernel, "same", "wrap", axes=axes)
        out = Stored(np.zeros_like(expected))
        fastconv.correlate2d(Stored(x), kernel, "same", "wrap", axes=axes, out=out)
        assert same_bits(out.array, expected)
    expected = fastconv.convolve2d(k, x[:, :2, :3], axes=axes)
    out = Stored(np.zeros_like(expected))
    fastconv.convolve2d(Stored(k), x[:, :2, :3], axes=axes, out=out)
    assert same_bits(out.array, expected)


@pytest.mark.usefixtures("small_blocks")
def test_axes_along_which_nothing_is_summed():
    rng = np.random.default_rng(4)
    x = small_numbers(rng, (4, 30))
    for kernel in (small_numbers(rng, (1, 5)), small_numbers(rng, (4, 5))):
        expected = fastconv.fftconvolve(x, kernel, "same", axes=1)
        out = Stored(np.zeros_like(expected))
        fastconv.fftconvolve(Stored(x), kernel, "same", axes=1, out=out)
        np.testing.assert_allclose(out.array, expected, atol=1e-11)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_what_is_not_finite_reaches_the_same_outputs(spoilt):
    rng = np.random.default_rng(5)
    for shape, taps in (((60,), (5,)), ((12, 9), (3, 3))):
        for which in (0, 1):
            pair = [small_numbers(rng, shape), small_numbers(rng, taps)]
            pair[which].flat[2] = spoilt
            x, k = pair
            expected = fastconv.convolve(x, k, method="direct")
            out = Stored(np.zeros_like(expected))
            fastconv.convolve(Stored(x), k, method="direct", out=out)
            np.testing.assert_array_equal(out.array, expected)


# --- memory --------------------------------------------------------------------------------------


def test_no_more_is_read_at_a_time_than_a_block_and_its_halo(monkeypatch):
    monkeypatch.setattr(_blocks, "BLOCK", 1 << 12)
    x, k = np.ones((600, 500)), np.ones((9, 9))
    image, out = Stored(x), Stored(np.zeros((600, 500)))
    fastconv.convolve2d(image, k, "same", "symm", out=out)
    assert (out.array == 81).all()
    assert image.most < 2 * (1 << 12)


class Discarded:
    """Has a shape, and forgets what is written."""

    def __init__(self, shape, dtype):
        self.shape, self.dtype = shape, np.dtype(dtype)

    def __getitem__(self, place):
        raise AssertionError("it is only written to")

    def __setitem__(self, place, values):
        pass


@pytest.mark.parametrize("kernel", [np.ones((9, 9), "f"), np.eye(33, dtype="f")])
def test_memory_does_not_grow_with_the_arrays(kernel):
    image = Stored(np.broadcast_to(np.ones((), "B"), (1 << 14, 1 << 12)))
    tracemalloc.start()
    try:
        fastconv.convolve2d(image, kernel, "same", out=Discarded(image.shape, "f"))
        assert tracemalloc.get_traced_memory()[1] < 20 * _blocks.BLOCK
    finally:
        tracemalloc.stop()


def test_blocks_are_of_whole_chunks_of_what_is_written(monkeypatch):
    monkeypatch.setattr(_blocks, "BLOCK", 1 << 10)
    written = []

    class Chunked(Stored):
        def __setitem__(self, place, values):
            written.append(place)
            super().__setitem__(place, values)

    out = Chunked(np.zeros((100, 90)), chunks=(30, 20))
    fastconv.convolve2d(np.ones((100, 90)), np.ones((3, 3)), "same", out=out)
    assert len(written) > 4
    for place in written:
        for part, chunk, n in zip(place, (30, 20), out.shape, strict=True):
            assert part.start % chunk == 0
            assert part.stop % chunk == 0 or part.stop == n


def test_files_are_read_and_written(tmp_path):
    rng = np.random.default_rng(6)
    x, k = small_numbers(rng, (300, 200), "B"), small_numbers(rng, (5, 5), "f")
    source = np.memmap(tmp_path / "in", "B", "w+", shape=x.shape)
    source[...] = x
    target = np.memmap(tmp_path / "out", "f", "w+", shape=x.shape)
    assert fastconv.convolve2d(source, k, "same", out=target) is target
    target.flush()
    written = np.memmap(tmp_path / "out", "f", "r", shape=x.shape)
    assert same_bits(np.array(written), fastconv.convolve2d(x, k, "same"))
    # Over the input itself.
    both = np.memmap(tmp_path / "both", "d", "w+", shape=x.shape)
    both[...] = x
    fastconv.convolve2d(both, k.astype("d"), "same", out=both)
    assert same_bits(np.array(both), fastconv.convolve2d(x.astype("d"), k.astype("d"), "same"))


@pytest.mark.usefixtures("small_blocks")
def test_zarr_arrays_are_read_and_written(tmp_path):
    zarr = pytest.importorskip("zarr")
    x, k = np.arange(600.0).reshape(30, 20), np.ones((3, 4))
    source = zarr.create_array(tmp_path / "in", shape=x.shape, chunks=(7, 6), dtype="d")
    source[...] = x
    target = zarr.create_array(tmp_path / "out", shape=x.shape, chunks=(8, 5), dtype="d")
    fastconv.convolve2d(source, k, "same", "wrap", out=target)
    assert same_bits(target[...], fastconv.convolve2d(x, k, "same", "wrap"))


# --- refusals ------------------------------------------------------------------------------------


def test_outs_that_the_result_does_not_fit_are_refused_before_anything_is_read():
    image, k = Stored(np.ones((9, 9))), np.ones((3, 3))
    for out, error, words in (
        (Stored(np.zeros((8, 9))), ValueError, "out has shape"),
        (Stored(np.zeros((9, 9), "f")), TypeError, "out has dtype"),
        ([0.0], TypeError, "must be a numpy.ndarray"),
        (types.SimpleNamespace(shape=(9, 9), dtype=np.dtype("d")), TypeError, "numpy.ndarray"),
    ):
        with pytest.raises(error, match=words):
            fastconv.convolve2d(image, k, "same", out=out)
    with pytest.raises(ValueError, match="Acceptable mode flags"):
        fastconv.convolve2d(image, k, "some", out=Stored(np.zeros((9, 9))))
    with pytest.raises(ValueError, match="workers must not be zero"):
        fastconv.convolve2d(image, k, "same", out=Stored(np.zeros((9, 9))), workers=0)
    assert image.most == 0


# --- progress ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("function", ["convolve2d", "correlate2d", *OTHERS])
def test_progress_is_told_block_by_block(function):
    told = []
    x, k = np.arange(300.0).reshape(20, 15), np.ones((3, 3))
    y = getattr(fastconv, function)(x, k, progress=lambda *which: told.append(which))
    np.testing.assert_allclose(y, getattr(fastconv, function)(x, k))
    total = told[0][1]
    assert total > 5
    assert told == [(i + 1, total) for i in range(total)]
    out = np.zeros_like(y)
    assert getattr(fastconv, function)(x, k, out=out, progress=lambda *_: None) is out
    assert same_bits(out, y)


def test_a_bar_is_drawn_with_tqdm_and_without(monkeypatch, capsys):
    bars = []

    class Bar:
        def __init__(self, total, desc, unit):
            bars.append([total, desc, unit, 0])

        def update(self):
            bars[-1][-1] += 1

        def close(self):
            bars.append("closed")

    module = types.ModuleType("tqdm.auto")
    module.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    x, k = np.ones((20, 15)), np.ones((3, 3))
    fastconv.convolve2d(x, k, progress=True)
    assert bars == [[1, "convolve2d", "block", 1], "closed"]
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    fastconv.correlate2d(x, k, progress=True)
    assert capsys.readouterr().err == "\rcorrelate2d: 100 %\n"
    fastconv.correlate2d(x, k, progress=False)
    assert capsys.readouterr().err == ""


def test_results_that_cannot_be_cut_are_computed_whole():
    x = np.arange(6.0).reshape(2, 3)
    assert fastconv.convolve(2.0, 3.0, progress=True) == 6
    for first, second in ((x, np.ones((5, 5))), (np.ones((1, 1)), x)):
        y = fastconv.convolve2d(first, second, progress=True)
        assert same_bits(y, fastconv.convolve2d(first, second))


@pytest.mark.usefixtures("small_blocks")
def test_an_array_may_be_written_over_itself(tmp_path):
    x, k = np.arange(300.0).reshape(20, 15), np.ones((3, 3))
    expected = fastconv.convolve2d(x, k, "same")
    both = Stored(x.copy())
    fastconv.convolve2d(both, k, "same", out=both)
    assert same_bits(both.array, expected)
    first, second = (np.memmap(tmp_path / "x", "d", m, shape=x.shape) for m in ("w+", "r+"))
    first[...] = x
    first.flush()
    fastconv.convolve2d(first, k, "same", out=second)
    assert same_bits(np.array(second), expected)
    wide = np.zeros((21, 15))
    wide[:-1] = x
    fastconv.convolve2d(wide[:-1], k, "same", out=wide[1:], progress=lambda done, n: None)
    assert same_bits(wide[1:], expected)


class Wrapper(Stored):
    """An array in memory, and none of NumPy's, as xarray's are; what is read are views."""

    def __array__(self, *args, **kwargs):
        return np.asarray(self.array, *args, **kwargs)


class Lender(Wrapper):
    """One that lends its memory by a buffer."""

    def __getitem__(self, place):
        return memoryview(super().__getitem__(place))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("function", ["convolve2d", "fftconvolve"])
def test_memory_is_known_whatever_wraps_it(function, tmp_path):
    x, k = np.random.default_rng(1).random((20, 15)), np.ones((3, 3))
    expected = getattr(fastconv, function)(x, k, "same", progress=lambda *_: None)
    maps = [np.memmap(tmp_path / "x", "d", m, shape=x.shape) for m in ("w+", "r+")]
    for of in (
        lambda: (Wrapper(b := x.copy()), b),
        lambda: (b := x.copy(), Wrapper(b)),
        lambda: (Wrapper(b := x.copy()), Wrapper(b)),
        lambda: (Wrapper((b := x.copy())[:]), Wrapper(b.T.T)),
        lambda: (Wrapper(maps[0]), maps[1]),
        lambda: (Lender((b := np.concatenate([x, x]))[: len(x)]), Lender(b[5 : 5 + len(x)])),
    ):
        source, out = of()
        maps[0][:] = x
        maps[0].flush()
        assert getattr(fastconv, function)(source, k, "same", out=out) is out
        assert same_bits(np.array(out), expected)
    both = x.copy()
    getattr(fastconv, function)(x, Wrapper(both[:3, :3]), "same", out=Wrapper(both))
    expected = getattr(fastconv, function)(x, x[:3, :3], "same", progress=lambda *_: None)
    assert same_bits(both, expected)


def test_arrays_in_chunks_are_not_read_to_see_whether_they_share_memory():
    class Chunked(Stored):
        def __getitem__(self, place):
            reads.append(place)
            return super().__getitem__(place)

    reads, x = [], np.ones((20, 15))
    source, out = Chunked(x, chunks=(20, 15)), Chunked(x.copy(), chunks=(20, 15))
    fastconv.convolve2d(source, np.ones((3, 3)), "same", out=out)
    assert len(reads) == 1
    fastconv.convolve2d(x, np.ones((3, 3)), "same", out=out)
    assert len(reads) == 1


@pytest.mark.usefixtures("small_blocks")
def test_the_bits_are_those_of_blocks_whether_or_not_the_output_overlaps():
    x, k = np.random.default_rng(1).random((20, 15)), np.random.default_rng(2).random((3, 3))
    seen = []
    for out in (np.empty_like(x), x):
        told = []
        fastconv.convolve2d(
            x, k, "same", method="fft", out=out, progress=lambda *which, t=told: t.append(which)
        )
        seen.append((told, out.tobytes()))
    assert seen[0] == seen[1]


@pytest.mark.usefixtures("small_blocks")
def test_data_sets_of_one_file_are_known_by_any_name(tmp_path):
    h5py = pytest.importorskip("h5py")
    x, k = np.arange(300.0).reshape(20, 15), np.ones((3, 3))
    with h5py.File(tmp_path / "x", "w") as file:
        first = file.create_dataset("a", data=x)
        other = file.create_dataset("b", data=x)
        file["c"], file["d"] = h5py.SoftLink("/a"), first
        (tmp_path / "x").rename(tmp_path / "z")
        for out in (other, file["a"], file["c"], file["d"]):
            first[:] = x
            fastconv.convolve2d(first, k, "same", out=out)
            assert same_bits(out[:], fastconv.convolve2d(x, k, "same"))
    with h5py.File(io.BytesIO(), "w") as file:
        file["a"] = x
        fastconv.convolve2d(file["a"], k, "same", out=file["a"])
        assert same_bits(file["a"][:], fastconv.convolve2d(x, k, "same"))


@pytest.mark.usefixtures("small_blocks")
def test_data_sets_made_of_other_files_are_known(tmp_path):
    h5py = pytest.importorskip("h5py")
    x, k = np.arange(300.0).reshape(20, 15), np.ones((3, 3))
    expected = fastconv.convolve2d(x, k, "same")
    early = []

    def filtered(source, out):
        before = out[:]
        early.clear()

        def look(*_):
            early.append(not same_bits(out[:], before))

        fastconv.convolve2d(source, k, "same", out=out, progress=look)
        assert len(early) > 1
        return same_bits(out[:], expected)

    with h5py.File(tmp_path / "x", "w") as file, h5py.File(tmp_path / "y", "w") as other:
        file["a"] = x
        for place, target in ((file, file["a"]), (other, file["a"])):
            layout = h5py.VirtualLayout(x.shape, x.dtype)
            layout[...] = h5py.VirtualSource(file["a"])
            shown = place.create_virtual_dataset("b", layout)
            file.flush()
            assert filtered(shown, target)
            assert not any(early)
            file["a"][:] = x
        free = other.create_dataset("free", data=x)
        assert filtered(file["b"], free)
        assert all(early)
        raw = [(str(tmp_path / "raw"), 0, x.nbytes)]
        first, second = (
            file.create_dataset(name, x.shape, x.dtype, external=raw) for name in ("c", "d")
        )
        first[:] = x
        file.flush()
        assert filtered(first, second)
    one = h5py.File(tmp_path / "x", "r", driver="stdio", locking=False)
    two = h5py.File(tmp_path / "x", "r+", locking=False)
    with one, two:
        assert filtered(one["a"], two["a"])


@pytest.mark.usefixtures("small_blocks")
def test_a_store_that_wraps_another_holds_the_same_arrays(tmp_path):
    zarr = pytest.importorskip("zarr")
    x, k = np.arange(300.0).reshape(20, 15), np.ones((3, 3))
    store = zarr.storage.LocalStore(tmp_path / "x")
    first = zarr.create_array(store, shape=x.shape, chunks=(4, 4), dtype="d")
    first[:] = x
    second = zarr.open_array(zarr.storage.LoggingStore(store), mode="r+")
    fastconv.convolve2d(first, k, "same", out=second)
    assert same_bits(first[:], fastconv.convolve2d(x, k, "same"))
    shutil.rmtree(tmp_path / "x")
    assert _blocks._is_same(first, second)
    other = zarr.create_array(zarr.storage.LocalStore(tmp_path / "y"), shape=x.shape, dtype="d")
    assert not _blocks._is_same(first, other)


@pytest.mark.usefixtures("small_blocks")
def test_maps_of_different_files_are_written_block_by_block(tmp_path, monkeypatch):
    x, k = np.arange(300.0).reshape(20, 15), np.ones((3, 3))
    blocks = []
    for name in ("x", "y"):
        (tmp_path / name).write_bytes(x.tobytes())
    first, second = (np.memmap(tmp_path / name, "d", "r+", shape=x.shape) for name in "xy")
    for maps in (True, False):
        if not maps:  # as where the system does not tell what is mapped
            monkeypatch.setattr(Path, "exists", lambda self: False)
        fastconv.convolve2d(first, k, "same", out=second, progress=lambda *_: blocks.append(1))
        assert len(blocks) > 1
        assert same_bits(np.array(second), fastconv.convolve2d(x, k, "same"))
        blocks.clear()
    again = np.memmap(tmp_path / "x", "d", "r+", shape=x.shape)
    fastconv.convolve2d(first, k, "same", out=again)
    assert same_bits(np.array(first), fastconv.convolve2d(x, k, "same"))
    again.filename = None
    first[...] = x
    fastconv.convolve2d(first, k, "same", out=again)
    assert same_bits(np.array(first), fastconv.convolve2d(x, k, "same"))
    assert not _problem.may_overlap(np.asarray(first), np.asarray(second)[1:])
    monkeypatch.undo()
    assert not _problem.may_overlap(np.asarray(first), np.asarray(second)[1:])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda self: io.StringIO(""))  # it may be told another way
        assert _problem.may_overlap(first, second)
    memory = [np.frombuffer(mmap.mmap(-1, x.nbytes)).reshape(x.shape) for _ in range(2)]
    assert _problem.may_overlap(*memory) != Path("/proc/self/maps").exists()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is mapped")
@pytest.mark.parametrize("change", ["none", "renamed", "removed", "unnamed", "replaced"])
def test_maps_of_a_file_are_known_whatever_becomes_of_its_name(tmp_path, change):
    x, k = np.arange(300.0).reshape(20, 15), np.ones((3, 3))
    expected = fastconv.convolve2d(x, k, "same")
    blur = fastconv.plan(k, x.shape, x.dtype, mode="same")

    def maps():
        if change == "unnamed":
            with tempfile.TemporaryFile(dir=tmp_path) as file:
                file.truncate(x.nbytes)
                return [np.memmap(file, "d", "r+", shape=x.shape) for _ in range(2)]
        path = tmp_path / "x"
        path.write_bytes(bytes(x.nbytes))
        first = np.memmap(path, "d", "r+", shape=x.shape)
        if change in ("renamed", "replaced"):
            path = path.rename(tmp_path / "y")
        if change == "replaced":
            (tmp_path / "x").write_bytes(bytes(x.nbytes))
        second = np.memmap(path, "d", "r+", shape=x.shape)
        if change == "removed":
            path.unlink()
        return first, second

    for call in (
        lambda a, out: fastconv.convolve2d(a, k, "same", out=out),
        lambda a, out: fastconv.convolve2d(np.asarray(a), k, "same", out=np.asarray(out)),
        lambda a, out: fastconv.convolve(np.asarray(a), k, "same", "direct", out=out),
        lambda a, out: blur(a, out=out),
        lambda a, out: blur(np.asarray(a)[:], out=np.asarray(out)[:]),
    ):
        first, second = maps()
        first[...] = x
        call(first, second)
        assert same_bits(np.array(first), expected)


@pytest.mark.skipif(os.name != "posix", reason="no files of memory")
def test_two_views_of_shared_memory_are_one():
    x, k = np.arange(300.0).reshape(20, 15), np.ones((3, 3))
    one = shared_memory.SharedMemory(create=True, size=x.nbytes)
    two = shared_memory.SharedMemory(one.name)
    first, second = (np.ndarray(x.shape, x.dtype, memory.buf) for memory in (one, two))
    first[...] = x
    fastconv.convolve2d(first, k, "same", out=second)
    result = first.copy()
    del first, second
    two.close()
    one.close()
    one.unlink()
    assert same_bits(result, fastconv.convolve2d(x, k, "same"))


def test_sparse_arrays_are_refused_with_any_argument():
    sparse = pytest.importorskip("scipy.sparse")
    x, k = sparse.csr_array(np.eye(5)), np.ones((2, 2))
    for more in ({}, {"out": np.zeros((5, 5))}, {"progress": lambda done, n: None}):
        with pytest.raises(ValueError, match="inputs must both be 2-D arrays"):
            fastconv.convolve2d(x, k, "same", **more)


@pytest.mark.usefixtures("small_blocks")
def test_files_are_known_by_any_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, k = np.arange(300.0).reshape(20, 15), np.ones((3, 3))
    expected = fastconv.convolve2d(x, k, "same")
    names = ["x", tmp_path / "x"]
    if os.name == "posix":
        names.append("another")
    for name in names:
        first = np.memmap("x", "d", "w+", shape=x.shape)
        first[...] = x
        first.flush()
        if name == "another":
            os.link("x", name)
        second = np.memmap(name, "d", "r+", shape=x.shape)
        for array in (first, np.asarray(first)):
            first[...] = x
            fastconv.convolve2d(array, k, "same", out=second)
            assert same_bits(np.array(second), expected)


@pytest.mark.usefixtures("small_blocks")
def test_arrays_of_one_file_are_known_by_any_name(tmp_path, monkeypatch):
    zarr = pytest.importorskip("zarr")
    monkeypatch.chdir(tmp_path)
    x, k = np.arange(300.0).reshape(20, 15), np.ones((3, 3))
    first = zarr.create_array("x", shape=x.shape, chunks=(4, 4), dtype="d")
    first[:] = x
    second = zarr.open_array(tmp_path / "x", mode="r+")
    second.attrs["unit"] = "m"
    fastconv.convolve2d(first, k, "same", out=second)
    assert same_bits(second[:], fastconv.convolve2d(x, k, "same"))
    memory = zarr.storage.MemoryStore()
    first = zarr.create_array(memory, name="x", shape=x.shape, chunks=(4, 4), dtype="d")
    first[:] = x
    other = zarr.create_array(memory, name="y", shape=x.shape, chunks=(4, 4), dtype="d")
    for out in (other, zarr.open_array(memory, path="x", mode="r+")):
        fastconv.convolve2d(first, k, "same", out=out)
        assert same_bits(out[:], fastconv.convolve2d(x, k, "same"))


def test_what_holds_arrays_is_not_compared():
    class Odd:
        shape, dtype = (6, 5), np.dtype("d")

        def __init__(self):
            self.array = np.ones(self.shape)

        def __getitem__(self, place):
            return self.array[place]

        def __setitem__(self, place, values):
            self.array[place] = values

        def __eq__(self, other):
            raise RuntimeError("compared")

        __hash__ = None

    a, b = Odd(), Odd()
    fastconv.convolve2d(a, np.ones((3, 3)), "same", out=b)
    assert same_bits(b.array, fastconv.convolve2d(a.array, np.ones((3, 3)), "same"))


@pytest.mark.usefixtures("small_blocks")
def test_kernels_of_less_dimensions_count_their_own_axes():
    x = np.arange(5 * 6 * 6 * 6.0).reshape(5, 6, 6, 6)
    for axes, taps in (((-2, -1), (1, 1, 3)), ((-3, -2), (1, 3, 1))):
        k = np.ones(taps)
        expected = fastconv.convolve2d(x, k, axes=axes)
        y = fastconv.convolve2d(x, k, axes=axes, progress=lambda *_: None)
        assert same_bits(y, expected)


@pytest.mark.parametrize("chunks", [(1, 200000), (200000, 1), (512, 512), (100000, 100000)])
def test_blocks_hold_chunks_and_no_more_outputs_than_they_may(chunks):
    image = np.broadcast_to(np.float32(0), (200000, 200000))
    arguments = {"mode": "same", "boundary": "fill", "fillvalue": 0, "axes": None, "method": "auto"}
    cut = _cut.blocks_of(fastconv.convolve2d, image, np.ones((3, 3), "f"), arguments).cut
    lengths = _blocks._lengths(cut, chunks)
    assert np.prod(lengths) <= max(_blocks.BLOCK, np.prod(chunks))
    for length, chunk in zip(lengths, chunks, strict=True):
        assert length % chunk == 0 or length == 200000
    # Objects of dask have chunks of another kind.
    assert len(_blocks._lengths(cut, ((3, 3), (3, 3)))) == 2


def test_one_tap_is_a_product_in_blocks(monkeypatch):
    monkeypatch.setattr(_blocks, "BLOCK", 30)
    x = np.arange(200.0).reshape(10, 20)
    for mode in ("full", "same", "valid"):
        out = Stored(np.zeros_like(x))
        fastconv.fftconvolve(Stored(x), [[2]], mode, out=out)
        assert same_bits(out.array, 2 * x)


def test_what_is_only_written_to_needs_nothing_else():
    class Sink:
        shape, dtype = (9, 9), np.dtype("d")

        def __setitem__(self, place, values):
            self.seen = values

    out = Sink()
    fastconv.convolve2d(np.ones((9, 9)), np.ones((3, 3)), "same", out=out)
    assert out.seen.shape == (9, 9)


def test_what_cannot_be_cut_is_told_too():
    told = []
    fastconv.convolve2d(
        np.ones((2, 3)), np.ones((9, 9)), progress=lambda *which: told.append(which)
    )
    assert told == [(1, 1)]
    y = fastconv.fftconvolve(
        np.ones((3, 2)), np.ones((2, 2)), axes=iter([0]), progress=lambda *which: None
    )
    assert y.shape == (4, 2)
