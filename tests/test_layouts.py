"""
Where arrays lie in memory does not show in the result, and nothing else in memory is touched.

Strides, alignment, byte order and write protection of inputs and out, inputs and out that overlap,
and arrays between pages that may not be touched at all.
"""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import (
    BOUNDARIES,
    DTYPES,
    FUNCTIONS,
    SWAPPED,
    WORDS,
    floats,
    numbers,
    same_bits,
    small_numbers,
)

import fastconv
from fastconv import _parts, _problem, _rank_one


def as_it_comes(array):
    return np.array(array, order="C")


def fortran(array):
    return np.array(array, order="F")


def strided(array):
    base = np.zeros((2 * array.shape[0] + 1, 3 * array.shape[1] + 2), array.dtype)
    view = base[1::2, 2::3]
    view[...] = array
    return view


def rows_backwards(array):
    return as_it_comes(array[::-1])[::-1]


def columns_backwards(array):
    return as_it_comes(array[:, ::-1])[:, ::-1]


def every_way_backwards(array):
    return fortran(strided(array)[::-1, ::-1])[::-1, ::-1]


def overlapping_rows(array):
    """Rows one element apart: a window that slides along a line."""
    line = np.resize(array.ravel(), array.shape[0] + array.shape[1] - 1)
    return np.lib.stride_tricks.sliding_window_view(line, array.shape[1])


def repeated_row(array):
    return np.broadcast_to(array[:1], array.shape)


def repeated_column(array):
    return np.broadcast_to(array[:, :1], array.shape)


def repeated_element(array):
    return np.broadcast_to(array[0, 0], array.shape)


def misaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    view = raw.view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def misaligned_rows(array):
    """Rows that start an odd number of bytes apart."""
    row = array.shape[1] * array.itemsize + 3
    raw = np.zeros(array.shape[0] * row, np.uint8)
    view = np.ndarray(array.shape, array.dtype, raw, strides=(row, array.itemsize))
    view[...] = array
    return view


def field_of_a_record(array):
    records = np.zeros(array.shape, np.dtype([("flag", "u1"), ("value", array.dtype)]))
    records["value"] = array
    return records["value"]


def byte_swapped(array):
    return array.astype(array.dtype.newbyteorder())


def read_only(array):
    view = as_it_comes(array)
    view.flags.writeable = False
    return view


# Those that may be written to, element by element.
OUT_LAYOUTS = (
    as_it_comes,
    fortran,
    strided,
    rows_backwards,
    columns_backwards,
    every_way_backwards,
    misaligned,
    misaligned_rows,
    field_of_a_record,
)
LAYOUTS = (
    *OUT_LAYOUTS,
    overlapping_rows,
    repeated_row,
    repeated_column,
    repeated_element,
    byte_swapped,
    read_only,
)


def name(value):
    return getattr(value, "__name__", None)


@pytest.mark.parametrize("dtype", WORDS)
@pytest.mark.parametrize("layout", LAYOUTS, ids=name)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_layout_of_the_inputs_does_not_show_in_a_bit(function, layout, dtype):
    rng = np.random.default_rng(1)
    call = getattr(fastconv, function)
    for image_shape, kernel_shape in (((11, 70), (3, 4)), ((40, 9), (5, 1)), ((4, 5), (6, 3))):
        image = layout(numbers(rng, image_shape, dtype))
        kernel = layout(numbers(rng, kernel_shape, dtype))
        plain_image, plain_kernel = (np.array(a, dtype, order="C") for a in (image, kernel))
        for boundary in BOUNDARIES:
            expected = call(plain_image, plain_kernel, "full", boundary)
            assert same_bits(call(image, plain_kernel, "full", boundary), expected)
            assert same_bits(call(plain_image, kernel, "full", boundary), expected)
            assert same_bits(call(image, kernel, "full", boundary), expected)


@pytest.mark.parametrize("dtype", WORDS)
@pytest.mark.parametrize("layout", LAYOUTS, ids=name)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_inputs_are_not_modified(function, layout, dtype):
    rng = np.random.default_rng(2)
    image, kernel = (layout(numbers(rng, shape, dtype)) for shape in ((9, 40), (4, 3)))
    before = image.tobytes(), kernel.tobytes(), image.strides, kernel.strides
    for mode in ("full", "same", "valid"):
        for boundary in BOUNDARIES:
            getattr(fastconv, function)(image, kernel, mode, boundary)
            getattr(fastconv, function)(kernel, image, mode, boundary)
    assert (image.tobytes(), kernel.tobytes(), image.strides, kernel.strides) == before


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_alignment_does_not_show_in_a_bit(function, dtype):
    rng = np.random.default_rng(3)
    image, kernel = numbers(rng, (6, 100), dtype), numbers(rng, (3, 5), dtype)
    expected = getattr(fastconv, function)(image, kernel)
    for offset in range(0, 64 + 1, 1 if image.itemsize < 4 else 4):
        raw = np.zeros(image.nbytes + 128, np.uint8)
        view = raw[offset : offset + image.nbytes].view(dtype).reshape(image.shape)
        view[...] = image
        assert same_bits(getattr(fastconv, function)(view, kernel), expected)


@pytest.mark.parametrize("dtype", WORDS)
@pytest.mark.parametrize("layout", OUT_LAYOUTS, ids=name)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_layout_of_out_does_not_show_in_a_bit(function, layout, dtype):
    rng = np.random.default_rng(4)
    for image_shape, kernel_shape in (((11, 70), (3, 4)), ((40, 9), (5, 1)), ((1, 2500), (1, 9))):
        image, kernel = numbers(rng, image_shape, dtype), numbers(rng, kernel_shape, dtype)
        for boundary in BOUNDARIES:
            expected = getattr(fastconv, function)(image, kernel, "same", boundary)
            out = layout(np.full(image_shape, 77, dtype))
            assert getattr(fastconv, function)(image, kernel, "same", boundary, out=out) is out
            assert same_bits(np.array(out, order="C"), expected)


@pytest.mark.parametrize("dtype", "bBhHiIqQfdFD")
def test_transforms_read_and_write_pixels_that_lie_apart(dtype):
    rng = np.random.default_rng(31)
    x = rng.integers(0, 9, (50, 61)).astype(dtype)
    k = rng.integers(0, 9, (5, 4)).astype(dtype)
    expected = fastconv.convolve2d(x, k, "same", method="fft")
    out = strided(np.ones_like(expected))
    fastconv.convolve2d(strided(x), k, "same", out=out, method="fft")
    assert same_bits(out.copy(), expected)


@pytest.mark.parametrize("dtype", "hfDg")
@pytest.mark.parametrize("layout", LAYOUTS, ids=name)
def test_large_arrays_are_converted_and_looked_at_in_parts(layout, dtype, monkeypatch):
    rng = np.random.default_rng(32)
    array = layout(numbers(rng, (9, 14), dtype))
    expected = _problem.converted(array, np.dtype("G"))
    monkeypatch.setattr(_parts, "PART", 160)
    assert np.array_equal(_problem.converted(array, np.dtype("G")), expected)
    assert _problem.all_finite(array)


def results_of_all_kinds():
    """Results of calls that make NumPy work on arrays as large as the inputs."""
    rng = np.random.default_rng(33)
    results = []
    for dtype in "fFGq":
        x, k = numbers(rng, (30, 41), dtype), numbers(rng, (7, 6), dtype)
        a, b = numbers(rng, (9, 10, 11), dtype), numbers(rng, (4, 3, 5), dtype)
        flat = b[:, :1, :1]
        results += [
            fastconv.correlate(x, k),
            fastconv.correlate2d(k, x, "same"),
            fastconv.convolve2d(x.real, k.real + 0j, method="direct"),
            fastconv.convolve2d(x.real, k.real + 0j, method="fft"),
            fastconv.convolve(x[0], k[1:4].ravel(), method="fft"),
            fastconv.convolve(a, b, method="direct"),
            fastconv.convolve(a, b, method="fft"),
            fastconv.convolve(a.T[:, None], b.T[:, None], "valid"),
            fastconv.convolve(a.T, flat.T),
            fastconv.fftconvolve(a, flat, axes=0),
            fastconv.fftconvolve(a, flat[:1] * 1j if dtype == "F" else flat[:1]),
            fastconv.fftconvolve(a, a[:, :1], axes=1),
            fastconv.fftconvolve(np.repeat(a, 9, 0), np.repeat(flat, 9, 0), axes=0),
            fastconv.convolve2d(a, b[0], axes=(1, 0), out=np.empty((11, 14, 11), dtype)),
        ]
    x, a = numbers(rng, (30, 41), "d"), numbers(rng, (9, 10, 11), "d")
    u, v = floats(rng, (21, 1), "d"), floats(rng, (1, 19), "d")
    results += [
        fastconv.convolve(1e300 * a, a[:4, :4, :4], method="fft"),
        fastconv.convolve(a.astype("e"), a.astype("e")),
        fastconv.convolve((9 * a).astype("h"), (9 * a).astype("b"), method="fft"),
        fastconv.convolve2d(x, u * v, method="separable"),
        fastconv.convolve2d((9 * x).astype("i"), np.ones((21, 19), "i"), method="separable"),
        fastconv.convolve2d(x, np.ones((3, 3)), "same", out=x),
        fastconv.convolve(x, np.array([[2.0]]), out=np.empty(x.shape)),
    ]
    return results


def test_parts_change_no_bit(monkeypatch):
    expected = results_of_all_kinds()
    for n_bytes in (1, 64, 640):
        monkeypatch.setattr(_parts, "PART", n_bytes)
        for result, right in zip(results_of_all_kinds(), expected, strict=True):
            assert same_bits(result, right)


def test_rows_that_lie_on_a_page_each_are_few_in_a_part():
    rows = np.empty((100, 1 << 18))[:, :100]  # 2 MB from one to the next
    seen = [part[0] for part in _parts.parts(rows)]
    assert [row for part in seen for row in range(100)[part]] == list(range(100))
    assert max(part.stop - part.start for part in seen) == 8


def test_axes_are_merged_without_a_copy_where_numpy_can(monkeypatch):
    monkeypatch.setattr(_parts, "PART", 1)
    rng = np.random.default_rng(35)
    kept = 0
    for _ in range(400):
        n_axes = rng.integers(1, 6)
        a = np.ones(rng.integers(1, 4, n_axes) * rng.integers(1, 3))
        a = a[tuple(slice(None, None, rng.choice([1, 1, 1, -1, 2])) for _ in range(n_axes))]
        if rng.random() < 0.3:
            a = a.transpose(rng.permutation(n_axes))
        if rng.random() < 0.3:
            a = np.broadcast_to(a[:1], (3, *a.shape[1:]))
        seams = np.flatnonzero(rng.random(n_axes) < 0.6)
        shape = tuple(map(math.prod, np.split(np.array(a.shape), seams)))
        merged, expected = _parts.reshaped(a, shape), a.reshape(shape)
        assert np.array_equal(merged, expected)
        assert np.shares_memory(merged, a) == np.shares_memory(expected, a)
        kept += np.shares_memory(merged, a)
    assert 100 < kept < 390


@pytest.mark.parametrize("place", [(0, 0), (20, 3), (11, 28), (29, 40)])
@pytest.mark.parametrize("shape", [(30, 41), (41, 30)])
def test_factors_are_found_and_compared_in_parts(shape, place, monkeypatch):
    rng = np.random.default_rng(34)
    place = place if shape[0] == 30 else place[::-1]
    monkeypatch.setattr(_parts, "PART", 300)
    for dtype in "dq":
        u, v = small_numbers(rng, shape[:1], dtype), small_numbers(rng, shape[1:], dtype)
        u[place[0]], v[place[1]] = 99, 98  # the largest
        kernel = np.multiply.outer(u, v)
        found = _rank_one.factors(kernel)
        assert np.allclose(found[0] * found[1], kernel, 1e-14, 0)
        kernel[place] += 1
        assert _rank_one.factors(kernel) is None


@pytest.mark.parametrize("shape", [(1, 50), (50, 1), (7, 8), (8, 7), (3, 4, 5)])
def test_no_element_of_a_large_array_is_overlooked(shape, monkeypatch):
    monkeypatch.setattr(_parts, "PART", 160)
    double = np.dtype("D")
    for place in np.ndindex(shape):
        array = np.zeros(shape, double)
        assert _problem.real_where_it_can(array, double).dtype == "d"
        array[place] = 1j
        assert _problem.real_where_it_can(array, double).dtype == "D"
        assert _problem.converted(array, np.dtype("F"))[place] == 1j
        array[place] = np.inf
        assert not _problem.all_finite(array)


@pytest.mark.parametrize("dtype", WORDS)
@pytest.mark.parametrize("step", [(1, 1), (1, 2), (3, 1), (-1, -1), (2, -3)], ids=str)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_around_or_between_the_elements_of_out_is_written(function, step, dtype):
    rng = np.random.default_rng(5)
    for shape in ((1, 1), (1, 33), (7, 17), (9, 97), (37, 5), (2, 2100)):
        height, width = (abs(s) * n for s, n in zip(step, shape, strict=True))
        image, kernel = numbers(rng, shape, dtype), numbers(rng, (3, 2), dtype)
        guarded = np.full((height + 8, width + 64), 77, dtype)
        out = guarded[4 : 4 + height, 32 : 32 + width][:: step[0], :: step[1]]
        assert out.shape == shape
        getattr(fastconv, function)(image, kernel, "same", "wrap", out=out)
        expected = getattr(fastconv, function)(image, kernel, "same", "wrap")
        assert same_bits(np.array(out, order="C"), expected)
        out[...] = 77
        assert (guarded == 77).all()


# Views of one buffer of 40 by 90 elements: the image, the kernel and the out.
OVERLAPS = {
    "out is the image": lambda b: (b[:20, :50], b[30:33, 60:64], b[:20, :50]),
    "out is shifted down": lambda b: (b[:20, :50], b[30:33, 60:64], b[1:21, :50]),
    "out is shifted up": lambda b: (b[1:21, :50], b[30:33, 60:64], b[:20, :50]),
    "out is shifted right": lambda b: (b[:20, :50], b[30:33, 60:64], b[:20, 1:51]),
    "out is shifted left": lambda b: (b[:20, 1:51], b[30:33, 60:64], b[:20, :50]),
    "out is the image reversed": lambda b: (b[:20, :50], b[30:33, 60:64], b[:20, :50][::-1, ::-1]),
    "out is the image transposed": lambda b: (b[:20, :20], b[30:33, 60:64], b[:20, :20].T),
    "out holds the kernel": lambda b: (b[20:40, :50], b[3:6, 3:7], b[:20, :50]),
    "out is between the image's rows": lambda b: (b[:20:2, :50], b[30:33, 60:64], b[1:20:2, :50]),
    "out is between the image's columns": lambda b: (
        b[:20, :50:2],
        b[30:33, 60:64],
        b[:20, 1:50:2],
    ),
    "all are one": lambda b: (b[:9, :9], b[:9, :9], b[:9, :9]),
}


@pytest.mark.parametrize("dtype", WORDS)
@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_out_may_overlap_the_inputs(function, overlap, dtype):
    rng = np.random.default_rng(6)
    for boundary in BOUNDARIES:
        buffer = numbers(rng, (40, 90), dtype)
        image, kernel, out = OVERLAPS[overlap](buffer)
        expected_buffer = buffer.copy()
        expected_out = OVERLAPS[overlap](expected_buffer)[2]
        expected = getattr(fastconv, function)(image.copy(), kernel.copy(), "same", boundary)
        expected_out[...] = expected
        assert getattr(fastconv, function)(image, kernel, "same", boundary, out=out) is out
        assert same_bits(buffer, expected_buffer)


@pytest.mark.parametrize("dtype", "FD")
@pytest.mark.parametrize("function", FUNCTIONS)
def test_out_may_hold_the_parts_that_the_inputs_are(function, dtype):
    """Real inputs inside a complex out: out.real and out.imag interleave."""
    rng = np.random.default_rng(7)
    out = floats(rng, (12, 30), dtype)
    kernel = floats(rng, (3, 3), dtype)
    expected = getattr(fastconv, function)(out.real.copy(), kernel, "same")
    assert getattr(fastconv, function)(out.real, kernel, "same", out=out) is out
    assert same_bits(out, expected)


@pytest.mark.parametrize("dtype", WORDS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_fillvalue_may_lie_in_out(function, dtype):
    out = np.full((10, 40), 3, dtype)
    image, kernel = np.ones((10, 40), dtype), np.ones((3, 3), dtype)
    expected = getattr(fastconv, function)(image, kernel, "same", "fill", 3)
    getattr(fastconv, function)(image, kernel, "same", "fill", out[:1, :1], out=out)
    assert same_bits(out, expected)


def test_a_memory_map_is_read_and_written_in_place(tmp_path):
    rng = np.random.default_rng(8)
    image, kernel = rng.standard_normal((30, 40)), rng.standard_normal((3, 4))
    image.tofile(tmp_path / "image")
    mapped = np.memmap(tmp_path / "image", np.float64, "r", shape=(30, 40))
    out = np.memmap(tmp_path / "out", np.float64, "w+", shape=(30, 40))
    expected = fastconv.convolve2d(image, kernel, "same")
    y = fastconv.convolve2d(mapped, kernel, "same")
    assert type(y) is np.ndarray
    assert same_bits(y, expected)
    assert fastconv.convolve2d(mapped, kernel, "same", out=out) is out
    out.flush()
    assert (tmp_path / "out").read_bytes() == expected.tobytes()


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX mprotect")
def test_no_byte_outside_the_arrays_is_read_or_written():
    """Arrays end, or begin, where the memory ends: a byte too far kills the process."""
    script = Path(__file__).with_name("guard_pages.py")
    subprocess.run([sys.executable, script], check=True)


@pytest.mark.parametrize("dtype", SWAPPED, ids=str)
def test_inputs_that_share_one_byte_swapped_dtype_are_converted(dtype):
    # A kernel cut from the image has the very same dtype object, which is no native one.
    image = np.arange(12).reshape(3, 4).astype(dtype)
    native = image.astype(image.dtype.newbyteorder("="))
    result = fastconv.convolve2d(image, image[:2, :2])
    assert result.dtype.isnative
    assert np.array_equal(result, fastconv.convolve2d(native, native[:2, :2]))


@pytest.mark.parametrize("method", ["auto", "fft", "direct"])
def test_large_numbers_are_finite_in_any_layout(method):
    """Their sum is in the range in one order and not in another."""
    rng = np.random.default_rng(2)
    signs = np.where(np.arange(24) % 2, 1, -1).astype("f")
    k = rng.random((24, 24), "f") * np.float32(4e37) * signs[:, None]
    for shape in ((200, 200), (17, 19)):
        x = (rng.standard_normal(shape) * 1e-5).astype("f")
        y, other = (
            fastconv.convolve2d(x, its, "same", method=method) for its in (k, np.asfortranarray(k))
        )
        assert same_bits(y, other)
    flat = np.broadcast_to(np.float32(1e36), (40, 40))
    x = (rng.standard_normal((300, 300)) * 1e-5).astype("f")
    y, other = (fastconv.convolve2d(x, its, "same", method=method) for its in (flat, flat.copy()))
    assert same_bits(y, other)


@pytest.mark.parametrize("char", "gG")
@pytest.mark.parametrize("function", ["convolve2d", "correlate2d", "convolve", "fftconvolve"])
def test_long_double_whose_byte_order_has_a_name(function, char):
    """Files have it, and though it be the native one, NumPy lends no buffer of it."""
    named = np.dtype(char).newbyteorder("<" if sys.byteorder == "little" else ">")
    rng = np.random.default_rng(4)
    compute = getattr(fastconv, function)
    for shape, taps in (((9, 8), (3, 2)), ((3, 2), (9, 8)), ((9, 70), (9, 9))):
        image, kernel = (numbers(rng, n, char) for n in (shape, taps))
        expected = compute(image, kernel)
        out = np.zeros(expected.shape, named)
        for first, second in ((named, named), (named, char), (char, named)):
            arrays = [
                np.frombuffer(bytearray(a.tobytes()), dtype).reshape(a.shape)
                for a, dtype in ((image, first), (kernel, second))
            ]
            assert (compute(*arrays) == expected).all()
            assert compute(*arrays, out=out) is out
            assert (out == expected).all()
            out[...] = 0
    if function.endswith("2d"):
        fill = numbers(rng, (1, 1), char).astype(named)
        for options in (
            {"fillvalue": fill},
            {"boundary": "symm"},
            {"method": "separable"},
            {"axes": (0, 1)},
        ):
            ones = np.ones((3, 3), named)
            expected = compute(image, ones.astype(char), "same", **options)
            assert (compute(image.astype(named), ones, "same", **options) == expected).all()
        blur = fastconv.plan(np.ones((3, 3), named), image.shape, named)
        assert (blur(image.astype(named)) == blur(image)).all()
