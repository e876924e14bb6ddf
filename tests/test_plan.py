"""
The planner: what may be asked for, what is chosen and told, plans, and the file of costs.
"""

import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest
from bounds import plan_of, problem_of
from cases import FUNCTIONS, MODES, floats, same_bits

import fastconv
from fastconv import _costs, _dispatch, _plan, _solve
from fastconv._fourier import Transformed

METHODS = tuple(_plan.ENGINES)
SHIPPED = _costs.shipped()[_dispatch.LEVEL]


@pytest.fixture
def costs(monkeypatch):
    """Function that sets the constants for the length of a test."""

    def use(constants):
        monkeypatch.setattr(_costs, "current", lambda: constants)
        _plan.decide.cache_clear()

    yield use
    _plan.decide.cache_clear()


@pytest.fixture(autouse=True)
def _shipped_costs(costs):
    """What is chosen here must not depend on whether the machine was tuned."""
    costs(SHIPPED)


# --- what may be asked for -----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["", "Direct", "FFT", "oa", None, 0, "rank"])
def test_other_methods_are_refused(method):
    image, kernel = np.ones((9, 9)), np.ones((3, 3))
    for call in (
        fastconv.convolve2d,
        fastconv.correlate2d,
        fastconv.explain,
        lambda x, k, method: fastconv.plan(k, x.shape, x.dtype, method=method),
    ):
        with pytest.raises(ValueError, match="Acceptable method flags are 'auto', 'fast', "):
            call(image, kernel, method=method)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_the_same_answer(method):
    rng = np.random.default_rng(1)
    image, kernel = floats(rng, (60, 70), "f"), np.ones((5, 4), "f") / 20
    expected = fastconv.convolve2d(image, kernel, method="direct")
    for call in (fastconv.convolve2d, fastconv.correlate2d):
        np.testing.assert_allclose(call(image, kernel, method=method), expected, atol=1e-5)
    planned = fastconv.plan(kernel, image.shape, image.dtype, method=method)
    np.testing.assert_allclose(planned(image), expected, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_empty_operands_and_results(function, method):
    call = getattr(fastconv, function)
    for shape, kernel_shape, mode in (
        ((0, 5), (3, 3), "same"),
        ((4, 5), (0, 3), "full"),
        ((4, 5), (0, 3), "same"),
        ((4, 5), (3, 0), "same"),
    ):
        y = call(np.ones(shape), np.ones(kernel_shape), mode, method=method)
        expected = call(np.ones(shape), np.ones(kernel_shape), mode)
        np.testing.assert_array_equal(y, expected)
        if kernel_shape != (0, 3) or mode != "full":
            told = fastconv.explain(np.ones(shape), np.ones(kernel_shape), mode, method=method)
            assert told.engine == "direct"


# --- what is chosen ------------------------------------------------------------------------------


def chosen(image, kernel, *args, **kwargs):
    return fastconv.explain(image, kernel, *args, **kwargs).engine


def test_engines_as_one_would_expect_them():
    rng = np.random.default_rng(2)
    image = np.ones((1000, 1000))
    large, small = rng.standard_normal((63, 63)), rng.standard_normal((3, 3))
    assert chosen(image, small) == "direct"
    assert chosen(image, large) == "direct"  # no transform is accurate enough
    assert chosen(image, large, method="fast") == "fft"
    assert chosen(image, large, method="fft") == "fft"
    assert chosen(image, np.ones((21, 21))) == "separable"
    assert chosen(image, np.ones((21, 21)), method="direct") == "direct"
    for dtype in "fF":
        assert chosen(image.astype(dtype), large.astype(dtype)) == "certified"
        assert chosen(image.astype(dtype), large.astype(dtype), method="fast") == "fft"
    assert chosen(image.astype("D"), large.astype("D")) == "direct"
    assert chosen(image, large, method="certified") == "direct"
    whole = rng.integers(-9, 9, (63, 63))
    for dtype in "bhilq":
        assert chosen(image.astype(dtype), whole.astype(dtype)) == "certified"
    assert chosen(image.astype("q") * 2**40, whole.astype("q") * 2**20) == "direct"
    for dtype in "gG":
        for method in METHODS:
            if method != "separable":
                assert chosen(image.astype(dtype), large.astype(dtype), method=method) == "direct"
    spoilt = large.copy()
    spoilt[3, 4] = np.nan
    assert chosen(image, spoilt, method="fft") == "direct"


def test_one_tap_is_not_transformed_to_prove_it_a_product():
    told = fastconv.explain(np.ones((1500, 1500), "f"), np.ones((1, 1), "f"))
    assert told.engine == "direct"
    assert ("certified", "there is one tap") in told.others


def test_the_sum_that_stands_in_for_another_engine_has_its_time():
    image, kernel = np.ones((900, 900), "g"), np.ones((9, 9), "g")
    expected = fastconv.explain(image, kernel, method="direct").predicted
    assert expected > 0
    assert fastconv.explain(image, kernel, method="fft").predicted == expected


def test_what_lies_around_no_pixels_at_all_is_transformed_too():
    y = fastconv.convolve2d(np.ones((0, 5), "i"), np.ones((3, 3), "i"), fillvalue=2, method="fft")
    assert same_bits(y, np.full((2, 7), 18, "i"))


def test_a_small_problem_is_not_looked_at():
    kernel = np.ones((21, 21))
    rows = (_solve.SMALL - 1) // (21 * 21 * 100)
    assert chosen(np.ones((rows, 100)), kernel, "same") == "direct"
    assert chosen(np.ones((rows + 1, 100)), kernel, "same") == "separable"
    for method in ("separable", "fft"):
        assert chosen(np.ones((rows, 100)), kernel, "same", method=method) == method
    why = dict(fastconv.explain(np.ones((9, 9)), kernel, "same").others)
    for name in ("separable", "certified"):
        assert why[name] == "the problem is too small to look for anything faster"
    # Images of a stack count together.
    problem = fastconv._problem.prepare(
        "convolve2d", False, np.ones((3, rows, 100)), kernel, "same", "fill", 0, stacked=True
    )
    assert not _solve.is_small(problem, "auto")


@pytest.mark.parametrize("method", METHODS)
def test_the_choice_does_not_depend_on_threads(method):
    rng = np.random.default_rng(3)
    for shape in ((100, 100), (900, 700), (3, 30000)):
        for kernel in (rng.standard_normal((2, 9)), np.ones((30, 3)), np.ones((1, 50))):
            if method == "separable":
                kernel = np.ones_like(kernel)
            for dtype in "fdD":
                image = np.ones(shape, dtype)
                told = [
                    fastconv.explain(image, kernel.astype(dtype), "same", method=method, workers=w)
                    for w in (1, 2, 7)
                ]
                assert [t.threads for t in told] == [1, 2, 7]
                for other in told[1:]:
                    for name in ("engine", "tile", "predicted", "bound", "others"):
                        assert getattr(other, name) == getattr(told[0], name)


def test_the_choice_does_not_depend_on_pixels_that_are_floats():
    kernel = np.random.default_rng(4).standard_normal((40, 40)).astype("f")
    image = np.ones((600, 600), "f")
    told = fastconv.explain(image, kernel)
    image[300, 300], image[0, 0] = np.nan, 1e30
    assert str(fastconv.explain(image, kernel)) == str(told)


def test_the_cheapest_by_the_costs_is_chosen(costs):
    rng = np.random.default_rng(5)
    image = np.ones((500, 500), "f")
    kernel = np.outer(rng.integers(1, 4, 9), rng.integers(1, 4, 9)).astype("f")
    dear = {
        "direct": dict.fromkeys(SHIPPED.direct, (1.0, 1.0, 1.0)),
        "separable": dict.fromkeys(SHIPPED.separable, (1.0, 1.0)),
        "transform": {word: (1e3,) * len(_costs.POINTS) for word in SHIPPED.transform},
    }
    cheap = {
        name: {word: tuple(1e-3 * v for v in values) for word, values in part.items()}
        for name, part in dear.items()
    }
    cheap["transform"] = {word: (1e-6,) * len(_costs.POINTS) for word in SHIPPED.transform}
    for engine, name in (
        ("direct", "direct"),
        ("separable", "separable"),
        ("certified", "transform"),
    ):
        costs(_costs.Costs(**{**dear, name: cheap[name]}))
        told = fastconv.explain(image, kernel)
        assert told.engine == engine
        assert set(dict(told.others)) >= {"direct", "separable", "certified"} - {engine}


def facts(**kwargs):
    usual = {
        "outputs": (500, 600),
        "taps": (20, 30),
        "images": 1,
        "image_parts": 1,
        "kernel_parts": 1,
        "char": "f",
        "word": "f32",
        "slack": (0, 0),
        "lanes": 16,
        "rank_one": False,
        "transformable": True,
        "once": True,
    }
    return _plan.Facts(**{**usual, **kwargs})


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
@pytest.mark.parametrize("word", ["f32", "f64"])
def test_a_planned_tile_has_room_for_the_kernel(word, lanes):
    rng = np.random.default_rng(6)
    for _ in range(150):
        outputs = tuple((2.0 ** rng.uniform(0, 13, 2)).astype(int).tolist())
        taps = tuple((2.0 ** rng.uniform(0, 10, 2)).astype(int).tolist())
        if rng.integers(3) == 0:
            taps = (1, taps[1]) if rng.integers(2) else (taps[0], 1)
        parts = int(rng.integers(1, 3))
        found = _plan.tile(facts(outputs=outputs, taps=taps, kernel_parts=parts), word, lanes)
        seconds, height, width, line = found
        assert seconds > 0
        assert height in _plan.lengths(lanes)
        assert width in _plan.lengths(lanes)
        assert line == (1 in taps)
        points = 2 if parts == 1 else 1
        if line:
            assert points * height * width >= max(taps)
        else:
            assert points * height >= taps[0]
            assert width >= taps[1]


def test_more_images_take_more_time():
    lanes = _solve.lanes()
    for method in ("direct", "fft"):
        one, ten = (_plan.decide(facts(images=n), method, lanes).seconds for n in (1, 10))
        assert 5 * one < ten < 11 * one


# --- what is told --------------------------------------------------------------------------------


# --- plans ---------------------------------------------------------------------------------------


def test_a_plan_tells_its_shapes_and_dtypes():
    planned = fastconv.plan(np.ones((3, 4)), (9, 10), "f", mode="valid")
    assert (planned.shape, planned.dtype) == ((9, 10), np.dtype("f"))
    assert (planned.out_shape, planned.out_dtype) == ((7, 7), np.dtype("d"))
    assert repr(planned) == "<fastconv.plan (9, 10) by (3, 4), float32: direct>"
    assert planned.explanation.engine == "direct"


def test_plans_for_images_of_bool_have_the_dtype_of_the_call():
    image = np.arange(12).reshape(3, 4) % 3 > 0
    planned = fastconv.plan(np.full((2, 2), 100, "b"), (3, 4), bool)
    assert same_bits(planned(image), fastconv.convolve2d(image, np.full((2, 2), 100, "b")))
    with pytest.raises(ValueError, match="not available for this type"):
        fastconv.plan(np.ones((2, 2), bool), (3, 4), bool)


def test_images_and_outs_that_are_not_the_plans_are_refused():
    planned = fastconv.plan(np.ones((3, 4)), (9, 10), "f", mode="same")
    with pytest.raises(ValueError, match=r"images of shape \(9, 10\), not \(10, 9\)"):
        planned(np.ones((10, 9), "f"))
    with pytest.raises(ValueError, match="images of shape"):
        planned(np.ones(10, "f"))
    for dtype in ("d", "i", "F"):
        with pytest.raises(TypeError, match="images of dtype float32, not"):
            planned(np.ones((9, 10), dtype))
    with pytest.raises(ValueError, match="out has shape"):
        planned(np.ones((9, 10), "f"), out=np.ones((9, 9)))
    with pytest.raises(TypeError, match="out has dtype"):
        planned(np.ones((9, 10), "f"), out=np.ones((9, 10), "f"))
    with pytest.raises(TypeError, match=r"out must be a numpy\.ndarray"):
        planned(np.ones((9, 10), "f"), out=[[1.0]])
    with pytest.raises(ValueError, match="workers must not be zero"):
        planned(np.ones((9, 10), "f"), workers=0)


@pytest.mark.parametrize(
    ("kernel", "shape", "dtype", "kwargs", "error"),
    [
        (np.ones(3), (9, 9), "d", {}, ValueError),
        (np.ones((3, 3)), (9, 9, 9), "d", {}, ValueError),
        (np.ones((3, 3)), 9, "d", {}, TypeError),
        (np.ones((3, 3)), (9.7, 9), "d", {}, TypeError),
        (np.ones((3, 3)), (9, "9"), "d", {}, TypeError),
        (np.ones((3, 3)), (9, 9), "nonsense", {}, TypeError),
        (np.ones((3, 3)), (9, 9), "M8[s]", {}, (TypeError, ValueError)),
        (np.ones((3, 3)), (9, 9), "d", {"mode": "both"}, ValueError),
        (np.ones((3, 3)), (9, 9), "d", {"boundary": "sym"}, ValueError),
        (np.ones((3, 12)), (9, 9), "d", {"mode": "valid"}, ValueError),
        (np.eye(3), (9, 9), "d", {"method": "separable"}, ValueError),
        (np.ones((3, 3)), (9, 9), "d", {"workers": 0}, ValueError),
        (np.ones((3, 3)), (9, 9), "d", {"fillvalue": [1, 2]}, ValueError),
    ],
)
def test_what_no_call_accepts_no_plan_does(kernel, shape, dtype, kwargs, error):
    with pytest.raises(error):
        fastconv.plan(kernel, shape, dtype, **kwargs)


def test_a_plan_keeps_a_kernel_of_its_own():
    rng = np.random.default_rng(10)
    image = rng.standard_normal((60, 70))
    for method in ("direct", "separable", "fft"):
        kernel = np.ones((5, 4))
        planned = fastconv.plan(kernel, (60, 70), "d", method=method)
        before = planned(image)
        kernel[...] = 7
        assert same_bits(planned(image), before)


def test_what_happens_to_a_fillvalue_later_does_not_matter():
    fill = np.array([5.0])
    planned = fastconv.plan(np.ones((3, 3)), (4, 4), "d", mode="same", fillvalue=fill)
    fill[0] = 7
    for each in (planned, pickle.loads(pickle.dumps(planned))):
        assert each(np.zeros((4, 4)))[0, 0] == 25


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_plan_gives_the_same_bits(protocol, method):
    rng = np.random.default_rng(11)
    image = floats(rng, (60, 70), "f")
    kwargs = {"mode": "same", "boundary": "symm", "correlate": True, "method": method}
    kernel = np.outer([1, 2, 4], floats(rng, (5,), "f")).astype("f")
    planned = fastconv.plan(kernel, (60, 70), "f", **kwargs)
    again = pickle.loads(pickle.dumps(planned, protocol))
    assert repr(again) == repr(planned)
    assert same_bits(again(image), planned(image))
    kwargs.pop("correlate")
    expected = fastconv.correlate2d(image, kernel, **kwargs)
    # Not the same bits: tiles may be others for many images than for one.
    np.testing.assert_allclose(again(image), expected, rtol=0, atol=1e-4)


def test_images_smaller_than_the_kernel():
    """The operands may be exchanged then, and nothing is made ready."""
    rng = np.random.default_rng(12)
    kernel = rng.standard_normal((9, 8))
    for mode in MODES:
        for correlate, function in ((False, "convolve2d"), (True, "correlate2d")):
            planned = fastconv.plan(kernel, (4, 5), "d", mode=mode, correlate=correlate)
            images = rng.standard_normal((2, 3, 4, 5))
            expected = [getattr(fastconv, function)(one, kernel, mode) for one in images[0]]
            assert same_bits(planned(images[0, 1]), expected[1])
            y = planned(images)
            assert y.shape == (2, 3, *planned.out_shape)
            assert same_bits(y[0].copy(), np.array(expected))
            out = np.empty_like(y)
            assert planned(images, out=out) is out
            assert same_bits(out, y)


@pytest.mark.parametrize("dtype", ["d", "F", "h"])
def test_an_image_that_becomes_the_kernel_may_be_any(dtype):
    """It is not known to be separable, unless it is one row or column."""
    kernel = np.ones((9, 8), dtype)
    planned = fastconv.plan(kernel, (4, 5), dtype, mode="valid")
    assert planned.explanation.engine != "separable"
    if dtype == "F":  # no complex kernel is
        return
    planned = fastconv.plan(kernel, (4, 5), dtype, mode="valid", method="separable")
    assert planned(np.ones((0, 4, 5), dtype)).shape == (0, 6, 4)
    with pytest.raises(ValueError, match="not separable"):
        planned(np.eye(4, 5, dtype=dtype))
    image = np.outer([1, 2, 3, 1], np.arange(5)).astype(dtype)
    assert same_bits(planned(image), fastconv.convolve2d(image, kernel, "valid"))


def test_threads_may_make_and_share_plans():
    rng = np.random.default_rng(13)
    kernel, image = rng.standard_normal((20, 20)), rng.standard_normal((200, 200))
    expected = fastconv.plan(kernel, (200, 200), "d", method="fft")(image)

    def work(i):
        # Tables of many sizes come and go meanwhile.
        fastconv.plan(kernel, (200 + 40 * i, 90), "d", method="fft")
        return fastconv.plan(kernel, (200, 200), "d", method="fft")(image)

    with ThreadPoolExecutor(8) as pool:
        for y in pool.map(work, range(40)):
            assert same_bits(y, expected)


def test_kernels_longer_than_any_transform_are_done_directly():
    longest = int(_plan.lengths(8)[-1])
    assert longest <= _plan.MAX_LENGTH
    plan = _plan.decide(facts(taps=(4 * longest, 3)), "fft", (("f32", 16), ("f64", 8)))
    assert plan.engine == "direct"
    assert _plan.tile(facts(taps=(2 * longest, 3)), "f64", 8) is not None
    assert _plan.tile(facts(taps=(2 * longest + 1, 3)), "f64", 8) is None
    assert _plan.tile(facts(taps=(3, longest + 1)), "f64", 8) is None


# --- predictions ---------------------------------------------------------------------------------

LANES = dict(_solve.lanes())


def filled(shape, dtype):
    """Complex ones of no imaginary part would be taken for real."""
    return np.full(shape, 1 + 1j if dtype in "FD" else 1, dtype)


@pytest.mark.parametrize("dtype", "fD")
@pytest.mark.parametrize("boundary", ["fill", "symm"])
@pytest.mark.parametrize(
    ("shape", "taps"),
    [((190, 170), (41, 33)), ((64, 96), (33, 40)), ((200, 1), (61, 1)), ((3, 700), (1, 129))],
)
def test_as_many_tiles_are_foretold_as_there_are(shape, taps, boundary, dtype):
    problem = problem_of("convolve2d", filled(shape, dtype), filled(taps, dtype), "same", boundary)
    facts = _solve.facts(problem, False, True)
    line = 1 in taps
    for height, width in ((16, 16), (16, 32)) if line else ((48, 64), (64, 96), (80, 160)):
        plan = plan_of(problem, height, width, line)
        made = Transformed(problem, plan, 1)
        made.error, made.least = np.inf, 1.0  # nothing is certain: all tiles are left
        left = made.run(problem, np.empty(problem.shape, dtype), 1)
        assert len(left) == np.prod(_plan.grid(facts, plan))


@pytest.mark.parametrize("dtype", "fD")
@pytest.mark.parametrize("boundary", ["fill", "symm"])
@pytest.mark.parametrize("taps", [(33, 33), (65, 9), (1, 65), (129, 1)])
@pytest.mark.parametrize("side", [200, 480, 1000])
def test_no_tile_is_cheaper_than_the_one_that_is_chosen(side, taps, boundary, dtype):
    word = "f32" if dtype == "f" else "f64"
    n, line = _plan.lengths(LANES[word]), 1 in taps
    points = 2 if dtype == "f" else 1
    # A length that the outputs of one tile just fill, and the next.
    for more in (0, 1):
        height = points * n[n >= side // points][0] + more
        shape = [s if k == 1 else height - (k - 1) // (1 + (boundary == "fill")) for s, k in
                 zip((side, side), taps, strict=True)]  # fmt: skip
        problem = problem_of(
            "convolve2d", filled(shape, dtype), filled(taps, dtype), "same", boundary
        )
        facts = _solve.facts(problem, False, True)
        _, *found = _plan.tile(facts, word, LANES[word])
        best, chosen_one = np.inf, None
        for h, w in product(n[n <= 3 * side], repeat=2):
            if line and not h <= w <= 8 * h:
                continue
            room = (points * h * w,) if line else (points * h, w)
            if any(r < k for r, k in zip(room, [max(taps)] if line else taps, strict=True)):
                continue
            plan = plan_of(problem, int(h), int(w), line)
            tiles = np.prod(_plan.grid(facts, plan)) + 0.5
            seconds = float(_costs.transform(word, LANES[word], h, w, line)) * tiles
            if [h, w, line] == found:
                chosen_one = seconds
            best = min(best, seconds)
        assert chosen_one == pytest.approx(best, rel=1e-12)


def test_predictions_count_whole_vectors():
    lanes = _solve.facts(problem_of("convolve2d", *[filled((9, 9), "D")] * 2), False, True).lanes

    def predicted(width, dtype):
        image = filled((300, width), dtype)
        return fastconv.explain(image, np.ones((3, 3)), "same", method="direct").predicted

    for width in range(lanes + 1, 2 * lanes + 1):
        assert predicted(width, "d") == pytest.approx(predicted(2 * lanes, "d"))
    # Two words each: two vectors and a part of a third.
    for width in range(lanes + 1, lanes + lanes // 2 + 1):
        assert predicted(width, "D") == pytest.approx(predicted(lanes + max(1, lanes // 2), "D"))
    assert predicted(2 * lanes + 1, "D") > predicted(2 * lanes, "D")


def test_an_image_that_may_be_separable_is_planned_for():
    kernel, image = np.ones((4, 8)), np.arange(1, 3).reshape(2, 1) + 0j
    planned = fastconv.plan(kernel, (2, 1), "D", mode="valid", method="separable")
    expected = fastconv.convolve2d(image, kernel, "valid", method="separable")
    assert same_bits(planned(image), expected)
    with pytest.raises(ValueError, match="not separable"):
        planned(image * 1j)


def test_a_plan_for_kernels_checks_all_it_is_told_of_a_stack_with_nothing_in_it():
    planned = fastconv.plan(np.ones((3, 3)), (2, 2), "d")
    with pytest.raises(ValueError, match="workers must not be zero"):
        planned(np.ones((0, 2, 2)), workers=0)
    nothing = fastconv.plan(np.ones((5, 5)), (4, 0), "d", mode="same")
    assert nothing(np.broadcast_to(1.0, (1 << 50, 4, 0))).shape == (1 << 50, 4, 0)


def test_a_plan_keeps_its_fill_value():
    for fill in ([7.0], [[7.0]], np.array([7.0])):
        planned = fastconv.plan(np.ones((3, 3)), (4, 4), "d", mode="same", fillvalue=fill)
        expected = planned(np.ones((4, 4)))
        fill[0] = 0
        copy = pickle.loads(pickle.dumps(planned))
        assert same_bits(copy(np.ones((4, 4))), expected)


@pytest.mark.parametrize("method", ["direct", "fft"])
def test_an_out_that_lies_about_itself_is_refused(method):
    class Liar(np.ndarray):
        dtype = property(lambda self: np.dtype("d"))
        shape = property(lambda self: (64, 64))

    x, k = np.ones((64, 64)), np.ones((9, 9))
    for array in (np.zeros((64, 64), "f"), np.zeros((64, 32))):
        with pytest.raises((TypeError, ValueError), match="out has"):
            fastconv.convolve2d(x, k, "same", method=method, out=array.view(Liar))
