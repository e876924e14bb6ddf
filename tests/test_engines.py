"""
What every engine has in common: NaN and Inf, and the same bits whatever the circumstances.
"""

import platform
import threading

import numpy as np
import pytest
from bounds import plan_of, problem_of
from cases import BOUNDARIES, CALLS, FUNCTIONS, floats, numbers, same_bits, whole_numbers
from test_layouts import LAYOUTS, OUT_LAYOUTS, OVERLAPS

import fastconv
from fastconv import _error_bound, _solve
from fastconv._dispatch import engine_for

WORKERS = (1, 2, 3, 5)


def engine_cases():
    """A method, and dtypes of image and kernel that it takes."""
    for method, pairs in (
        ("fft", ("ff", "dd", "FF", "DD", "fF", "Dd", "hh", "qq")),
        ("certified", ("ff", "FF", "Ff", "BB", "ii", "QQ")),
        ("separable", ("ff", "dd", "Ff", "Dd", "hh", "LL", "BB")),
    ):
        for pair in pairs:
            yield pytest.param(method, pair, id=f"{method}-{pair}")


ENGINES = pytest.mark.parametrize(("method", "pair"), list(engine_cases()))
FLOATING = pytest.mark.parametrize(
    ("method", "pair"), [case for case in engine_cases() if case.values[1][0] in "fdFD"]
)


def unit(method, pair):
    """Length that tiles of a transform may be multiples of, with room for a small kernel."""
    return max(8, dict(_solve.lanes())["f32" if method == "fft" and pair[0] in "fF" else "f64"])


def make(rng, shape, dtype):
    if np.dtype(dtype).kind in "iu":
        return rng.integers(0, 50, shape).astype(dtype)
    return floats(rng, shape, dtype)


def kernel_for(rng, method, shape, dtype):
    if method != "separable":
        return make(rng, shape, dtype)
    row = make(rng, (1, shape[1]), dtype)
    if np.dtype(dtype).kind in "iu":
        row = row % 8 + 1  # products that wrap around may have no factors
    return (2 ** rng.integers(0, 4, (shape[0], 1))).astype(dtype) * row


# --- NaN and Inf ---------------------------------------------------------------------------------


def pattern(y):
    """Which parts of outputs are NaN, Inf or -Inf: all that is compared."""
    parts = np.stack([y.real, y.imag])
    return np.where(np.isfinite(parts), 0, parts)


@FLOATING
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("line", [False, True], ids=["tile", "line"])
def test_what_is_not_finite_reaches_its_window_and_no_other_tile(line, value, method, pair):
    rng = np.random.default_rng(1)
    kernel = abs(kernel_for(rng, method, (1 if line else 4, 5), pair[1])).astype(pair[1])
    kernel[:, 2] = 0  # an Inf under a zero tap is a NaN
    clean = floats(rng, (90, 120), pair[0])
    # Corners, edges and the middle; and far from all that is tried out.
    for row, column in ((0, 0), (0, 119), (89, 0), (89, 119), (44, 60), (45, 61), (17, 33)):
        function, mode, boundary = CALLS[rng.integers(len(CALLS))]
        image = clean.copy()
        image[row, column] = value
        if pair[0] in "FD" and rng.integers(2):
            image[row, column] = complex(1, value)
        problem = problem_of(function, image, kernel, mode, boundary)
        if method == "separable":
            call = getattr(fastconv, function)
            y = call(image, kernel, mode, boundary, method=method)
            before = call(clean, kernel, mode, boundary, method=method)
        else:
            y, before = (np.full(problem.shape, 77, problem.dtype) for _ in range(2))
            lanes = unit(method, pair)
            plan = plan_of(problem, lanes, 2 * lanes, line, method)
            _solve.Fourier(problem, plan, 1).run(problem, y, 1)
            of_clean = problem_of(function, clean, kernel, mode, boundary)
            _solve.Fourier(of_clean, plan, 1).run(of_clean, before, 1)
        direct = getattr(fastconv, function)(image, kernel, mode, boundary, method="direct")
        np.testing.assert_array_equal(pattern(y), pattern(direct))
        assert mode == "valid" or pattern(y).any()
        np.testing.assert_allclose(y, direct, rtol=1e-3, atol=1e-3)
        if method != "separable":  # whose tile is done again in one step
            # At most the tiles around it; they are small.
            changed = np.argwhere((y != before) & ~(np.isnan(y) & np.isnan(before)))
            if boundary == "fill" and len(changed):
                reach = changed.max(axis=0) - changed.min(axis=0)
                reach = np.prod(reach + 1) if line else reach.max()
                assert reach < (3 * 120 if line else 8 * lanes)


@FLOATING
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_kernel_that_is_not_finite_behaves_as_in_the_defining_sum(function, method, pair):
    rng = np.random.default_rng(2)
    image = floats(rng, (60, 70), pair[0])
    for value in (np.nan, np.inf):
        kernel = kernel_for(rng, method, (4, 5), pair[1])
        kernel[1, 2] = value
        for mode in ("full", "same", "valid"):
            direct = getattr(fastconv, function)(image, kernel, mode, method="direct")
            if method == "separable":
                with pytest.raises(ValueError, match="not separable"):
                    getattr(fastconv, function)(image, kernel, mode, method=method)
                continue
            y = getattr(fastconv, function)(image, kernel, mode, method=method)
            np.testing.assert_array_equal(y, direct)


@FLOATING
def test_a_fillvalue_that_is_not_finite_reaches_what_sees_the_border(method, pair):
    rng = np.random.default_rng(3)
    image, kernel = floats(rng, (60, 70), pair[0]), kernel_for(rng, method, (4, 5), pair[1])
    for fill in (np.nan, np.inf):
        args = ("full", "fill", fill)
        direct = fastconv.convolve2d(image, kernel, *args, method="direct")
        y = fastconv.convolve2d(image, kernel, *args, method=method)
        np.testing.assert_array_equal(pattern(y), pattern(direct))
        assert np.isfinite(y[4:-4, 5:-5]).all()


@FLOATING
def test_an_image_of_nothing_else_is_done_directly(method, pair):
    kernel = kernel_for(np.random.default_rng(4), method, (4, 5), pair[1])
    for value in (np.nan, np.inf):
        image = np.full((60, 70), value, pair[0])
        y = fastconv.convolve2d(image, kernel, "same", method=method)
        direct = fastconv.convolve2d(image, kernel, "same", method="direct")
        np.testing.assert_array_equal(pattern(y), pattern(direct))


# --- the same bits -------------------------------------------------------------------------------

# Image, kernel and tile in lanes: tiles of one thread each, and tiles that all threads share.
THREADED = (
    ((400, 500), (9, 8), (4, 8, False)),
    ((700, 600), (5, 6), (16, 32, False)),
    ((300, 290), (30, 20), (20, 40, False)),
    ((300, 290), (3, 4), (24, 40, False)),
    ((3, 30000), (1, 50), (16, 32, True)),
    ((20000, 2), (64, 1), (8, 24, True)),
)


@ENGINES
def test_any_number_of_workers_gives_the_same_bits(method, pair):
    rng = np.random.default_rng(5)
    for image_shape, kernel_shape, (height, width, line) in THREADED:
        image = make(rng, image_shape, pair[0])
        kernel = kernel_for(rng, method, kernel_shape, pair[1])
        problem = problem_of("convolve2d", image, kernel, "same", "symm")
        results = []
        for workers in WORKERS:
            if method == "separable":
                y = fastconv.convolve2d(
                    image, kernel, "same", "symm", method=method, workers=workers
                )
            else:
                lanes = unit(method, pair)
                plan = plan_of(problem, height * lanes, width * lanes, line, method)
                y = np.full(problem.shape, 77, problem.dtype)
                _solve.Fourier(problem, plan, workers).run(problem, y, workers)
            results.append(y)
        for y in results[1:]:
            assert same_bits(y, results[0])
        direct = fastconv.convolve2d(image, kernel, "same", "symm", method="direct")
        tolerance = 1e-3 if problem.dtype.char in "fF" else 1e-9
        np.testing.assert_allclose(results[0], direct, rtol=tolerance, atol=tolerance)


@ENGINES
def test_tiles_that_threads_share_are_certified_scaled_and_left_all_the_same(method, pair):
    if method == "separable":
        return
    rng = np.random.default_rng(6)
    lanes = unit(method, pair)
    images = {"zeros": np.zeros((300, 500), pair[0])}
    half = make(rng, (300, 500), pair[0])
    half[:, 250:] = 0
    images["half black"] = half
    if pair[0] in "fdFD":
        images["tiny"] = (half * np.finfo(pair[0]).tiny).astype(pair[0])
        images["huge"] = (half * (np.finfo(pair[0]).max * 1e-4)).astype(pair[0])
        nan = half.copy()
        nan[3, 4] = np.nan
        images["nan"] = nan
    elif pair[0] in "qQ":
        images["large"] = (half + 1) * 2**50
    kernel = make(rng, (7, 6), pair[1])
    for image in images.values():
        problem = problem_of("correlate2d", image, kernel, "same")
        plan = plan_of(problem, 20 * lanes, 32 * lanes, False, method)
        results = []
        for workers in (1, 2, 3):
            y = np.full(problem.shape, 77, problem.dtype)
            _solve.Fourier(problem, plan, workers).run(problem, y, workers)
            results.append(y)
        for y in results[1:]:
            np.testing.assert_array_equal(y, results[0])
        direct = fastconv.correlate2d(image, kernel, "same", method="direct")
        tolerance = 1e-4 if problem.dtype.char in "fF" else 1e-11
        finite = direct[np.isfinite(direct)]
        largest = abs(finite).max() if len(finite) and problem.dtype.kind in "fc" else 0
        np.testing.assert_allclose(results[0], direct, rtol=0, atol=tolerance * largest)


@ENGINES
def test_results_are_repeatable_to_the_bit(method, pair):
    rng = np.random.default_rng(7)
    image = make(rng, (300, 333), pair[0])
    kernel = kernel_for(rng, method, (15, 17), pair[1])
    first = fastconv.convolve2d(image, kernel, "same", "wrap", method=method, workers=3)
    for _ in range(5):
        again = fastconv.convolve2d(image, kernel, "same", "wrap", method=method, workers=3)
        assert same_bits(again, first)


@ENGINES
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
def test_the_layout_of_the_inputs_does_not_show_in_a_bit(layout, method, pair):
    rng = np.random.default_rng(8)
    # Many small tiles, as planned: rows are read in place and copied.
    for image_shape, kernel_shape in (((80, 150), (3, 4)), ((2, 700), (1, 40))):
        image = layout(make(rng, image_shape, pair[0]))
        kernel = layout(kernel_for(rng, method, kernel_shape, pair[1]))
        plain_image = np.array(image, pair[0], order="C")
        plain_kernel = np.array(kernel, pair[1], order="C")
        before = image.tobytes(), kernel.tobytes()
        for boundary in BOUNDARIES:
            args = {"mode": "same", "boundary": boundary, "method": method}
            try:
                expected = fastconv.convolve2d(plain_image, plain_kernel, **args)
            except ValueError:
                assert method == "separable"  # a window that slides is of no rank one
                continue
            assert same_bits(fastconv.convolve2d(image, kernel, **args), expected)
        assert (image.tobytes(), kernel.tobytes()) == before


@ENGINES
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
def test_the_layout_does_not_show_where_tiles_are_narrower_than_their_transforms(
    layout, method, pair
):
    if method == "separable":
        return
    rng = np.random.default_rng(9)
    lanes = unit(method, pair)
    image = layout(make(rng, (50, 9 * lanes), pair[0]))
    kernel = make(rng, (3, 4), pair[1])
    plain = np.array(image, pair[0], order="C")
    for line in (False, True):
        taps = kernel[:1] if line else kernel
        results = []
        for array in (plain, image):
            problem = problem_of("convolve2d", array, taps, "same", "symm")
            plan = plan_of(problem, lanes, 2 * lanes, line, method)
            y = np.full(problem.shape, 77, problem.dtype)
            _solve.Fourier(problem, plan, 1).run(problem, y, 1)
            results.append(y)
        assert same_bits(*results)


@ENGINES
@pytest.mark.parametrize("layout", OUT_LAYOUTS, ids=lambda f: f.__name__)
def test_the_layout_of_out_does_not_show_in_a_bit(layout, method, pair):
    rng = np.random.default_rng(10)
    dtype = np.result_type(*pair)
    for image_shape, kernel_shape in (((41, 170), (3, 4)), ((170, 9), (5, 2)), ((1, 700), (1, 9))):
        image = make(rng, image_shape, pair[0])
        kernel = kernel_for(rng, method, kernel_shape, pair[1])
        expected = fastconv.convolve2d(image, kernel, "same", method=method)
        out = layout(np.full(image_shape, 77, dtype))
        assert fastconv.convolve2d(image, kernel, "same", method=method, out=out) is out
        assert same_bits(np.array(out, order="C"), expected)


@ENGINES
@pytest.mark.parametrize("step", [(1, 1), (1, 2), (-1, -1), (2, -3)], ids=str)
def test_nothing_around_or_between_the_elements_of_out_is_written(step, method, pair):
    rng = np.random.default_rng(11)
    dtype = np.result_type(*pair)
    for shape in ((1, 33), (7, 17), (9, 97), (37, 5), (2, 700), (70, 66)):
        height, width = (abs(s) * n for s, n in zip(step, shape, strict=True))
        image = make(rng, shape, pair[0])
        kernel = kernel_for(rng, method, (3, 2), pair[1])
        guarded = np.full((height + 8, width + 64), 77, dtype)
        out = guarded[4 : 4 + height, 32 : 32 + width][:: step[0], :: step[1]]
        fastconv.correlate2d(image, kernel, "same", "wrap", out=out, method=method)
        expected = fastconv.correlate2d(image, kernel, "same", "wrap", method=method)
        assert same_bits(np.array(out, order="C"), expected)
        out[...] = 77
        assert (guarded == 77).all()


@ENGINES
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_out_may_overlap_the_inputs(overlap, method, pair):
    if pair[0] != pair[1]:
        return
    rng = np.random.default_rng(12)
    buffer = make(rng, (40, 90), pair[0])
    if method == "separable":
        buffer[...] = 3
    image, kernel, out = OVERLAPS[overlap](buffer)
    expected_buffer = buffer.copy()
    expected = fastconv.convolve2d(image.copy(), kernel.copy(), "same", "symm", method=method)
    OVERLAPS[overlap](expected_buffer)[2][...] = expected
    assert fastconv.convolve2d(image, kernel, "same", "symm", method=method, out=out) is out
    assert same_bits(buffer, expected_buffer)


# --- plans and stacks ----------------------------------------------------------------------------


@ENGINES
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_plan_gives_the_result_of_a_call(boundary, method, pair):
    """To the bit, but for transforms: their tiles may be others for many images."""
    rng = np.random.default_rng(13)
    for mode in ("full", "same", "valid"):
        kernel = kernel_for(rng, method, (9, 8), pair[1])
        args = {"mode": mode, "boundary": boundary, "fillvalue": 3, "method": method}
        for correlate, function in ((False, "convolve2d"), (True, "correlate2d")):
            planned = fastconv.plan(kernel, (150, 140), pair[0], correlate=correlate, **args)
            assert planned.explanation.engine == method
            for _ in range(2):
                image = make(rng, (150, 140), pair[0])
                expected = getattr(fastconv, function)(image, kernel, **args)
                y = planned(image, workers=1)
                assert same_bits(planned(image, workers=3), y)
                if method == "fft":
                    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-3)
                else:
                    assert same_bits(y, expected)


@ENGINES
def test_a_stack_through_a_plan_is_its_images_one_by_one(method, pair):
    rng = np.random.default_rng(14)
    for shape, kernel_shape in (
        ((2, 3, 70, 150), (5, 4)),
        ((5, 2, 400), (1, 30)),
        ((0, 9, 9), (3, 3)),
    ):
        kernel = kernel_for(rng, method, kernel_shape, pair[1])
        planned = fastconv.plan(kernel, shape[-2:], pair[0], mode="same", method=method)
        images = make(rng, shape, pair[0])
        for stack in (images, np.array(images, order="F"), images[..., ::-1, ::-1][::-1]):
            y = planned(stack)
            assert (y.shape, y.dtype) == (shape, planned.out_dtype)
            for place in np.ndindex(shape[:-2]):
                assert same_bits(y[place].copy(), planned(stack[place]))
            out = np.full((*shape, 2), 77, planned.out_dtype)[..., 1]
            assert planned(stack, out=out, workers=3) is out
            assert same_bits(out.copy(), y)


@FLOATING
def test_one_image_of_a_stack_that_is_not_finite_leaves_the_others_alone(method, pair):
    rng = np.random.default_rng(15)
    images = floats(rng, (2, 2, 60, 70), pair[0])
    kernel = kernel_for(rng, method, (5, 4), pair[1])
    planned = fastconv.plan(kernel, (60, 70), pair[0], mode="same", method=method)
    clean = planned(images)
    images[1, 0, 30, 30] = np.nan
    y = planned(images)
    for place in ((0, 0), (0, 1), (1, 1)):
        if method == "separable" and pair[0] in "FD":
            continue  # done again, as a complex kernel with zeros for imaginary part
        assert same_bits(y[place].copy(), clean[place].copy())
    direct = fastconv.convolve2d(images[1, 0], kernel, "same", method="direct")
    np.testing.assert_array_equal(np.isnan(y[1, 0]), np.isnan(direct))


@ENGINES
def test_integers_of_a_stack_are_those_of_its_images(method, pair):
    rng = np.random.default_rng(16)
    images = make(rng, (4, 60, 70), pair[0])
    kernel = kernel_for(rng, method, (5, 4), pair[1])
    y = fastconv.convolve2d(images, kernel, "same", axes=(1, 2), method=method)
    for image, its in zip(images, y, strict=True):
        alone = fastconv.convolve2d(image, kernel, "same", method=method)
        if pair[0] in "fdFD" and method != "separable":  # another tile may be cheaper for a stack
            tolerance = 1e-4 if y.dtype.char in "fF" else 1e-12
            np.testing.assert_allclose(its, alone, rtol=0, atol=tolerance)
        else:
            assert same_bits(its.copy(), alone)


@ENGINES
def test_many_threads_of_python_may_share_a_plan(method, pair):
    rng = np.random.default_rng(17)
    kernel = kernel_for(rng, method, (9, 8), pair[1])
    planned = fastconv.plan(kernel, (120, 130), pair[0], method=method)
    images = [make(rng, (120, 130), pair[0]) for _ in range(8)]
    expected = [planned(image) for image in images]
    wrong = []

    def work(i):
        for _ in range(3):
            if not same_bits(planned(images[i], workers=2), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_numbers_are_not_all_alike():
    """Or nothing above would show an order of sums."""
    rng = np.random.default_rng(18)
    assert len(set(numbers(rng, (9, 9), "f").ravel())) == 81
    assert whole_numbers(rng, (9, 9), "h").any()


@pytest.mark.parametrize("word", ["f32", "f64", "u8", "u16", "u32", "u64", "ld"])
def test_the_peak_is_measured_with_multiply_adds_that_are_done(word):
    engine = engine_for("direct", word)
    once = engine._multiply_adds(1)
    assert once >= 4  # one for each row of the block, at least
    assert [engine._multiply_adds(n) for n in (0, 2, 5)] == [0, 2 * once, 5 * once]
    assert engine.fma_peak(1) > 0


def test_the_peak_is_measured_by_as_many_multiply_adds_as_are_counted():
    for word in ("f32", "f64", "u8", "u16", "u32", "u64", "ld"):
        engine = engine_for("direct", word)
        wide = engine.BUILD["level"] == "v4" or platform.machine() in ("aarch64", "arm64")
        assert engine._multiply_adds(5) == 5 * 4 * (6 if wide else 3)


# --- facts that a choice rests on ----------------------------------------------------------------


@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
def test_the_zeros_around_are_counted(function, mode, boundary):
    shapes = [((6, 7), (2, 3)), ((2, 3), (6, 7)), ((1, 9), (1, 4))]
    for shape, taps in [*shapes, ((3, 9), (9, 2))][: 3 if mode == "valid" else 4]:
        problem = problem_of(function, np.ones(shape), np.ones(taps), mode, boundary, 0)
        # What the outputs are made of: 1 where it is of the image.
        read = _error_bound._extended(problem)
        inputs = [m + k - 1 for m, k in zip(problem.shape, problem.kernel.shape, strict=True)]
        read = read[: inputs[0], : inputs[1]]
        zeros = []
        for axis in (1, 0):
            (places,) = np.nonzero(read.any(axis))
            zeros.append(min(places[0], inputs[1 - axis] - 1 - places[-1]))
        assert _solve._slack(problem) == tuple(zeros)


def test_integers_that_a_transform_could_not_round_are_not_transformed():
    """Whichever pixel is the large one among some."""
    rng = np.random.default_rng(31)
    kernel = rng.integers(-(1 << 20), 1 << 20, (90, 80))
    for large in (True, False):
        image = rng.integers(-9, 9, (600, 600))
        if large:
            image[300:, 300:] = 1 << 40
        engine = fastconv.explain(image, kernel, "same").engine
        assert engine == ("direct" if large else "certified")


@pytest.mark.parametrize(("pixel", "tap", "side"), [(1, 1, 289), (1j, 1, 204), (1j, 1j, 144)])
def test_what_is_small_counts_products_of_real_numbers(pixel, tap, side):
    """About two million: a little less is small, a little more is not."""
    for n, small in ((side, True), (side + 2, False)):
        problem = problem_of("convolve2d", np.full((n, n), pixel), np.full((5, 5), tap), "same")
        assert _solve.is_small(problem, "auto") is small


def test_complex_numbers_without_imaginary_parts_are_as_many_products_as_real_ones():
    problem = problem_of("convolve2d", np.ones((280, 280), "D"), np.ones((5, 5), "D"), "same")
    assert _solve.is_small(problem, "auto")
