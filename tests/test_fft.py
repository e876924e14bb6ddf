"""
The Fourier engine: its bound, tile by tile, in exact arithmetic, and what keeps it from harm.

Most tests force tiles of a size of their own choice upon it, for the planner's are few.
"""

import numpy as np
import pytest
from bounds import (
    check_tiles,
    check_transform,
    exact_sums,
    plan_of,
    problem_of,
    transformed,
)
from cases import ADVERSARIES, CALLS, fits, floats, same_bits

import fastconv
from fastconv import _solve
from fastconv._dispatch import engine_for

LANES = dict(_solve.lanes())
# There is no transform of one point, where there are no vectors either.
LEAST = {word: max(2, lanes) for word, lanes in LANES.items()}
# Of tiles that have room for a small kernel at any level.
UNIT = {word: max(8, lanes) for word, lanes in LANES.items()}
WORD = {"f": "f32", "d": "f64", "F": "f32", "D": "f64"}
# Image and kernel: real with real is folded, anything else is not.
PAIRS = ("ff", "fF", "Ff", "FF", "dd", "dD", "Dd", "DD")
EXTREME_PAIRS = ("ff", "FF", "dd", "DD")
# Lengths in lanes: all factors, alone and together.
FACTORS = (1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16, 25)


def is_folded(pair):
    return pair in ("ff", "dd")


def short_numbers(rng, shape, dtype, bits=14):
    """Numbers of few digits, whose sums are exact in int64."""
    array = np.empty(shape, dtype)
    array.real = rng.integers(-(1 << bits), 1 << bits, shape) * 2.0**-bits
    if array.dtype.kind == "c":
        array.imag = rng.integers(-(1 << bits), 1 << bits, shape) * 2.0**-bits
    return array


# --- every size of tile --------------------------------------------------------------------------


@pytest.mark.parametrize("pair", ["ff", "FF", "dd", "DD"])
@pytest.mark.parametrize("height", FACTORS)
def test_tiles_of_every_size_keep_their_bound(height, pair, record_ratio):
    rng = np.random.default_rng([1, height])
    lanes = LEAST[WORD[pair[0]]]
    for width in FACTORS:
        if height * width > 100:
            continue
        h, w = height * lanes, width * lanes
        most = h * (2 if is_folded(pair) else 1), w
        kernel_shape = rng.integers(1, np.minimum(most, 6), endpoint=True)
        function, mode, boundary = CALLS[rng.integers(len(CALLS))]
        # One tile, or two, or four; they are full, or nearly.
        image_shape = [n + rng.integers(0, n // 3 + 1) * rng.integers(0, 2) for n in most]
        image_shape = np.maximum(image_shape - kernel_shape * (mode == "full"), kernel_shape)
        x = short_numbers(rng, image_shape, pair[0])
        k = short_numbers(rng, kernel_shape, pair[1])
        ratio = check_transform(function, x, k, mode, boundary, 0.5, (h, w, False))
        record_ratio(f"{np.result_type(x, k)}, transforms of every size", ratio)
        assert ratio < 0.2  # 0.09 at worst, without fused products; more would be amiss


@pytest.mark.parametrize("pair", ["ff", "FF", "dd", "DD"])
@pytest.mark.parametrize("height", FACTORS)
def test_lines_of_every_size_keep_their_bound(height, pair, record_ratio):
    rng = np.random.default_rng([2, height])
    lanes = LEAST[WORD[pair[0]]]
    for width in FACTORS:
        if height * width > 64:
            continue
        h, w = height * lanes, width * lanes
        points = h * w * (2 if is_folded(pair) else 1)
        function, mode, boundary = CALLS[rng.integers(len(CALLS))]
        # Kernels of several rows of a tile, for pieces that are mostly halo.
        taps = int(rng.choice([2, 7, w, 2 * w + 3]))
        taps = min(taps, points // 2, 64)
        length = int(rng.choice([points, points + points // 3, w + 3, 3]))
        length = max(length - taps * (mode == "full"), taps if mode == "valid" else 1)
        x = short_numbers(rng, (int(rng.integers(1, 4)), length), pair[0])
        k = short_numbers(rng, (1, taps), pair[1])
        if rng.integers(2):
            x, k = x.T, k.T
        ratio = check_transform(function, x, k, mode, boundary, 0.5, (h, w, True))
        record_ratio(f"{np.result_type(x, k)}, lines of every size", ratio)
        assert ratio < 0.2


@pytest.mark.parametrize("pair", ["ff", "FF", "dd", "DD"])
@pytest.mark.parametrize("line", [False, True], ids=["tile", "line"])
def test_tiles_of_eight_blocks_keep_their_bound(line, pair, record_ratio):
    """Large tiles, whose rows are transformed in blocks that stay in cache."""
    rng = np.random.default_rng(3)
    lanes = LEAST[WORD[pair[0]]]
    bytes_of_a_point = 8 if pair[0] in "fF" else 16
    height, width = 8 * lanes, lanes
    while 2 * lanes * width * bytes_of_a_point <= 1 << 18:  # a quarter of the rows fits
        width *= 2
    x = short_numbers(rng, (1, 40000) if line else (2 * height - 3, width + 50), pair[0])
    k = short_numbers(rng, (1, 9) if line else (3, 4), pair[1])
    ratio = check_transform("correlate2d", x, k, "same", "symm", 0, (height, width, line))
    record_ratio(f"{np.result_type(x, k)}, eight blocks", ratio)


@pytest.mark.parametrize("pair", EXTREME_PAIRS)
@pytest.mark.parametrize("line", [False, True], ids=["tile", "line"])
def test_transforms_of_many_passes_keep_their_bound(line, pair, record_ratio):
    rng = np.random.default_rng(13)
    lanes = LEAST[WORD[pair[0]]]
    for height, width in ((1, 128), (128, 1), (2, 75), (75, 2), (96, 2), (1, 90), (50, 3)):
        grid = height * lanes, width * lanes, line
        points = grid[0] * (2 if is_folded(pair) else 1)
        shape = (1, points * grid[1] - 20) if line else (points + 9, max(1, grid[1] - 2))
        taps = (1, 12) if line else (min(4, points), min(3, grid[1]))
        x = short_numbers(rng, shape, pair[0])
        k = short_numbers(rng, taps, pair[1])
        ratio = check_transform("convolve2d", x, k, "full", "fill", 0, grid)
        record_ratio(f"{np.result_type(x, k)}, transforms of many passes", ratio)


@pytest.mark.parametrize("pair", ["ff", "DD"])
@pytest.mark.parametrize(
    ("height", "width"), [(1, 10240), (1, 18432), (1, 24000), (1, 32768), (81920, 1)]
)
def test_long_rows_and_columns_keep_their_bound(height, width, pair, record_ratio):
    """Passes of more points than are transformed between looks for signals."""
    rng = np.random.default_rng(15)
    lanes = LEAST[WORD[pair[0]]]
    grid = max(height, lanes), max(width, lanes), False
    points = grid[0] * (2 if is_folded(pair) else 1)
    x = short_numbers(rng, (max(1, points - 2), grid[1] - 1), pair[0])
    k = short_numbers(rng, (min(3, points), min(2, grid[1])), pair[1])
    ratio = check_transform("convolve2d", x, k, "full", "fill", 0, grid)
    record_ratio(f"{np.result_type(x, k)}, transforms of long lines", ratio)
    assert ratio < 0.01


@pytest.mark.parametrize("pair", EXTREME_PAIRS)
def test_a_line_too_long_for_its_tables_to_be_kept_keeps_its_bound(pair, record_ratio):
    rng = np.random.default_rng(14)
    x = short_numbers(rng, (1, 3000), pair[0])
    k = short_numbers(rng, (1, 50), pair[1])
    for _ in range(2):
        ratio = check_transform("convolve2d", x, k, "full", "fill", 0, (512, 1024, True))
        record_ratio(f"{np.result_type(x, k)}, long lines", ratio)


def test_sizes_that_there_is_no_transform_for_are_refused():
    taps = np.ones((1, 3, 3))
    for word, lanes in LANES.items():
        spectrum = engine_for("fft", word).Spectrum
        for height, width in (
            (7 * lanes, lanes),
            (lanes, 11 * lanes),
            (lanes + 1, lanes),
            (lanes, 2 * lanes - 1),
        ):
            with pytest.raises(ValueError, match=r"no (tiles|transform) of"):
                spectrum(taps, height, width, False, True, 1)


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("line", [False, True], ids=["tile", "line"])
def test_kernels_that_a_tile_has_no_room_for_are_refused(line, folded):
    for word, lanes in LEAST.items():
        spectrum = engine_for("fft", word).Spectrum
        rows = lanes * (2 if folded else 1)
        most = (1, 2 * lanes * rows) if line else (rows, 2 * lanes)
        spectrum(np.ones((1, *most)), lanes, 2 * lanes, line, folded, 1)
        more = [(1, most[0] + 1, most[1]), (1, most[0], most[1] + 1), (1, 0, 3), (1, 3, 0)]
        more += [(2 if folded else 3, 1, 1), (0, 1, 1)]
        for shape in more:
            with pytest.raises((ValueError, IndexError), match="no room for"):
                spectrum(np.ones(shape), lanes, 2 * lanes, line, folded, 1)


# --- every call ----------------------------------------------------------------------------------

# Image, kernel: one tile and many, kernels as large as a tile, larger than the image, and larger
# than a period of its extension.
SHAPES = (
    ((5, 6), (3, 3)),
    ((40, 70), (3, 4)),
    ((75, 41), (16, 15)),
    ((3, 4), (10, 13)),
    ((1, 50), (4, 7)),
    ((30, 1), (2, 1)),
    ((1, 90), (1, 16)),
    ((9, 7), (9, 7)),
)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
def test_every_call_keeps_its_bound(function, mode, boundary, pair, record_ratio):
    rng = np.random.default_rng(4)
    lanes = UNIT[WORD[pair[0]]]
    for image_shape, kernel_shape in SHAPES:
        if not fits(image_shape, kernel_shape, mode):
            continue
        x, k = (
            short_numbers(rng, shape, char)
            for shape, char in zip((image_shape, kernel_shape), pair, strict=True)
        )
        fill = short_numbers(rng, (), np.result_type(x, k))
        for least in (lanes, 16):
            size = max(least, -(-max(kernel_shape) // lanes) * lanes)
            ratio = check_transform(function, x, k, mode, boundary, fill, (size, size, False))
            record_ratio(f"{np.result_type(x, k)}, transforms of every call", ratio)
        ratio = check_transform(function, x, k, mode, boundary, fill)
        record_ratio(f"{np.result_type(x, k)}, transforms as planned", ratio)


@pytest.mark.parametrize("pair", EXTREME_PAIRS)
def test_any_number_of_outputs_around_the_seams_of_tiles_keeps_its_bound(pair, record_ratio):
    rng = np.random.default_rng(5)
    lanes = UNIT[WORD[pair[0]]]
    rows = lanes * (2 if is_folded(pair) else 1)
    for kernel_shape in ((1, 1), (2, 2), (3, 5)):
        down, across = rows - kernel_shape[0] + 1, 2 * lanes - kernel_shape[1] + 1
        k = short_numbers(rng, kernel_shape, pair[1])
        for n in range(1, 3 * across + 2):
            shape = max(1, (n % 7) * down // 3 + n % 3), n
            x = short_numbers(rng, shape, pair[0])
            for function in ("convolve2d", "correlate2d"):
                check_transform(function, x, k, "same", "wrap", 0, (lanes, 2 * lanes, False))
        for n in (1, 2, down - 1, down, down + 1, 2 * down, 2 * down + 1, 5 * down - 1):
            x = short_numbers(rng, (n, 3), pair[0])
            check_transform("correlate2d", x, k, "same", "symm", 0, (lanes, 2 * lanes, False))


# --- data that are hard on it --------------------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("adversary", ADVERSARIES, ids=lambda f: f.__name__)
def test_adversarial_data_keep_their_bound(adversary, pair, record_ratio):
    rng = np.random.default_rng(6)
    lanes = UNIT[WORD[pair[0]]]
    for image_shape, kernel_shape in (((50, 39), (5, 7)), ((20, 64), (1, 1)), ((3, 50), (1, 9))):
        x, k = adversary(rng, image_shape, pair[0]), adversary(rng, kernel_shape, pair[1])
        line = kernel_shape[0] == 1 < kernel_shape[1]
        grid = (lanes, 2 * lanes, line)
        for boundary in ("fill", "symm"):
            ratio = check_transform("convolve2d", x, k, "full", boundary, 0, grid)
            record_ratio(f"{np.result_type(x, k)}, transforms of {adversary.__name__}", ratio)


def star(rng, shape, dtype):
    array = floats(rng, shape, dtype) * 1e-8
    array[shape[0] // 2, shape[1] // 3] = 1e8
    return array.astype(dtype)


def alternating(rng, shape, dtype):
    return ((-1) ** np.add.outer(np.arange(shape[0]), np.arange(shape[1]))).astype(dtype)


def constant(rng, shape, dtype):
    return np.full(shape, 1 / 3, dtype)


def one_pixel(rng, shape, dtype):
    array = np.zeros(shape, dtype)
    array[tuple(rng.integers(0, shape))] = -1
    return array


@pytest.mark.parametrize("pair", EXTREME_PAIRS)
@pytest.mark.parametrize("make", [star, alternating, constant, one_pixel], ids=lambda f: f.__name__)
def test_a_tile_pays_for_its_own_pixels_only(make, pair, record_ratio):
    rng = np.random.default_rng(7)
    lanes = UNIT[WORD[pair[0]]]
    for kernel in (make, constant, one_pixel):
        x, k = make(rng, (70, 90), pair[0]), kernel(rng, (5, 6), pair[1])
        ratio = check_transform("convolve2d", x, k, "same", "fill", 0, (lanes, lanes, False))
        record_ratio(f"{np.result_type(x, k)}, transforms of {make.__name__}", ratio)


@pytest.mark.parametrize("pair", EXTREME_PAIRS)
def test_powers_of_two_go_through_to_the_bit(pair):
    """Nothing overflows on the way or loses a digit: all is scaled by powers of two."""
    rng = np.random.default_rng(8)
    info = np.finfo(pair[0])
    lanes = UNIT[WORD[pair[0]]]
    x, k = floats(rng, (50, 60), pair[0]), floats(rng, (5, 4), pair[1])
    x[:9, :9] = 0
    grids = (lanes, lanes, False), (lanes, 2 * lanes, True)
    largest, smallest = int(info.maxexp), int(info.minexp)
    for height, width, line in grids:
        taps = k[:1] if line else k
        problem = problem_of("convolve2d", x, taps, "same", "fill", 2.5)
        expected, _ = transformed(problem, plan_of(problem, height, width, line))
        for of_x in (largest - 4, largest // 2, 40, 0, -40, smallest // 2, smallest + 30):
            for of_k in (largest - 4, largest // 2, 29, 31, 32, 0, -29, -31, -32, smallest + 30):
                if not smallest + 30 <= of_x + of_k <= largest - 12:
                    continue
                two = x.real.dtype.type(2)
                problem = problem_of(
                    "convolve2d", x * two**of_x, taps * two**of_k, "same", "fill", 2.5 * two**of_x
                )
                y, left = transformed(problem, plan_of(problem, height, width, line))
                assert not left
                # Where a digit is lost, that is of a number too small to have it.
                for part, its in ((y.real, expected.real), (y.imag, expected.imag)):
                    assert same_bits(part.copy(), np.ldexp(its, of_x + of_k))


@pytest.mark.parametrize("pair", EXTREME_PAIRS)
def test_numbers_at_both_ends_of_the_range_keep_the_bound(pair, record_ratio):
    rng = np.random.default_rng(9)
    info = np.finfo(pair[0])
    lanes = UNIT[WORD[pair[0]]]
    least = np.ldexp(1.0, int(info.minexp) - info.nmant)
    whole = short_numbers(rng, (30, 33), pair[0], 14) * 2**14
    one = short_numbers(rng, (3, 4), pair[1])
    for x, k in (
        (whole * least, one),
        (whole, one * least * 2**20),
        (whole * least, np.ldexp(1.0, int(info.maxexp) - 2) * one),
        (whole / 2**14 * float(info.max), one),
        (whole / 2**14 * float(info.max), one * least * 2**20),
        (np.where(abs(whole) > 12000, float(info.max), least), one / 64),
    ):
        x, k = x.astype(pair[0]), k.astype(pair[1])
        ratio = check_transform("correlate2d", x, k, "full", "fill", 0, (lanes, lanes, False))
        record_ratio(f"{np.result_type(x, k)}, transforms at the ends", ratio)


@pytest.mark.parametrize("pair", EXTREME_PAIRS)
@pytest.mark.parametrize("line", [False, True], ids=["tile", "line"])
def test_a_tile_of_zeros_gives_exact_zeros(line, pair):
    lanes = UNIT[WORD[pair[0]]]
    x, k = np.zeros((80, 90), pair[0]), np.full((1 if line else 5, 5), -1 / 3, pair[1])
    x[60:, 50:] = 1e-3
    for image in (x, np.zeros_like(x), -np.zeros_like(x)):
        problem = problem_of("convolve2d", image, k)
        y, left = transformed(problem, plan_of(problem, lanes, 2 * lanes, line))
        assert not left
        if not image.any():
            assert same_bits(y, np.zeros_like(y))
        else:
            assert y[70, 70] != 0
            assert same_bits(y[:5, :5].copy(), np.zeros((5, 5), y.dtype))


@pytest.mark.parametrize("pair", PAIRS)
def test_a_kernel_of_zeros_gives_zeros(pair):
    rng = np.random.default_rng(10)
    x, k = floats(rng, (40, 50), pair[0]), np.zeros((3, 3), pair[1])
    y = fastconv.convolve2d(x, k, method="fft")
    assert not y.any()


@pytest.mark.parametrize("dtype", "FD")
@pytest.mark.parametrize("method", ["direct", "separable", "certified", "fft"])
def test_parts_that_are_missing_are_zeros(method, dtype):
    """A complex result whose imaginary part is nowhere is real; `out` is written all the same."""
    rng = np.random.default_rng(11)
    image, kernel = floats(rng, (50, 60), dtype), np.ones((5, 4), dtype) / 3
    for of_image, of_kernel in ((1, 1), (1, 1j), (1j, 1), (1j, 1j)):
        x, k = (image.real * of_image).astype(dtype), (kernel * of_kernel).astype(dtype)
        if method == "separable" and k.imag.any():
            continue
        for out in (None, np.full((54, 63), 7 + 7j, dtype)):
            y = fastconv.convolve2d(x, k, method=method, out=out)
            expected = fastconv.convolve2d(x.astype("D"), k.astype("D"), method="direct")
            np.testing.assert_allclose(y, expected, rtol=0, atol=1e-4 if dtype == "F" else 1e-13)
            if of_image == of_kernel == 1:
                assert not y.imag.any()


# --- the bound as it is promised -----------------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS)
def test_random_data_as_planned_keep_the_bound(pair, record_ratio):
    rng = np.random.default_rng(12)
    for _ in range(6):
        function, mode, boundary = CALLS[rng.integers(len(CALLS))]
        image_shape, kernel_shape = rng.integers(60, 120, 2), rng.integers(1, 50, 2)
        x = short_numbers(rng, image_shape, pair[0], 10)
        k = short_numbers(rng, kernel_shape, pair[1], 10)
        problem = problem_of(function, x, k, mode, boundary)
        plan = _solve.choose(problem, "fft")[0]
        y = getattr(fastconv, function)(x, k, mode, boundary, method="fft")
        ratio = check_tiles(y, problem, plan, exact_sums(function, x, k, mode, boundary))
        record_ratio(f"{np.result_type(x, k)}, transforms as planned", ratio)
