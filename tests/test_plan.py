"""
The planner: what may be asked for, what is chosen and told, plans, and the file of costs.
"""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from math import log2
from pathlib import Path

import numpy as np
import pytest
from cases import BOUNDARIES, FUNCTIONS, MODES, floats, same_bits

import fastconv
from fastconv import _costs, _dispatch, _plan, _solve
from fastconv._dispatch import engine_for

METHODS = tuple(_plan.ENGINES)
SHIPPED = _costs.SHIPPED[_dispatch.LEVEL]


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
        with pytest.raises(ValueError, match="Acceptable method flags are 'auto', 'direct'"):
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


def test_a_small_problem_is_not_looked_at():
    kernel = np.ones((21, 21))
    rows = (_solve.SMALL - 1) // (21 * 21 * 100)
    assert chosen(np.ones((rows, 100)), kernel, "same") == "direct"
    assert chosen(np.ones((rows + 1, 100)), kernel, "same") == "separable"
    for method in ("separable", "fft"):
        assert chosen(np.ones((rows, 100)), kernel, "same", method=method) == method
    why = dict(fastconv.explain(np.ones((9, 9)), kernel, "same").others)
    assert why == dict.fromkeys(
        ("separable", "certified"), "the problem is too small to look for anything faster"
    )
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
        others = dict(told.others)
        assert set(others) == {"direct", "separable", "certified"} - {engine}
        for why in others.values():
            assert why.endswith(" times the time predicted")
            assert float(why.split()[0]) > 1


def facts(**kwargs):
    usual = {
        "outputs": (500, 600),
        "taps": (20, 30),
        "images": 1,
        "image_parts": 1,
        "kernel_parts": 1,
        "char": "f",
        "word": "f32",
        "rank_one": False,
        "transformable": True,
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


def test_kernels_longer_than_any_transform_are_done_directly():
    assert _plan.tile(facts(taps=(1 << 17, 3)), "f64", 8) is None
    plan = _plan.decide(facts(taps=(1 << 17, 3)), "fft", (("f32", 16), ("f64", 8)))
    assert plan.engine == "direct"
    assert dict(plan.others)["fft"] == "the kernel is longer than any transform"
    assert _plan.tile(facts(taps=(_plan.MAX_LENGTH, 3)), "f64", 8) is not None
    assert _plan.tile(facts(taps=(2 * _plan.MAX_LENGTH, 3)), "f64", 8) is not None
    assert _plan.tile(facts(taps=(2 * _plan.MAX_LENGTH + 1, 3)), "f64", 8) is None
    assert _plan.tile(facts(taps=(3, _plan.MAX_LENGTH + 1)), "f64", 8) is None


def test_lengths_have_no_primes_but_2_3_and_5_and_a_transform_each():
    for lanes in (2, 4, 8, 16):
        for n in _plan.lengths(lanes):
            assert n % lanes == 0
            rest = int(n)
            for prime in (2, 3, 5):
                while rest % prime == 0:
                    rest //= prime
            assert rest == 1
    for word, lanes in _solve.lanes():
        spectrum = engine_for("fft", word).Spectrum
        for n in _plan.lengths(lanes)[:-30:5].tolist():
            spectrum(np.ones((1, 1, 1)), lanes, n, False, True, 1)


def test_more_images_take_more_time():
    lanes = _solve.lanes()
    for method in ("direct", "fft"):
        one, ten = (_plan.decide(facts(images=n), method, lanes).seconds for n in (1, 10))
        assert 5 * one < ten < 11 * one


# --- what is told --------------------------------------------------------------------------------


def test_the_bound_that_is_told_is_the_one_that_holds():
    rng = np.random.default_rng(7)
    image, kernel = np.ones((300, 300), "f"), rng.standard_normal((20, 30)).astype("f")
    assert fastconv.explain(image, kernel, method="direct").bound == (
        "|error| <= 600 * 2**-24 * sum |products|"
    )
    both = fastconv.explain(image * np.complex64(1j), kernel * np.complex64(1j), method="direct")
    assert both.bound == "|error| <= 1200 * 2**-24 * sum |products|"
    certified = fastconv.explain(image, kernel, method="certified")
    assert certified.engine == "certified"
    assert certified.bound == "|error| <= 600 * 2**-24 * sum |products|"
    for dtype, u in (("f", "2**-24"), ("d", "2**-53")):
        told = fastconv.explain(image.astype(dtype), kernel.astype(dtype), method="fft")
        constant = _plan.ERROR * log2(told.tile[0] * told.tile[1])
        assert (
            told.bound == f"|error| <= {constant:.0f} * {u} * |tile| |kernel|, in Euclidean norms"
        )
    whole = fastconv.explain(image.astype("h"), np.ones((3, 3), "h"), method="fft")
    assert whole.bound == "exact, modulo 2**16"


def test_the_text_tells_all_there_is():
    rng = np.random.default_rng(8)
    image, kernel = np.ones((300, 310)), rng.standard_normal((20, 30))
    told = fastconv.explain(image, kernel, "same", method="fft", workers=2)
    height, width = told.tile
    lines = str(told).splitlines()
    assert repr(told) == str(told)
    assert lines[0] == "300 x 310 by 20 x 30 -> 300 x 310, float64"
    assert lines[1] == "engine     fft: tiles by Fourier transform"
    down, across = -(-300 // (2 * height - 19)), -(-310 // (width - 29))
    assert lines[2] == f"tile       {height} x {width} points, {down} x {across} of them"
    assert lines[3] == "computed   in float64"
    assert lines[4] == "threads    up to 2; the result is the same for any number"
    assert lines[5].startswith("predicted ")
    assert lines[6].startswith("memory ")
    assert lines[7] == f"bound      {told.bound}"
    assert told.memory == 2 * 8 * height * width * 3
    line = fastconv.explain(np.ones((3, 30000), "f"), np.ones((1, 99), "f"), method="fft")
    assert f"pieces of {line.tile[0] * line.tile[1]} samples" in str(line)
    assert "computed   in float32" in str(line)
    direct = fastconv.explain(image, kernel, correlate=True)
    assert direct.tile is None
    assert direct.memory == 0
    assert "next to nothing of scratch" in str(direct)
    assert "not        separable: the kernel is not the outer product of two vectors" in str(direct)
    assert "not        certified: no transform is accurate enough for 'd'" in str(direct)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_it_is_about_the_call_of_the_same_arguments(boundary, mode):
    kernel = np.random.default_rng(9).standard_normal((9, 8))
    image = np.ones((300, 200))
    for correlate, function in ((False, "convolve2d"), (True, "correlate2d")):
        told = fastconv.explain(image, kernel, mode, boundary, 1, correlate=correlate)
        h, w = getattr(fastconv, function)(image, kernel, mode, boundary, 1).shape
        assert f"-> {h} x {w}, float64" in str(told)
        with pytest.raises(ValueError, match="both be 2-D"):
            fastconv.explain(image[0], kernel, mode, boundary, correlate=correlate)


def test_predictions_are_sums_of_the_costs():
    image = np.ones((1000, 1000))
    a, b, c = SHIPPED.direct["f64"]
    told = fastconv.explain(image, np.ones((9, 7)), "same", method="direct")
    assert told.predicted == pytest.approx(_costs.CALL + 1e-3 * (a * 63 + b * 9 + c))
    a, c = SHIPPED.separable["f64"]
    told = fastconv.explain(image, np.ones((9, 7)), "same", method="separable")
    assert told.predicted == pytest.approx(_costs.CALL + 1e-3 * (a * 16 + c))
    for points, ns in zip(_costs.POINTS, SHIPPED.transform["f64"], strict=True):
        seconds = _costs.transform("f64", np.array([points]), False)
        assert seconds[0] == pytest.approx(1e-9 * points * log2(points) * ns)


# --- plans ---------------------------------------------------------------------------------------


def test_a_plan_tells_its_shapes_and_dtypes():
    planned = fastconv.plan(np.ones((3, 4)), (9, 10), "f", mode="valid")
    assert (planned.shape, planned.dtype) == ((9, 10), np.dtype("f"))
    assert (planned.out_shape, planned.out_dtype) == ((7, 7), np.dtype("d"))
    assert repr(planned) == "<fastconv.plan (9, 10) by (3, 4), float32: direct>"
    assert planned.explanation.engine == "direct"


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
    assert same_bits(again(image), fastconv.correlate2d(image, kernel, **kwargs))


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


def test_threads_may_make_and_share_plans():
    rng = np.random.default_rng(13)
    kernel, image = rng.standard_normal((20, 20)), rng.standard_normal((200, 200))
    expected = fastconv.convolve2d(image, kernel, method="fft")

    def work(i):
        # Tables of many sizes come and go meanwhile.
        fastconv.plan(kernel, (200 + 40 * i, 90), "d", method="fft")
        return fastconv.plan(kernel, (200, 200), "d", method="fft")(image)

    with ThreadPoolExecutor(8) as pool:
        for y in pool.map(work, range(40)):
            assert same_bits(y, expected)


# --- the file of costs ---------------------------------------------------------------------------


def as_text(costs=SHIPPED):
    return json.dumps(costs._asdict())


def test_a_file_of_costs_is_read():
    assert _costs.parse(as_text()) == SHIPPED
    data = json.loads(as_text())
    data["direct"]["f32"] = [1, 2, 3]
    data["more"] = "is no harm"
    assert _costs.parse(json.dumps(data)).direct["f32"] == (1.0, 2.0, 3.0)


def spoilt(change):
    data = json.loads(as_text())
    change(data)
    return json.dumps(data)


GARBAGE = {
    "nothing": "",
    "no json": "{direct: 1}",
    "a list": "[]",
    "a number": "3",
    "null": "null",
    "no direct": spoilt(lambda data: data.pop("direct")),
    "no word": spoilt(lambda data: data["separable"].pop("u16")),
    "too few": spoilt(lambda data: data["direct"]["f32"].pop()),
    "too many": spoilt(lambda data: data["transform"]["f32"].append(1.0)),
    "negative": spoilt(lambda data: data["direct"].update(f64=[-1, 1, 1])),
    "words": spoilt(lambda data: data["direct"].update(f64=["a", 1, 1])),
    "nulls": spoilt(lambda data: data["direct"].update(f64=None)),
    "lists": spoilt(lambda data: data["direct"].update(f64=[[1], 1, 1])),
    "NaN": spoilt(lambda data: data["direct"].update(f64=[float("nan"), 1, 1])),
    "later NaN": spoilt(lambda data: data["direct"].update(f64=[1, float("nan"), 1])),
    "Infinity": spoilt(lambda data: data["transform"].update(f64=[float("inf")] * 8)),
    "transforms for nothing": spoilt(lambda data: data["transform"].update(f64=[0.0] * 8)),
    "beyond floats": as_text().replace("0.03", "1" + "0" * 400),
}


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE)
def test_a_file_of_garbage_is_refused_and_the_shipped_costs_are_used(text, tmp_path, monkeypatch):
    with pytest.raises((ValueError, KeyError, TypeError, OverflowError)):
        _costs.parse(text)
    monkeypatch.undo()  # the costs are the file's again
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    file = _costs.cache_file()
    assert tmp_path in file.parents
    file.parent.mkdir(parents=True)
    _costs.current.cache_clear()
    try:
        assert _costs.current() == SHIPPED
        file.write_text(text, encoding="utf-8")
        _costs.current.cache_clear()
        assert _costs.current() == SHIPPED
        file.write_bytes(b"\xff\xfe\x00")
        _costs.current.cache_clear()
        assert _costs.current() == SHIPPED
        data = json.loads(as_text())
        data["direct"]["f32"] = [1, 2, 3]
        file.write_text(json.dumps(data), encoding="utf-8")
        _costs.current.cache_clear()
        assert _costs.current().direct["f32"] == (1.0, 2.0, 3.0)
    finally:
        _costs.current.cache_clear()


def test_the_least_costs_there_may_be_choose_some_engine(costs):
    data = {
        name: {word: (1e-9 * (name == "transform"),) * len(part[word]) for word in part}
        for name, part in SHIPPED._asdict().items()
    }
    costs(_costs.parse(json.dumps(data)))
    image, kernel = np.ones((300, 300), "f"), np.ones((20, 20), "f")
    for method in METHODS:
        assert fastconv.explain(image, kernel, method=method).engine in _plan.ENGINES[method]
        y = fastconv.convolve2d(image, kernel, "valid", method=method)
        np.testing.assert_allclose(y, 400, rtol=1e-5)


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/caches"}, "/caches/fastconv"),
        ("linux", {"XDG_CACHE_HOME": "  "}, "/home/me/.cache/fastconv"),
        ("linux", {}, "/home/me/.cache/fastconv"),
        ("darwin", {"XDG_CACHE_HOME": "/caches"}, "/home/me/Library/Caches/fastconv"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/fastconv/Cache"),
        ("win32", {"LOCALAPPDATA": ""}, "/home/me/AppData/Local/fastconv/Cache"),
        ("win32", {}, "/home/me/AppData/Local/fastconv/Cache"),
    ],
)
def test_the_file_is_in_the_users_cache_folder(platform, environment, expected, monkeypatch):
    monkeypatch.setattr(_costs.sys, "platform", platform)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert _costs.cache_file() == Path(expected) / f"costs-{_dispatch.LEVEL}.json"


def test_costs_are_shipped_for_every_level_and_word():
    assert set(_dispatch.BUILT) <= set(_costs.SHIPPED)
    words = {word for word, _ in _dispatch._WORDS.values()}
    for costs in _costs.SHIPPED.values():
        assert set(costs.direct) == set(costs.separable) == words
        assert set(costs.transform) == {"f32", "f64"}
        for values in costs.transform.values():
            assert len(values) == len(_costs.POINTS)
            assert min(values) > 0
