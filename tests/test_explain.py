"""What `explain` says, against what is done."""

import itertools

import numpy as np
import pytest
from cases import DTYPES, whole_numbers

import fastconv
from fastconv import _solve, explain

rng = np.random.default_rng(1)


def normal(*shape, dtype="d"):
    return rng.standard_normal(shape).astype(dtype)


GAUSSIAN = np.exp(-(np.linspace(-2, 2, 21) ** 2))
BLUR = np.multiply.outer(GAUSSIAN, GAUSSIAN)

# Arguments, and what they lead to: route, engine, number of calls.
TYPICAL = [
    ((normal(200, 300), normal(3, 3)), {}, "plane", "direct", 1),
    ((normal(900, 800), BLUR, "same", "symm"), {}, "plane", "separable", 1),
    ((normal(900, 800, dtype="f"), normal(65, 65, dtype="f")), {}, "plane", "certified", 1),
    ((normal(900, 800), normal(65, 65)), {}, "plane", "direct", 1),
    ((normal(900, 800), normal(65, 65)), {"method": "fft"}, "plane", "fft", 1),
    ((normal(900, 800), normal(65, 65)), {"function": "convolve"}, "plane", "fft", 1),
    ((normal(10**5), normal(5000)), {"function": "correlate"}, "plane", "fft", 1),
    ((normal(10**5), normal(5000)), {"function": "correlate", "method": "direct"}, "plane",
     "direct", 1),
    ((normal(8, 200, 200), normal(3, 41, 1), "full"), {"axes": (0, 1)}, "slices", "certified", 1),
    ((normal(64, 64, 64), normal(64, 64, 64)), {"function": "convolve"}, "fftn", "scipy.fft", 1),
    ((normal(64, 64, 64), normal(3, 5, 4)), {"function": "oaconvolve"}, "slices", "direct", 3),
    ((normal(9, 300, 300), normal(1, 40, 40)), {"function": "fftconvolve"}, "slices", "fft", 1),
    ((normal(9, 300, 300), normal(9, 40, 40)), {"function": "fftconvolve", "axes": (1, 2)},
     "slices", "fft", 9),
    ((normal(1, 4), normal(3, 1)), {"function": "fftconvolve"}, "multiply", "product", 1),
    ((2.0, 3.0), {"function": "convolve"}, "multiply", "product", 1),
    ((np.ones(3, object), [1.0]), {"function": "correlate"}, "scipy", "scipy", 1),
    ((np.ones((0, 3)), np.ones((2, 2)), "same"), {}, "plane", "direct", 1),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(TYPICAL)))
def test_typical_calls_are_explained(case):
    args, kwargs, route, engine, calls = TYPICAL[case]
    if kwargs.get("axes") == (0, 1):
        args = (np.moveaxis(args[0], 0, -1).astype("f"), args[1][0].astype("f"), *args[2:])
        args = (args[0], np.tile(args[1], (1, 41)) * normal(41, 41, dtype="f"), *args[2:])
    told = explain(*args, **kwargs)
    assert (told.route, told.engine, told.calls) == (route, engine, calls)
    assert (told.tile is None) == (told.memory is None) or engine == "scipy.fft"
    assert str(told) == repr(told)
    lines = str(told).splitlines()
    assert lines[0].startswith(kwargs.get("function", "convolve2d"))
    assert engine in lines[1]
    assert engine not in dict(told.others)
    assert all(len(line) <= 100 for line in lines[1:])


@pytest.mark.parametrize("case", range(len(TYPICAL)))
def test_the_engine_that_is_told_is_the_one_that_runs(case, monkeypatch):
    args, kwargs, route, engine, calls = TYPICAL[case]
    if route not in ("plane", "slices") or "axes" in kwargs:
        return
    ran = []
    choose = _solve.engine

    def noted(*args, **kwargs):
        made = choose(*args, **kwargs)
        ran.append(made.plan.engine)
        return made

    monkeypatch.setattr(_solve, "engine", noted)
    name = kwargs.get("function", "convolve2d")
    more = {key: value for key, value in kwargs.items() if key != "function"}
    y = getattr(fastconv, name)(*args, **more)
    assert set(ran) == ({engine} if y.size else set())
    if route == "slices":
        assert len(ran) % calls == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_explained_in_words(dtype):
    x, k = whole_numbers(rng, (200, 200), dtype), whole_numbers(rng, (25, 25), dtype)
    for function in ("convolve2d", "correlate2d", "convolve", "correlate", "fftconvolve"):
        text = str(explain(x, k, function=function))
        assert str(np.dtype(dtype)) in text
        assert f"{dtype!r}" not in text
        exact = np.dtype(dtype).kind in "iu" and function != "fftconvolve"
        assert ("integers are exact" in text) == exact
    cube = whole_numbers(rng, (12, 13, 14), dtype)
    assert str(np.dtype(dtype)) in str(explain(cube, cube, function="convolve"))


def test_the_methods_that_change_the_engine_do_so():
    x = normal(300, 300, dtype="f")
    for k in (normal(3, 3, dtype="f"), BLUR.astype("f"), normal(41, 41, dtype="f")):
        for method in ("auto", "direct", "fft"):
            told = explain(x, k, method=method)
            if "to change" in str(told):
                line = str(told).splitlines()[-1]
                for other in ("direct", "separable", "fft"):
                    if f"method={other!r}" in line:
                        assert explain(x, k, method=other).engine == other != told.engine


def test_threads_change_nothing_but_their_number():
    x, k = normal(300, 300), normal(25, 25)
    one, two = (explain(x, k, function="convolve", workers=n) for n in (1, 2))
    assert (one.threads, two.threads) == (1, 2)
    assert (one.engine, one.tile, one.predicted) == (two.engine, two.tile, two.predicted)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"function": "sepfir2d"}, "must be one of"),
        ({"method": "x"}, "method flags"),
        ({"function": "convolve", "method": "separable"}, "method flags"),
        ({"function": "convolve", "boundary": "wrap"}, "no boundary"),
        ({"function": "correlate", "fillvalue": 3}, "no boundary"),
        ({"function": "convolve", "axes": 0}, "no axes"),
        ({"function": "fftconvolve", "method": "fft"}, "no method"),
        ({"function": "fftconvolve", "axes": 7}, "axes exceeds"),
        ({"mode": "x"}, "mode flags"),
    ],
)
def test_what_the_function_refuses_is_refused(kwargs, words):
    with pytest.raises(ValueError, match=words):
        explain(np.ones((4, 4)), np.ones((2, 2)), **kwargs)


@pytest.mark.parametrize(
    ("images", "side", "taps", "tiles"),
    [(1, 2000, 999, 1), (4, 300, 99, 4), (5, 300, 99, 1), (64, 300, 99, 4), (4, 9000, 3999, 1)],
    ids=["one", "one each", "one is left", "many", "large"],
)
def test_threads_share_a_tile_or_have_one_each(images, side, taps, tiles):
    stack = np.broadcast_to(0.0, (images, side, side))
    kernel = np.broadcast_to(1.0, (taps, taps))
    told = explain(stack, kernel, "same", axes=(1, 2), method="fft", workers=4)
    assert told.threads == 4
    height, width = told.tile
    assert told.memory == (1 + tiles) * 16 * height * width  # and the kernel's spectrum


def test_what_a_result_would_warn_of_is_not_warned_of():
    with np.errstate(all="raise"):
        assert explain(1e308, 10.0, function="convolve").engine == "product"


@pytest.mark.parametrize(
    ("shape", "taps", "mode", "result"),
    [
        ((1 << 20, 1 << 14), (1, 1), "full", (1 << 20, 1 << 14)),
        ((1, 1), (1 << 20, 1 << 14), "full", (1 << 20, 1 << 14)),
        ((1 << 20, 1), (1, 1 << 20), "full", (1 << 20, 1 << 20)),
        ((1 << 20, 1), (1, 1 << 20), "same", (1 << 20, 1)),
    ],
)
@pytest.mark.parametrize("dtypes", [("d", "f"), ("?", "?"), ("e", "b"), ("F", "q")])
def test_products_are_not_computed_to_be_explained(shape, taps, mode, result, dtypes):
    arrays = [
        np.broadcast_to(np.ones((), d), n) for n, d in zip((shape, taps), dtypes, strict=True)
    ]
    dtype = (np.ones(1, dtypes[0]) * np.ones(1, dtypes[1])).dtype
    told = str(explain(*arrays, mode, function="fftconvolve"))
    assert f"-> {result[0]} x {result[1]} {dtype}, mode" in told


def test_kernels_of_a_stack_that_are_one_are_looked_at_once():
    kernels = np.broadcast_to(np.ones((3, 3)), (1 << 40, 3, 3))
    told = explain(np.ones((20, 20)), kernels, axes=(1, 2), method="separable")
    assert told.engine == "separable"


@pytest.mark.parametrize("dtype", "qfd")
@pytest.mark.parametrize("spoilt", [0, 1, 2, None])
def test_of_a_stack_of_kernels_all_must_be_separable_if_one_must(spoilt, dtype):
    images, kernels = np.ones((3, 20, 20), dtype), np.ones((3, 3, 3), dtype)
    if spoilt is not None:
        kernels[spoilt, 1, 1] = 2
    arguments = {"axes": (1, 2), "method": "separable"}
    for function in (fastconv.convolve2d, explain, fastconv.error_bound):
        if spoilt is None:
            function(images, kernels, **arguments)
        else:
            with pytest.raises(ValueError, match="the kernel is not separable"):
                function(images, kernels, **arguments)


NOTHING = [
    ((0, 6, 7), (1, 3, 3)), ((0, 6, 7), (0, 2, 2)), ((5, 5, 0, 1), (5, 2, 1, 1)),
    ((0, 6, 1), (1, 5, 1)), ((1, 4, 4), (0, 2, 2)), ((2, 0, 3), (1, 2, 2)), ((3, 2, 2), (1, 0, 0)),
    ((0, 4), (0, 4)), ((0, 4), (2, 2)), ((4, 4), (0, 0)), ((0, 0), (0, 0)), ((1 << 40, 0), (2, 2)),
]  # fmt: skip


@pytest.mark.parametrize("function", ["convolve2d", "correlate2d"])
@pytest.mark.parametrize(("shape", "taps"), NOTHING)
def test_of_what_is_empty_too_what_is_done_is_told_and_what_is_refused_is_refused(
    function, shape, taps
):
    image, kernel = np.ones(shape, "f"), np.ones(taps, "q")
    ways = itertools.product(
        [None, (-2, -1), (0, 1), (1, 2)],
        ["full", "same", "valid"],
        ["fill", "wrap"],
        ["auto", "direct", "fft", "separable"],
        [0, -2.25],
    )
    done = 0
    for axes, mode, boundary, method, fill in ways:
        if shape[0] > 9 and mode == "full":
            continue  # more than there is memory for, and that is not told
        arguments = {"method": method, "axes": axes}
        try:
            result = getattr(fastconv, function)(image, kernel, mode, boundary, fill, **arguments)
        except ValueError as error:
            result = error
        for tell in (explain, fastconv.error_bound):
            try:
                told = tell(image, kernel, mode, boundary, fill, function=function, **arguments)
            except ValueError as error:
                assert str(error) == str(result)  # noqa: PT017 - of another error
                continue
            assert not isinstance(result, ValueError)
            done += 1
            if tell is explain:
                assert f"-> {' x '.join(map(str, result.shape))} float64" in str(told)
            else:
                assert told.shape == result.shape
    assert done


def test_the_bound_of_two_sums_is_theirs_where_it_is_larger():
    for shape, n in (((2, 2), 12), ((3, 1), 12), ((4, 4), 16), ((9, 9), 81)):
        told = explain(np.ones((20, 20)), np.ones(shape), method="separable")
        assert told.bound.startswith(f"at most {n} * 2**-53 * sum")
