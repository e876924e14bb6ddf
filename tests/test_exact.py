"""
Answers equal to the bit.

Integers are exact modulo 2**bits whatever their values; floating-point data are small integers, of
which no partial sum is ever rounded. One expected array holds whatever the order of the sums.
"""

import numpy as np
import pytest
from cases import (
    BOUNDARIES,
    CALLS,
    COMPLEXES,
    DTYPES,
    FUNCTIONS,
    INTEGERS,
    MODES,
    REALS,
    SEAM_WIDTHS,
    SHAPES,
    WORDS,
    fits,
    floats,
    same_bits,
    whole_numbers,
)
from oracle import exact

import fastconv


def check(function, x, k, mode, boundary, fill=0, ring=np.int64):
    y = getattr(fastconv, function)(x, k, mode, boundary, fill)
    expected = exact(function, x, k, mode, boundary, fill, ring)
    assert y.dtype == expected.dtype
    assert same_bits(y, expected), (
        f"{function}({x.shape} {x.dtype}, {k.shape} {k.dtype}, {mode!r}, {boundary!r}, {fill}): "
        f"wrong at {np.argwhere(y != expected)[:5].tolist()}"
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
def test_every_dtype_call_and_kind_of_size_is_exact(dtype, function, mode, boundary):
    rng = np.random.default_rng(1)
    for image_shape, kernel_shape in SHAPES:
        if fits(image_shape, kernel_shape, mode):
            x = whole_numbers(rng, image_shape, dtype)
            k = whole_numbers(rng, kernel_shape, dtype)
            fill = whole_numbers(rng, (), dtype)
            check(function, x, k, mode, boundary, fill, ring=object)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_valid_lets_either_operand_be_the_larger(function, mode):
    rng = np.random.default_rng(2)
    for dtype in "hfF":
        x, k = whole_numbers(rng, (3, 4), dtype), whole_numbers(rng, (8, 7), dtype)
        check(function, x, k, mode, "fill", ring=object)
        check(function, k, x, mode, "fill", ring=object)


@pytest.mark.parametrize("first", "bHiQfdFD")
@pytest.mark.parametrize("second", "BhIqfdFD")
@pytest.mark.parametrize("function", FUNCTIONS)
def test_operands_of_two_dtypes_are_promoted_before_any_arithmetic(function, first, second):
    rng = np.random.default_rng(3)
    x = whole_numbers(rng, (9, 21), first)
    k = whole_numbers(rng, (3, 2), second)
    if np.result_type(x, k).kind in "fc":  # then whole numbers must be small to be exact
        x, k = x % 8 if first not in "FD" else x, k % 8 if second not in "FD" else k
    for mode in MODES:
        for boundary in BOUNDARIES:
            check(function, x, k, mode, boundary, 2, ring=object)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_integers_wrap_around_at_their_extremes(function, dtype):
    info = np.iinfo(dtype)
    for pixel in (info.min, info.max):
        for tap in (info.min, info.max):
            x, k = np.full((9, 40), pixel, dtype), np.full((3, 5), tap, dtype)
            for boundary in BOUNDARIES:
                check(function, x, k, "full", boundary, pixel, ring=object)


def test_a_wrapped_sum_is_what_c_says():
    """A worked example: 2 * 100 is -56 in int8; -128 * -1 is -128."""
    k = np.array([[1, 1]], np.int8)
    assert fastconv.convolve2d(np.array([[100, 100]], np.int8), k).tolist() == [[100, -56, 100]]
    k = np.array([[-1]], np.int8)
    assert fastconv.convolve2d(np.array([[-128]], np.int8), k).tolist() == [[-128]]


@pytest.mark.parametrize("dtype", WORDS)
def test_every_size_from_1_by_1_to_67_by_19_is_exact(dtype):
    rng = np.random.default_rng(4)
    for height in range(1, 20):
        for width in range(1, 68):
            for shape in ((height, width), (width, height)):
                function, mode, boundary = CALLS[rng.integers(len(CALLS))]
                kernel_shape = tuple(rng.integers(1, 8, 2).tolist())
                if not fits(shape, kernel_shape, mode):
                    kernel_shape = tuple(np.minimum(shape, kernel_shape))
                x = whole_numbers(rng, shape, dtype)
                k = whole_numbers(rng, kernel_shape, dtype)
                check(function, x, k, mode, boundary, whole_numbers(rng, (), dtype))


@pytest.mark.parametrize("dtype", WORDS)
@pytest.mark.parametrize("kernel_shape", [(1, 1), (3, 3), (2, 4), (5, 2), (1, 6), (7, 1)])
def test_widths_around_every_seam_are_exact(dtype, kernel_shape):
    rng = np.random.default_rng(5)
    for width in SEAM_WIDTHS:
        function, mode, boundary = CALLS[rng.integers(len(CALLS))]
        height = int(rng.integers(kernel_shape[0], 14))
        x = whole_numbers(rng, (height, max(width, kernel_shape[1])), dtype)
        k = whole_numbers(rng, kernel_shape, dtype)
        check(function, x, k, mode, boundary, 1)


@pytest.mark.parametrize("dtype", WORDS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("image_shape", [(131, 50), (257, 33), (300, 17), (260, 97), (1030, 24)])
def test_images_of_several_tiles_are_exact(dtype, boundary, image_shape):
    rng = np.random.default_rng(6)
    x = whole_numbers(rng, image_shape, dtype)
    for function, kernel_shape in (("convolve2d", (5, 6)), ("correlate2d", (12, 9))):
        check(function, x, whole_numbers(rng, kernel_shape, dtype), "same", boundary, 2)


@pytest.mark.parametrize("dtype", WORDS)
@pytest.mark.parametrize("across", [False, True], ids=["row", "column"])
def test_one_dimensional_kernels_of_length_1_to_300_are_exact(dtype, across):
    rng = np.random.default_rng(7)
    lengths = [*range(1, 34), 47, 48, 49, 63, 64, 65, 95, 96, 97, 100, 127, 128, 129, 255, 256, 300]
    for length in lengths:
        function, mode, boundary = CALLS[rng.integers(len(CALLS))]
        x = whole_numbers(rng, (int(rng.integers(1, 5)), int(rng.integers(300, 420))), dtype)
        k = whole_numbers(rng, (1, length), dtype)
        if across:
            x, k = x.T.copy(), k.T.copy()
        check(function, x, k, mode, boundary, 1)


@pytest.mark.parametrize("dtype", WORDS)
@pytest.mark.parametrize("thickness", [1, 2, 3])
@pytest.mark.parametrize("length", [2047, 2500, 4096, 5000])
def test_long_thin_images_are_exact(dtype, thickness, length):
    rng = np.random.default_rng(8)
    for kernel_shape in ((1, 65), (1, 8), (3, 30), (2, 1)):
        function, mode, boundary = CALLS[rng.integers(len(CALLS))]
        x = whole_numbers(rng, (thickness, length), dtype)
        k = whole_numbers(rng, kernel_shape, dtype)
        if not fits(x.shape, k.shape, mode):
            mode = "same"
        check(function, x, k, mode, boundary, 1)
        check(function, x.T.copy(), k.T.copy(), mode, boundary, 1)


@pytest.mark.parametrize("dtype", WORDS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_large_kernels_and_kernels_larger_than_the_image_are_exact(function, boundary, dtype):
    rng = np.random.default_rng(9)
    for image_shape, kernel_shape in (
        ((60, 70), (40, 51)),
        ((30, 31), (50, 33)),
        ((17, 40), (64, 3)),
        ((40, 17), (3, 64)),
        ((5, 3), (31, 40)),
    ):
        x = whole_numbers(rng, image_shape, dtype)
        k = whole_numbers(rng, kernel_shape, dtype)
        for mode in ("full", "same"):
            check(function, x, k, mode, boundary, 3)


@pytest.mark.parametrize("dtype", COMPLEXES)
@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
def test_an_operand_without_imaginary_part_is_exact_beside_one_with(
    dtype, function, mode, boundary
):
    rng = np.random.default_rng(10)
    real = np.empty(0, dtype).real.dtype
    for image_shape, kernel_shape in (((9, 50), (3, 4)), ((40, 7), (2, 1))):
        image = whole_numbers(rng, image_shape, dtype)
        kernel = whole_numbers(rng, kernel_shape, dtype)
        for x in (image, image.real.astype(real), image.real.astype(dtype), 1j * image.real):
            for k in (
                kernel,
                kernel.real.astype(real),
                kernel.real.astype(dtype),
                1j * kernel.real,
            ):
                fill = 2 - 1j if np.result_type(x, k).kind == "c" else 2
                check(function, x.astype(np.result_type(x, real)), k, mode, boundary, fill)


@pytest.mark.parametrize("dtype", INTEGERS + REALS + COMPLEXES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_result_is_a_fresh_contiguous_plain_array(function, dtype):
    x, k = np.ones((6, 7), dtype), np.ones((2, 3), dtype)
    for operands in ((x, k), (k, x)):
        y = getattr(fastconv, function)(*operands, mode="valid")
        assert type(y) is np.ndarray
        assert y.dtype == x.dtype
        assert y.shape == (5, 5)
        assert y.flags.c_contiguous
        assert y.flags.owndata
        assert y.flags.writeable
        assert y.flags.aligned


@pytest.mark.parametrize("width", [69, 81, 245])
def test_tiles_of_tall_kernels_are_narrow(width):
    """So narrow that a tile's part between the margins is shorter than a block."""
    rng = np.random.default_rng(21)
    image, kernel = rng.integers(-9, 10, (260, width)), rng.integers(-9, 10, (251, 41))
    padded = np.pad(image, ((125, 125), (20, 20)))
    expected = sum(
        kernel[250 - i, 40 - j] * padded[i : i + 260, j : j + width]
        for i, j in np.ndindex(kernel.shape)
    )
    image, kernel = image.astype("d"), kernel.astype("d")
    result = fastconv.convolve2d(image, kernel, "same", method="direct")
    assert same_bits(result, expected.astype("d"))


# Kernels of more taps than a block adds at a time: whole rows, parts of a row, a row that is cut
# into rows, and a column.
IN_PIECES = (
    ((505, 437), (500, 400)),
    ((6, 150_070), (2, 150_001)),
    ((5, 150_070), (1, 150_001)),
    ((1, 400_300), (1, 400_003)),
    ((300_020, 3), (300_001, 1)),
)


@pytest.mark.parametrize("dtype", WORDS)
@pytest.mark.parametrize(("image_shape", "kernel_shape"), IN_PIECES)
def test_kernels_that_are_summed_in_pieces_are_exact(image_shape, kernel_shape, dtype):
    rng = np.random.default_rng(22)
    x = whole_numbers(rng, image_shape, dtype, 3)
    k = whole_numbers(rng, kernel_shape, dtype, 3)
    if x.size < k.size:
        x, k = k, x
    result = fastconv.correlate2d(x, k, "valid", method="direct")
    windows = np.lib.stride_tricks.sliding_window_view(x, k.shape)
    taps = k.conj()
    expected = np.array([[(w * taps).sum(dtype=dtype) for w in row] for row in windows])
    assert same_bits(result, expected)


@pytest.mark.parametrize("dtype", "fdF")
def test_pieces_change_no_bit(dtype):
    # Zeros move the seams, and add nothing.
    rng = np.random.default_rng(23)
    x, k = floats(rng, (520, 350), dtype), floats(rng, (390, 300), dtype)
    expected = fastconv.correlate2d(x, k, "valid", method="direct")
    assert k.size < 1 << 17
    for before, after in ((60, 0), (100, 101), (0, 50)):
        more = np.pad(k, ((before, after), (0, 0)))
        y = np.pad(x, ((before, after), (0, 0)))
        assert more.size > 1 << 17
        assert same_bits(fastconv.correlate2d(y, more, "valid", method="direct"), expected)
