"""
Transforms that keep the promises of the defining sum.

They run in float64, whatever the dtype, and each output is proved or done again: floating-point
results within the bound of the defining sum, integers exact modulo 2**bits.
"""

import numpy as np
import pytest
from bounds import Tiles, check, check_sums, plan_of, problem_of, transformed
from cases import (
    ADVERSARIES,
    BOUNDARIES,
    CALLS,
    INTEGERS,
    fits,
    floats,
    same_bits,
    whole_numbers,
)
from oracle import exact
from test_fft import SHAPES, one_pixel, star

import fastconv
from fastconv import _error, _fourier, _solve
from fastconv._dispatch import engine_for

LANES = max(8, dict(_solve.lanes())["f64"])  # room for a small kernel at any level
PAIRS = ("ff", "fF", "Ff", "FF")


def forced(function, x, k, mode="full", boundary="fill", fill=0, grid=None, engine="certified"):
    """Result by tiles of a size of one's own choice, and how many were left to the sum."""
    problem = problem_of(function, x, k, mode, boundary, fill)
    plan = plan_of(problem, *(grid or (2 * LANES, 2 * LANES, False)), engine=engine)
    y = np.full(problem.shape, 77, problem.dtype)
    solver = _solve.Fourier(problem, plan, 1)
    solver.run(problem, y, 1)
    return y, len(transformed(problem, plan)[1])


# --- float32 and complex64 -----------------------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
def test_every_call_keeps_the_bound_of_the_sum(function, mode, boundary, pair, record_ratio):
    rng = np.random.default_rng(1)
    for image_shape, kernel_shape in SHAPES:
        if kernel_shape == (16, 15) or not fits(image_shape, kernel_shape, mode):
            continue
        x, k = (
            floats(rng, shape, char)
            for shape, char in zip((image_shape, kernel_shape), pair, strict=True)
        )
        fill = floats(rng, (), np.result_type(x, k))
        ratio = check(function, x, k, mode, boundary, fill, method="certified")
        record_ratio(f"{np.result_type(x, k)}, certified", ratio)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("make", [*ADVERSARIES, star, one_pixel], ids=lambda make: make.__name__)
def test_adversarial_data_keep_the_bound_of_the_sum(make, pair, record_ratio):
    rng = np.random.default_rng(2)
    for image_shape, kernel_shape in (((40, 39), (5, 7)), ((30, 33), (1, 1)), ((3, 90), (1, 9))):
        x = make(rng, image_shape, pair[0])
        for of_kernel in (make, floats):
            k = of_kernel(rng, kernel_shape, pair[1])
            for boundary in BOUNDARIES:
                grid = (LANES, 2 * LANES, kernel_shape == (1, 9))
                y, _ = forced("convolve2d", x, k, "full", boundary, grid=grid)
                ratio = check_sums(y, "convolve2d", x, k, "full", boundary)
                record_ratio(f"{np.result_type(x, k)}, certified {make.__name__}", ratio)


def zero_sum(shape, dtype):
    k = np.outer(np.arange(shape[0]) + 0.7, np.ones(shape[1])).astype(dtype)
    k[:, 1::2] *= -1
    return k


@pytest.mark.parametrize("pair", PAIRS)
def test_zeros_among_the_outputs_are_exact(pair, record_ratio):
    """Where the true result is 0, so must be the computed one: the bound is next to nothing."""
    rng = np.random.default_rng(3)
    half_black = floats(rng, (70, 70), pair[0])
    half_black[:, 30:] = 0
    half_black[40:] = 0
    sparse = np.where(rng.random((70, 70)) < 0.002, 1e4 * half_black, 0).astype(pair[0])
    constant = np.full((70, 70), 1 / 3, pair[0])
    for x in (half_black, sparse, constant):
        for k in (floats(rng, (6, 6), pair[1]), zero_sum((6, 6), pair[1])):
            for grid in ((2 * LANES, 2 * LANES, False), (16 * LANES, 16 * LANES, False)):
                y, _ = forced("correlate2d", x, k, "full", grid=grid)
                assert not np.isnan(y).any()
                record_ratio(
                    f"{np.result_type(x, k)}, certified, exact zeros",
                    check_sums(y, "correlate2d", x, k, "full"),
                )


@pytest.mark.parametrize("pair", PAIRS)
def test_a_hot_pixel_does_not_drown_its_neighbours(pair, record_ratio):
    """The transform knows them up to 2**-53 of the pixel; the sum, up to 2**-24 of themselves."""
    rng = np.random.default_rng(4)
    for size in (1e3, 1e9, 1e20):
        x, k = floats(rng, (60, 60), pair[0]) + 2, abs(floats(rng, (5, 5), pair[1])).astype(pair[1])
        x[31, 29] = size
        for grid in ((2 * LANES, 2 * LANES, False), (16 * LANES, 16 * LANES, False)):
            y, left = forced("convolve2d", x, k, "same", "symm", grid=grid)
            ratio = check_sums(y, "convolve2d", x, k, "same", "symm")
            record_ratio(f"{np.result_type(x, k)}, certified, hot pixel", ratio)
            if size != 1e9:  # which is on the verge
                assert bool(left) == (size > 1e9)


@pytest.mark.parametrize("pair", PAIRS)
def test_ordinary_data_are_certified(pair):
    """Or the tests above would be of the defining sum alone."""
    rng = np.random.default_rng(5)
    x, k = floats(rng, (90, 80), pair[0]), floats(rng, (5, 6), pair[1])
    y, left = forced("convolve2d", x, k)
    assert left == 0
    direct = fastconv.convolve2d(x, k, method="direct")
    assert not same_bits(y, direct)  # float32 rounds more often


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("line", [False, True], ids=["tile", "line"])
def test_the_least_size_that_is_certain_is_proved(line, pair):
    """An output of this size, wrong by all of the transform's error, is within the bound."""
    kernel = np.ones((1, 30) if line else (3, 5), pair[1])
    problem = problem_of("convolve2d", np.ones((40, 60), pair[0]), kernel)
    # A hidden imaginary part that is not zero, for the operands not to be taken for real.
    if pair[0] == "F":
        problem = problem._replace(image=problem.image.astype("F"))
    if pair[1] == "F":
        problem = problem._replace(kernel=problem.kernel.astype("F"))
    plan = plan_of(problem, LANES, LANES * 2, line, "certified")
    least = _fourier.least(plan, problem)
    n, u, error = kernel.size * (2 if pair == "FF" else 1), 2.0**-24, 1.0
    for y in (least, 2 * least, 1e6 * least):
        # Off by `error`, and then rounded; the sum of sizes is |y| - error or more.
        assert error + u * (y + error) <= n * u * (y + error) * (1 + 1e-6)
        assert error + u * y <= n * u * (y - error) * (1 + 1e-5)
    # Of a smaller one it is not.
    y = 0.99 * least
    assert error + u * y > n * u * (y - error)
    assert _fourier.least(plan._replace(engine="fft"), problem) == 0
    whole = problem_of("convolve2d", np.ones((40, 60), "h"), np.ones((3, 5), "h"))
    assert _fourier.least(plan, whole) == 0


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("line", [False, True], ids=["tile", "line"])
def test_uncertain_outputs_are_done_again_one_by_one_or_by_tiles(line, pair):
    """With an error of one's own choice, outputs below a size of one's own choice are uncertain."""
    rng = np.random.default_rng(6)
    x, k = floats(rng, (40, 300), pair[0]), floats(rng, (1 if line else 3, 5), pair[1])
    args = ("same", "symm")
    problem = problem_of("correlate2d", x, k, *args)
    width = 4 * LANES
    plan = plan_of(problem, 4 * LANES, width, line, "certified")
    solver = _fourier.Transformed(problem, plan, 1)
    tiles = [(place, float(bound)) for place, bound in Tiles(problem, plan)]
    planes = [problem_part for problem_part in ("real", "imag") if pair != "ff"] or ["real"]
    exact_y = fastconv.correlate2d(x.astype("D"), k.astype("D"), *args, method="direct")
    again = 0
    for limit in (1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 1e-2, 1e6):
        # Outputs smaller than `limit` times the norms of tile and kernel.
        solver.least, solver.error = 1e9, limit * 1e-9
        expected = set()
        for place, bound in tiles:
            size = bound * limit / solver_error(plan, pair == "ff")
            smaller = [abs(getattr(exact_y[place], name)) < size for name in planes]
            in_row = [
                part[:, begin : begin + width].sum(axis=1)
                for part in smaller
                for begin in range(0, part.shape[1], width)
            ]
            # A row of 128 may have two.
            if max(counts.max() for counts in in_row) > 1:
                expected.add((place[0].start, place[1].start))
            else:
                again += sum(part.sum() for part in smaller)
        y = np.full(problem.shape, 77, problem.dtype)
        left = solver.run(problem, y, 1)
        assert {(y0, x0) for _, y0, _, x0, _ in left} == expected
        for _, y0, y1, x0, x1 in left:
            y[y0:y1, x0:x1] = exact_y[y0:y1, x0:x1].real if pair == "ff" else exact_y[y0:y1, x0:x1]
        np.testing.assert_allclose(y, exact_y.real if pair == "ff" else exact_y, rtol=0, atol=1e-5)
    assert again > 20


def solver_error(plan, folded):
    return _error.error("f64", plan.height, plan.width, plan.line, folded)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("line", [False, True], ids=["tile", "line"])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_zero_among_outputs_that_are_not_is_exact(boundary, line, pair):
    """Its tile is not given up: the one output of a row is done again."""
    rng = np.random.default_rng(7)
    height, width = 33, 100
    x = np.cumsum(1 + rng.random((height, width)), axis=1)
    if boundary == "fill":
        zeros, mode, fill = (20, 47, 77), "valid", 0
        for column in zeros:
            x[:, column + 1] = x[:, column]
    elif boundary == "symm":
        zeros, mode, fill = (0, 100), "full", 0
    else:  # the first pixel follows the last
        zeros, mode, fill = (0, 100), "full", 0
        x[:, 0] = x[:, -1]
    x = x.astype("f")
    k = np.tile(np.float32([[1, -1]]), (1 if line else 2, 1))
    if pair[0] == "F":
        x = (x + 3j * x).astype("F")
    if pair[1] == "F":
        k = ((1 + 1j) * k).astype("F")
    grid = (LANES, 2 * LANES, line)
    if line:
        # One piece of a row has one such output.
        grid = (LANES, LANES, line) if boundary == "fill" else (4 * LANES, 4 * LANES, line)
    y, left = forced("convolve2d", x, k, mode, boundary, fill, grid=grid)
    assert left == 0
    assert not y[:, list(zeros)].any()
    check_sums(y, "convolve2d", x, k, mode, boundary, fill)
    assert np.count_nonzero(y == 0) == len(zeros) * len(y)


# --- integers ------------------------------------------------------------------------------------


def small_whole_numbers(rng, shape, dtype, limit):
    info = np.iinfo(dtype)
    low, high = max(info.min, -limit), min(info.max, limit)
    return rng.integers(low, high, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("method", ["fft", "certified"])
@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
def test_integers_are_exact(function, mode, boundary, method, dtype):
    rng = np.random.default_rng(8)
    for image_shape, kernel_shape in SHAPES[1::2]:
        if not fits(image_shape, kernel_shape, mode):
            continue
        for limit in (100, 70000):
            x = small_whole_numbers(rng, image_shape, dtype, limit)
            k = small_whole_numbers(rng, kernel_shape, dtype, limit)
            fill = small_whole_numbers(rng, (), dtype, 9)
            expected = exact(function, x, k, mode, boundary, fill, np.int64)
            y = getattr(fastconv, function)(x, k, mode, boundary, fill, method=method)
            assert same_bits(y, expected)
            y, left = forced(function, x, k, mode, boundary, fill, engine=method)
            assert same_bits(y, expected)
            assert left == 0


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("method", ["fft", "certified"])
def test_integers_at_their_extremes_are_exact(method, dtype):
    rng = np.random.default_rng(9)
    info = np.iinfo(dtype)
    shape = (40, 50)
    for pixel in (info.min, info.max, "any"):
        for tap in (info.min, info.max, "any", 1):
            x, k = (
                whole_numbers(rng, s, dtype) if value == "any" else np.full(s, value, dtype)
                for s, value in ((shape, pixel), ((4, 3), tap))
            )
            for boundary in BOUNDARIES:
                expected = exact("convolve2d", x, k, "full", boundary, 0, object)
                y = fastconv.convolve2d(x, k, "full", boundary, method=method)
                assert same_bits(y, expected)
                y, left = forced("convolve2d", x, k, "full", boundary, engine=method)
                assert same_bits(y, expected)
                if info.bits <= 16:
                    assert left == 0


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64"])
def test_integers_are_exact_wherever_the_tile_is_trusted(dtype):
    """From where all tiles are transformed to where none is, by factors of two."""
    rng = np.random.default_rng(10)
    seen = []
    for bits in range(8, np.iinfo(dtype).bits):
        high = 2**bits - 1
        x = rng.integers(high // 2, high, (30, 40), dtype, endpoint=True)
        k = rng.integers(high // 2, high, (5, 5), dtype, endpoint=True)
        y, left = forced("correlate2d", x, k, "full", "wrap")
        assert same_bits(y, exact("correlate2d", x, k, "full", "wrap"))
        seen.append(left)
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] > 0
    # An error of less than 1/4 is asked for.
    first = next(bits for bits, left in enumerate(seen, 8) if left)
    norms = 0.75 * 2.0**first * np.sqrt(2 * (2 * LANES) ** 2) * 0.75 * 2.0**first * 5
    error = _error.error("f64", 2 * LANES, 2 * LANES, False, True) * norms
    assert 1 / 8 < error < 2


def test_one_tile_that_is_not_trusted_does_not_take_the_others_along():
    rng = np.random.default_rng(11)
    x = rng.integers(-100, 100, (200, 90), np.int64)
    x[130, 70] = 2**62
    k = rng.integers(-100, 100, (5, 5), np.int64)
    y, left = forced("convolve2d", x, k, "same")
    assert 1 <= left <= 4
    assert same_bits(y, exact("convolve2d", x, k, "same", ring=np.int64))


@pytest.mark.parametrize("line", [False, True], ids=["tile", "line"])
def test_a_threshold_of_a_quarter_is_what_is_asked_of_integers(line):
    x, k = np.full((30, 90), 3, np.int32), np.full((1 if line else 3, 3), 2, np.int32)
    spectrum = engine_for("fft", "f64").Spectrum(
        k[np.newaxis].astype(np.float64), 2 * LANES, 2 * LANES, line, True, 1
    )
    assert spectrum.norm == np.sqrt(k.size * 4)
    problem = problem_of("correlate2d", x, k, "valid")

    def left(error):
        out = np.empty(problem.shape, np.int32)
        args = ("i4", 1, 0, 0, 0, (0.0, 0.0), error, 0.0, True, 1)
        return spectrum.run(x, out, *args)

    tiles = left(1e9)
    assert {(k, y0, x0) for k, y0, _, x0, _ in tiles} >= {(0, 0, 0)}
    # The tiles cover the outputs, each once.
    covered = np.zeros(problem.shape, int)
    for _, y0, y1, x0, x1 in tiles:
        covered[y0:y1, x0:x1] += 1
    assert (covered == 1).all()
    norms = []
    for _, y0, y1, x0, x1 in tiles:
        rows = y1 - y0 + k.shape[0] - 1
        width = x1 - x0 + k.shape[1] - 1
        step = 2 * LANES
        wide = sum(
            step if x0 + a + step <= 90 else min(step, width - a) for a in range(0, width, step)
        )
        norms.append(np.sqrt(rows * wide * 9.0) * spectrum.norm)
    for norm in set(norms):
        for factor in (0.999, 1.001):
            expected = sum(0.25 / norm * factor * each >= 0.25 for each in norms)
            assert len(left(0.25 / norm * factor)) == expected


@pytest.mark.parametrize(
    ("method", "dtype", "bad", "returns"),
    [("certified", "f", 1, True), ("fft", "f", 1, False), ("fft", "f", np.nan, True),
     ("fft", "l", 1, True), ("direct", "f", 1, False)],
)  # fmt: skip
def test_engines_tell_whether_they_come_back_to_the_output(method, dtype, bad, returns):
    # Those that do write elsewhere first, for memory may be lacking then.
    image = np.ones((200, 200), dtype)
    image[3, 4] = bad
    kernel = np.random.default_rng(1).integers(-9, 10, (41, 41)).astype(dtype)
    problem = problem_of("convolve2d", image, kernel, "same")
    assert _solve.engine(problem, method, 1).returns(problem) == returns
