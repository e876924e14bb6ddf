"""
Convolution in any number of dimensions: exact for whole numbers, within its bounds for others.

Every way is taken: one 2-D problem, sums and stacks of slices, and SciPy's transform.
"""

import itertools
import signal as signals
import threading
import time
from collections import Counter, deque
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import scipy.fft
from bounds import as_integers, check_plane
from cases import COMPLEXES, DTYPES, INTEGERS, floats, same_bits, whole_numbers
from hypothesis import given
from hypothesis import strategies as st
from oracle import exact_nd, nd_sum, reversed_conjugate
from scipy import signal

import fastconv
from fastconv import (
    _fftn,
    _nd,
    _parts,
    _slices,
    _solve,
    choose_conv_method,
    convolve,
    correlate,
    error_bound,
    explain,
    fftconvolve,
)

PAIR = ("convolve", "correlate")
MODES = ("full", "same", "valid")
METHODS = ("auto", "direct", "fft")
CALLS = tuple(itertools.product(PAIR, MODES, METHODS))

SHAPES = (
    ((1,), (1,)),
    ((9,), (4,)),
    ((5,), (8,)),
    ((300,), (77,)),
    ((7, 9), (3, 2)),
    ((6, 1), (1, 4)),
    ((2, 9), (5, 3)),
    ((1, 1, 1), (1, 1, 1)),
    ((4, 5, 6), (2, 3, 4)),
    ((5, 4, 7), (1, 1, 3)),
    ((5, 4, 7), (1, 3, 1)),
    ((5, 4, 7), (2, 1, 1)),
    ((5, 4, 7), (2, 1, 2)),
    ((1, 6, 5), (1, 2, 2)),
    ((6, 5, 1), (3, 2, 1)),
    ((1, 6, 5), (2, 3, 2)),
    ((6, 1, 5), (3, 2, 2)),
    ((2, 3, 4), (3, 4, 5)),
    ((2, 8, 3), (4, 3, 3)),
    ((3, 2, 4, 3), (2, 2, 1, 3)),
    ((2, 3, 1, 4), (3, 1, 2, 2)),
    ((2, 2, 2, 2, 2), (2, 1, 2, 1, 2)),
)


def fits(shapes, mode):
    pairs = list(zip(*shapes, strict=True))
    return mode != "valid" or all(n >= m for n, m in pairs) or all(n <= m for n, m in pairs)


def check(function, x, k, mode, method):
    y = getattr(fastconv, function)(x, k, mode, method)
    expected = exact_nd(function, x, k, mode)
    assert y.dtype == expected.dtype
    if method == "direct" or y.dtype.kind in "iu":
        assert same_bits(y, np.ascontiguousarray(expected) + 0), (function, x.shape, k.shape, mode)
    else:
        np.testing.assert_allclose(y, expected, rtol=0, atol=4e-3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("function", "mode", "method"), CALLS)
def test_every_dtype_call_and_kind_of_shape_is_exact(dtype, function, mode, method):
    rng = np.random.default_rng(1)
    for shapes in SHAPES:
        if fits(shapes, mode):
            x, k = (whole_numbers(rng, shape, dtype) for shape in shapes)
            check(function, x, k, mode, method)


@pytest.mark.parametrize("first", "bHiQfdFD")
@pytest.mark.parametrize("second", "BhIqfdFD")
@pytest.mark.parametrize("method", METHODS)
def test_operands_of_two_dtypes_are_promoted_before_any_arithmetic(first, second, method):
    rng = np.random.default_rng(2)
    for shapes in (((9,), (4,)), ((4, 5, 6), (2, 2, 3))):
        x, k = (whole_numbers(rng, s, c) for s, c in zip(shapes, (first, second), strict=True))
        if np.result_type(x, k).kind in "fc":  # then whole numbers must be small to be exact
            x, k = x % 8 if first not in "FD" else x, k % 8 if second not in "FD" else k
        for function in PAIR:
            check(function, x, k, "full", method)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("method", METHODS)
def test_integers_wrap_around_at_their_extremes(dtype, method):
    info = np.iinfo(dtype)
    for pixel, tap in itertools.product((info.min, info.max), repeat=2):
        x, k = np.full((5, 6, 7), pixel, dtype), np.full((3, 2, 4), tap, dtype)
        check("convolve", x, k, "full", method)
        check("correlate", x[0, 0], k[0, 0], "same", method)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_are_exact_at_sizes_where_transforms_are_fast(dtype):
    rng = np.random.default_rng(11)
    for shapes in (((300, 320), (35, 33)), ((60_000,), (1001,))):
        x = rng.integers(0, 100, shapes[0]).astype(dtype)
        k = rng.integers(0, 100, shapes[1]).astype(dtype)
        for a, b in ((x, k), (whole_numbers(rng, shapes[0], dtype), k)):
            expected = convolve(a, b, "same", "direct")
            for method in ("auto", "fft"):
                np.testing.assert_array_equal(convolve(a, b, "same", method), expected)
        if len(shapes[0]) == 2:
            for method in ("auto", "fft", "certified"):
                y = fastconv.convolve2d(x, k, method=method)
                np.testing.assert_array_equal(y, convolve(x, k, method="direct"))


# --- properties ----------------------------------------------------------------------------------

dtypes = st.sampled_from(DTYPES)
modes = st.sampled_from(MODES)


@st.composite
def pairs(draw, dtype, most=4):
    """Two arrays of one number of dimensions, of whole numbers."""
    ndim = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sizes = st.tuples(*[st.integers(1, most)] * ndim)
    return [whole_numbers(rng, draw(sizes), dtype) for _ in range(2)]


def assert_same(a, b):
    assert same_bits(np.ascontiguousarray(a + 0), np.ascontiguousarray(b + 0))


@given(st.data(), dtypes)
def test_convolution_is_commutative(data, dtype):
    a, b = data.draw(pairs(dtype))
    assert_same(convolve(a, b, method="direct"), convolve(b, a, method="direct"))


@given(st.data(), dtypes, modes)
def test_correlation_is_convolution_with_the_reversed_conjugate(data, dtype, mode):
    a, b = data.draw(pairs(dtype))
    if fits((a.shape, b.shape), mode):
        y = correlate(a, b, mode, "direct")
        assert_same(y, convolve(a, reversed_conjugate(b), mode, "direct"))


@given(st.data(), dtypes)
def test_correlation_is_the_adjoint_of_convolution(data, dtype):
    """<a ** k, b> = <a, correlate(b, k)> for every b of the shape of a ** k."""
    a, k = data.draw(pairs(dtype, 3))
    y = convolve(a, k, method="direct")
    b = whole_numbers(np.random.default_rng(1), y.shape, dtype)
    left = (y * b.conj()).sum(dtype=a.dtype)
    assert left == (a * correlate(b, k, "valid", "direct").conj()).sum(dtype=a.dtype)


@given(st.data(), dtypes)
def test_same_and_valid_are_parts_of_full(data, dtype):
    a, b = data.draw(pairs(dtype))
    full = convolve(a, b, method="direct")
    part = tuple(
        slice((m - 1) // 2, (m - 1) // 2 + n) for n, m in zip(a.shape, b.shape, strict=True)
    )
    assert_same(convolve(a, b, "same", "direct"), full[part])
    if fits((a.shape, b.shape), "valid"):
        lengths = [sorted(pair) for pair in zip(a.shape, b.shape, strict=True)]
        part = tuple(slice(small - 1, large) for small, large in lengths)
        assert_same(convolve(a, b, "valid", "direct"), full[part])


@given(st.data(), dtypes, modes)
def test_permuting_the_axes_of_both_permutes_those_of_the_result(data, dtype, mode):
    a, b = data.draw(pairs(dtype))
    axes = data.draw(st.permutations(range(a.ndim)))
    if fits((a.shape, b.shape), mode):
        y = convolve(a, b, mode, "direct").transpose(axes)
        assert_same(y, convolve(a.transpose(axes), b.transpose(axes), mode, "direct"))


@given(st.data(), st.sampled_from("fdFD"), modes)
def test_axes_not_named_are_gone_through_one_by_one(data, dtype, mode):
    a, b = data.draw(pairs(dtype))
    axes = data.draw(st.sets(st.integers(0, a.ndim - 1), min_size=1))
    others = [axis for axis in range(a.ndim) if axis not in axes]
    for axis in others:  # equal lengths, or one element of either
        lengths = data.draw(st.sampled_from(((4, 4), (4, 1), (1, 4))[: 2 if mode == "same" else 3]))
        a, b = (
            np.take(x, [i % x.shape[axis] for i in range(length)], axis)
            for x, length in zip((a, b), lengths, strict=True)
        )
    if not fits([[x.shape[i] for i in axes] for x in (a, b)], mode):
        return
    y = fftconvolve(a, b, mode, axes=axes)
    wide = [
        np.broadcast_to(x, [n if i not in others else 4 for i, n in enumerate(x.shape)])
        for x in (a, b)
    ]
    for place in np.ndindex((4,) * len(others)):
        index = [slice(None)] * a.ndim
        for axis, i in zip(others, place, strict=True):
            index[axis] = i
        one = convolve(wide[0][tuple(index)], wide[1][tuple(index)], mode, "direct")
        np.testing.assert_allclose(y[tuple(index)], one, atol=1e-2)


# --- the way through the transform ---------------------------------------------------------------


def route(function, x, k, mode="full", method="auto", **more):
    return fastconv.explain(x, k, mode, function=function, method=method, **more).route


def test_the_way_is_told():
    for method in METHODS:
        assert route("convolve", np.ones(9), np.ones(3), method=method) == "plane"
        assert route("correlate", np.ones((9, 9)), np.ones((3, 3)), method=method) == "plane"
        x, k = np.ones((5, 6, 7)), np.ones((1, 2, 2))
        assert route("convolve", x, k, method=method) == "slices"
        assert route("convolve", x, np.ones((1, 1, 2)), method=method) == "plane"
    cube = np.random.default_rng(1).integers(1, 9, (50, 50, 50)) * 1.0
    assert route("convolve", cube, cube, "same") == "fftn"
    assert route("convolve", cube, np.ones((3, 3, 3)), "same") == "slices"
    assert route("convolve", cube, cube, "same", "direct") == "slices"
    assert route("convolve", cube, np.ones((3, 3, 3)), "same", "fft") == "fftn"
    assert route("convolve", cube.astype("q") * 2**30, cube.astype("q")) == "slices"
    assert route("convolve", cube.astype("B"), cube.astype("B")) == "fftn"
    cube[3, 4, 5] = np.nan
    assert route("convolve", cube, cube, "same", "fft") == "slices"
    assert route("fftconvolve", np.ones((1, 4)), np.ones((3, 1))) == "multiply"
    assert route("fftconvolve", np.ones((9, 4)), np.ones((9, 3)), axes=1) == "slices"
    assert route("convolve", np.ones(3, object), np.ones(3)) == "scipy"


@pytest.mark.parametrize("dtype", INTEGERS)
def test_the_transform_of_integers_is_exact_or_not_taken(dtype, monkeypatch):
    rng = np.random.default_rng(3)
    monkeypatch.setattr(_fftn, "seconds", lambda *_: 1e-9)
    monkeypatch.setattr(_nd, "is_small", lambda *_: False)
    taken = set()
    info = np.iinfo(dtype)
    for bits in range(1, info.bits):
        limit = min(2**bits, info.max)
        x, k = (
            rng.integers(max(info.min, -limit), limit, shape, dtype, endpoint=True)
            for shape in ((12, 9, 14), (5, 6, 4))
        )
        taken.add(route("convolve", x, k))
        for function in PAIR:
            for mode in MODES:
                check(function, x, k, mode, "auto")
    assert taken == ({"fftn", "slices"} if info.bits >= 32 else {"fftn"})


@pytest.mark.parametrize("dtype", "fdgFDG")
def test_the_transform_stays_within_its_bound(dtype, record_ratio):
    rng = np.random.default_rng(4)
    u = np.finfo(dtype).eps / 2
    wide = "G" if dtype in "FDG" else "g"
    for shapes in (
        ((12, 9, 14), (5, 6, 4)),
        ((12, 12, 12), (8, 8, 8)),
        ((3, 2, 30, 5), (2, 2, 9, 2)),
    ):
        for spread in (0, 20):
            x, k = (floats(rng, shape, dtype) for shape in shapes)
            x = (x * np.exp(rng.uniform(-spread, spread, x.shape))).astype(dtype)
            assert route("convolve", x, k, method="fft") == "fftn"
            y = convolve(x, k, method="fft")
            exact = nd_sum(x.astype(wide), k.astype(wide))
            points = np.prod(_fftn.fast_lengths(list(y.shape)))
            bound = (
                _fftn.C
                * np.log2(points)
                * u
                * np.linalg.norm(x.ravel())
                * np.linalg.norm(k.ravel())
            )
            error = np.abs(y - exact).max()
            if dtype not in "gG":
                record_ratio(f"{np.dtype(dtype)}, transform in three dimensions", error / bound)
            assert error < bound


def test_lengths_are_the_next_5_smooth_ones():
    smooth = sorted(2**i * 3**j * 5**k for i in range(12) for j in range(8) for k in range(6))
    for n in range(1, 1500):
        assert _fftn.fast_lengths([n]) == [next(m for m in smooth if m >= n)]


@pytest.mark.parametrize("dtype", "fdFD")
def test_the_transform_neither_overflows_nor_underflows(dtype):
    rng = np.random.default_rng(5)
    x, k = (floats(rng, shape, dtype) for shape in ((6, 7, 8), (5, 5, 5)))
    y = convolve(x, k, method="fft")
    most = np.finfo(dtype).maxexp - 12
    for exponent in (-most, most):
        a, b = (np.ldexp(1.0, e).astype(x.real.dtype) for e in (exponent, -exponent))
        np.testing.assert_array_equal(convolve(x * a, k * b, method="fft"), y)
    large = np.ldexp(1.0, most).astype(x.real.dtype)
    np.testing.assert_array_equal(convolve(x * large, k, method="fft"), y * large)
    assert not convolve(x * 0, k * large, method="fft").any()


# --- sums of slices ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_slice_of_the_kernel_meets_all_slices_of_the_image_in_one_call(monkeypatch, mode):
    stacks = []
    engine = _solve.engine

    def counted(problem, *args):
        stacks.append(np.prod(problem.image.shape[:-2]))
        return engine(problem, *args)

    monkeypatch.setattr(_solve, "engine", counted)
    convolve(np.ones((20, 21, 22)), np.ones((3, 4, 5)), mode, "direct")
    assert len(stacks) == 3
    assert min(stacks) >= 18
    stacks.clear()
    convolve(np.ones((3, 4, 50, 60)), np.ones((1, 2, 3, 3)), mode, "direct")
    assert len(stacks) == 2


@pytest.mark.parametrize("dtype", "qfD")
def test_blocks_of_outputs_change_nothing(monkeypatch, dtype):
    rng = np.random.default_rng(12)
    for shapes in (
        ((9, 8, 7), (3, 4, 2)),
        ((3, 8, 7), (5, 2, 2)),
        ((4, 5, 6, 7), (3, 2, 2, 3)),
        ((2, 9, 5, 5), (2, 3, 7, 8)),
    ):
        x, k = (whole_numbers(rng, shape, dtype) for shape in shapes)
        for size in (1, 2000, 5000):
            monkeypatch.setattr(_slices, "TERM", size)
            for mode in MODES:
                if fits(shapes, mode):
                    check("convolve", x, k, mode, "direct")
                    check("correlate", x, k, mode, "direct")


# --- accuracy, Inf and NaN of the direct sum -----------------------------------------------------


@pytest.mark.parametrize("dtype", "fdFD")
@pytest.mark.parametrize(
    "shapes", [((60,), (9,)), ((5, 6, 7), (3, 3, 3)), ((4, 3, 3, 9), (2, 2, 2, 3))]
)
def test_the_direct_sum_stays_within_its_bound(dtype, shapes, record_ratio):
    rng = np.random.default_rng(6)
    info = np.finfo(dtype)
    for _ in range(5):
        x, k = (floats(rng, shape, dtype) for shape in shapes)
        y = convolve(x, k, method="direct")
        (xr, xi), image_power = as_integers(np.stack([x.real, x.imag]))
        (kr, ki), taps_power = as_integers(np.stack([k.real, k.imag]))
        power = image_power + taps_power
        parts = [(y.real, ((xr, kr, 1), (xi, ki, -1)))]
        if dtype in "FD":
            parts.append((y.imag, ((xr, ki, 1), (xi, kr, 1))))
        for part, terms in parts:
            exact = sum(sign * nd_sum(a, b) for a, b, sign in terms)
            size = sum(nd_sum(abs(a), abs(b)) for a, b, _ in terms)
            n = k.size * (2 if dtype in "FD" else 1)
            ratio = check_plane(part, exact, size, power, n, info)
            record_ratio(f"{np.dtype(dtype)}, slices", ratio)


def assert_close(y, expected, method):
    """Equal, but for the errors of a transform; Inf and NaN at the same places."""
    if method == "direct":
        np.testing.assert_array_equal(y, expected)
    else:
        np.testing.assert_allclose(y, expected, rtol=0, atol=4e-3)


@pytest.mark.parametrize("dtype", "fdFD")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore:Use of fft convolution:RuntimeWarning")
def test_nonfinite_numbers_behave_as_in_the_defining_sum(dtype, mode, method):
    rng = np.random.default_rng(7)
    several = [
        ((5, 6), (2, 3)),
        ((4, 5, 6), (2, 3, 4)),
        ((5, 4, 7), (1, 1, 3)),
        ((5, 4, 7), (2, 1, 2)),
        ((1, 5, 4), (1, 2, 3)),
        ((3, 2, 4, 3), (2, 2, 1, 3)),
    ]
    if mode == "same":  # which leaves the operands where they are
        several += [((2, 3), (4, 5)), ((2, 3, 2), (4, 3, 5))]
    if mode != "valid":
        several += [((1, 6, 5), (3, 2, 2))]
    for shapes in several:
        for where in (slice(0, 1), slice(1, 2), slice(0, 2)):
            for value in (np.nan, np.inf, -np.inf):
                x, k = operands = [whole_numbers(rng, shape, dtype) for shape in shapes]
                for array in operands[where]:
                    array.flat[rng.integers(array.size)] = value
                y = convolve(x, k, mode, method)
                with np.errstate(invalid="ignore"):
                    if dtype in "fd":
                        assert_close(y, nd_sum(x, k, mode), method)
                    else:
                        re = nd_sum(x.real, k.real, mode) - nd_sum(x.imag, k.imag, mode)
                        im = nd_sum(x.real, k.imag, mode) + nd_sum(x.imag, k.real, mode)
                        assert_close(y.real, re, method)
                        assert_close(y.imag, im, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore:Use of fft convolution:RuntimeWarning")
def test_the_larger_operand_is_the_one_that_zeros_are_around(method):
    """As in scipy, whose direct sum exchanges the operands of mode 'full' to that end."""
    for shapes in (((5, 6), (2, 3)), ((5, 4, 6), (2, 3, 3)), ((9,), (4,))):
        for spoilt in (0, 1):
            x, k = operands = [np.ones(shape) for shape in shapes]
            operands[spoilt].flat[2] = np.inf
            expected = signal.convolve(x, k, method="direct")
            with np.errstate(invalid="ignore"):
                np.testing.assert_array_equal(signal.convolve(k, x, method="direct"), expected)
            assert_close(convolve(x, k, method=method), expected, method)
            assert_close(convolve(k, x, method=method), expected, method)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_longer_second_operand_is_cut_out_of_the_full_result(value):
    """In one dimension; scipy multiplies zeros around the first here, and nowhere else."""
    rng = np.random.default_rng(10)
    for n, m in ((2, 5), (5, 8), (4, 5)):
        for spot in range(m):
            x, k = rng.integers(1, 9, n) * 1.0, rng.integers(1, 9, m) * 1.0
            k[spot] = value
            start = (m - 1) // 2
            expected = np.convolve(x, k)[start : start + n]
            np.testing.assert_array_equal(convolve(x, k, "same", "direct"), expected)


@pytest.mark.parametrize("dtype", "dFDG")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore:Use of fft convolution:RuntimeWarning")
def test_the_ends_of_a_line_are_made_of_complex_products_by_the_formula(dtype, method):
    """Not of what BLAS makes of Infs, nor of real products where an imaginary part is zero."""
    rng = np.random.default_rng(11)
    for value in (np.inf, -np.inf, np.nan, complex(2, np.inf)):
        x, k = whole_numbers(rng, (9,), dtype), whole_numbers(rng, (4,), "D")
        for place in range(4):
            k[place] = value
            for a in (x, x.real.astype("d"), x.real.astype(dtype)):
                b = k if np.iscomplex(k).any() and place % 2 else k.real.astype("D")
                y = convolve(a, b, "full", method)
                with np.errstate(invalid="ignore"):
                    re = np.convolve(a.real, b.real) - np.convolve(a.imag, b.imag)
                    im = np.convolve(a.real, b.imag) + np.convolve(a.imag, b.real)
                assert_close(y.real, re, method)
                assert_close(y.imag, im, method)


@pytest.mark.parametrize("place", range(7))
def test_out_may_overlap_a_line_whose_ends_are_done_again(place):
    memory = np.zeros(20)
    for value in (np.inf, np.nan):
        x, k = np.arange(1.0, 7), np.array([1, value, 3])
        expected = convolve(x, k)
        moved = memory[3:9]
        moved[:] = x
        out = memory[place : place + 8]
        assert convolve(moved, k, out=out) is out
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", COMPLEXES)
def test_an_operand_without_imaginary_part_is_exact_beside_one_with(dtype):
    rng = np.random.default_rng(8)
    real = np.empty(0, dtype).real.dtype
    for shapes in (((9,), (4,)), ((4, 5, 6), (2, 2, 3))):
        x, k = (whole_numbers(rng, shape, dtype) for shape in shapes)
        for a in (x, x.real.astype(real), x.real.astype(dtype)):
            for b in (k, k.real.astype(real), k.real.astype(dtype)):
                for function in PAIR:
                    check(function, a, b, "same", "direct")
                    check(function, a, b, "full", "fft")


@pytest.mark.parametrize("method", METHODS)
def test_inputs_may_have_any_layout_and_stay_as_they_are(method):
    rng = np.random.default_rng(9)
    x, k = rng.integers(-9, 9, (6, 5, 8)), rng.integers(-9, 9, (3, 2, 4))
    expected = exact_nd("correlate", x, k, "same")
    layouts = (
        lambda a: np.asfortranarray(a),
        lambda a: a[::-1, :, ::-1].copy()[::-1, :, ::-1],
        lambda a: np.repeat(a, 2, 1)[:, ::2],
        lambda a: a.astype(a.dtype.newbyteorder()),
        lambda a: a.transpose(2, 0, 1).copy().transpose(1, 2, 0),
    )
    for one in layouts:
        for other in layouts:
            a, b = one(x), other(k)
            a.flags.writeable = b.flags.writeable = False
            np.testing.assert_array_equal(correlate(a, b, "same", method), expected)
            np.testing.assert_array_equal(a, x)
    wide = np.broadcast_to(x[:1], (4, 5, 8))
    np.testing.assert_array_equal(convolve(wide, k), exact_nd("convolve", wide.copy(), k))


# --- parts and threads ---------------------------------------------------------------------------


def test_a_product_is_shared_out_in_the_order_of_its_memory(monkeypatch):
    monkeypatch.setattr(_parts, "PART", 1 << 12)
    seen = []

    def share(do, parts, workers):
        for part in parts:
            seen.append(part)
            do(part)

    monkeypatch.setattr(_fftn, "_share", share)
    rng = np.random.default_rng(5)
    a, b = (whole_numbers(rng, shape, "D", 9) for shape in ((3, 1, 2000), (1, 5, 2000)))
    result = _fftn._product(a, b, 2)
    np.testing.assert_array_equal(result, a * b)
    places = np.arange(result.size).reshape(result.shape)
    assert all(np.ptp(places[part]) < (1 << 12) // 16 for part in seen)


@pytest.mark.parametrize("workers", [1, 2, 5, 40])
def test_each_part_is_done_once(workers):
    done = Counter()
    _fftn._share(lambda part: done.update([part]), deque(range(16)), workers)
    assert done == dict.fromkeys(range(16), 1)


def test_threads_of_any_kind_do_parts(monkeypatch):
    # coverage.py sees those of threading.
    def start(function, arguments):
        threading.Thread(target=function, args=arguments).start()

    monkeypatch.setattr(_fftn, "start_new_thread", start)
    for long in (False, True):
        done = Counter()
        _fftn._share(lambda part, done=done: done.update([part]), deque(range(16)), 3, long=long)
        assert done == dict.fromkeys(range(16), 1)


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("workers", [1, 3])
def test_what_a_part_raises_is_raised_and_ends_the_others(workers, error):
    done = []

    def do(part):
        if part == 5:
            raise error
        done.append(part)
        time.sleep(0.01)

    before = threading.active_count()
    with pytest.raises(error):
        _fftn._share(do, deque(range(100)), workers)
    assert len(done) < 20
    assert threading.active_count() == before


@pytest.mark.parametrize("workers", [1, 3])
def test_long_parts_are_done_by_other_threads(workers):
    main, seen = threading.get_ident(), []

    def do(part):
        seen.append(threading.get_ident() != main)
        if part == 5:
            raise MemoryError

    _fftn._share(do, deque(range(5)), workers, long=True)
    assert seen == [True] * 5
    with pytest.raises(MemoryError):
        _fftn._share(do, deque(range(6)), workers, long=True)


def test_long_parts_are_done_here_if_there_are_no_threads(monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_fftn, "start_new_thread", refuse)
    done = []
    _fftn._share(done.append, deque(range(5)), 3, long=True)
    assert done == list(range(5))


@pytest.mark.parametrize("begins", [False, True])
@pytest.mark.parametrize("long", [False, True])
def test_threads_that_get_no_memory_are_not_waited_for(monkeypatch, long, begins):
    """The system may start a thread, and Python find no room for its first call there."""

    def start(function, arguments):
        if begins:
            function(*arguments)

    def throw():
        raise MemoryError

    monkeypatch.setattr(_fftn, "start_new_thread", start)
    monkeypatch.setattr(_fftn, "_throw", throw)
    done = Counter()
    _fftn._share(lambda part: done.update([part]), deque(range(16)), 3, long=long)
    assert done == dict.fromkeys(range(16), 1)
    assert not _fftn._running


class HandlerError(Exception):
    """What a signal handler of these tests raises."""


@contextmanager
def handled():
    """A handler of interrupts that raises."""

    def raised(number, frame):
        raise HandlerError

    before = signals.signal(signals.SIGINT, raised)
    try:
        yield
    finally:
        signals.signal(signals.SIGINT, before)


@pytest.mark.parametrize("long", [False, True])
def test_an_interrupt_ends_the_wait_for_parts(long):
    done, free = [], threading.Event()

    def do(part):
        if part == 2:
            signals.raise_signal(signals.SIGINT)
            if long:
                free.wait(60)
        done.append(part)

    with handled(), pytest.raises(HandlerError):
        _fftn._share(do, deque(range(10**6)), 2, long=long)
    assert bool(_fftn._running) is long
    free.set()
    _fftn._wait_for(tuple(_fftn._running))
    n_done = len(done)
    assert n_done < 10**6
    time.sleep(0.1)
    assert len(done) == n_done
    assert not _fftn._running


@pytest.mark.parametrize("long", [False, True])
def test_an_interrupt_while_some_threads_have_ended(long):
    """It comes when the others have ended and one, on its last part, has not."""
    main, done, together = threading.get_ident(), [], threading.Barrier(3)
    last = threading.Semaphore(1)

    def do(part):
        together.wait(60)  # each has one
        if threading.get_ident() != main and last.acquire(blocking=False):
            while len(done) < 2:
                time.sleep(0.01)
            time.sleep(0.1)
            signals.raise_signal(signals.SIGINT)
            time.sleep(0.3)
        done.append(part)

    with handled(), pytest.raises(HandlerError):
        _fftn._share(do, deque(range(3)), 3, long=long)
    if not long:
        assert len(done) == 3
    _fftn._wait_for(tuple(_fftn._running))
    assert sorted(done) == [0, 1, 2]
    assert not _fftn._running


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("shape", "taps", "axes"),
    [
        ((1, 30, 30, 30), (3, 24, 24, 24), None),
        ((3, 24, 24, 24), (1, 30, 30, 30), None),
        ((4, 30, 3), (4, 3, 1), None),
        ((1, 40, 9), (12, 30, 9), 1),
        ((12, 40, 1), (1, 30, 9), 1),
    ],
)
def test_a_power_of_two_changes_no_bit_of_a_transform(shape, taps, axes, mode):
    """An axis along which one array is broadcast may be cut, too."""
    if mode == "valid" and not fits((shape, taps), mode) and axes is None:
        return
    rng = np.random.default_rng(22)
    for char in "fFDg":
        x, k = floats(rng, shape, char), floats(rng, taps, char)
        power = -int(np.finfo(char).maxexp) * 3 // 5
        tiny = (k * np.ldexp(np.empty(0, char).real.dtype.type(1), power)).astype(char)
        arguments = {"mode": mode, "axes": axes}
        y, small = (fftconvolve(x, its, **arguments) for its in (k, tiny))
        back = np.ldexp(small.real, -power), np.ldexp(small.imag, -power)
        assert np.array_equal(back[0], y.real)
        assert np.array_equal(back[1], y.imag)


def test_parts_are_done_without_threads_that_are_refused(monkeypatch):
    left = [2]
    start = _fftn.start_new_thread

    def refuse(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("can't start new thread")
        return start(*arguments)

    monkeypatch.setattr(_fftn, "start_new_thread", refuse)
    done = Counter()
    _fftn._share(lambda part: done.update([part]), deque(range(16)), 8)
    assert done == dict.fromkeys(range(16), 1)


def test_parts_of_a_transform_depend_on_the_shape_alone(monkeypatch):
    # SciPy's own threads would change the last bits on AArch64.
    calls = []

    def noted(name, function, x, *args, **kwargs):
        calls.append((name, x.shape, kwargs.get("workers")))
        return function(x, *args, **kwargs)

    for name in ("fft", "ifft", "rfft", "irfft"):
        monkeypatch.setattr(scipy.fft, name, partial(noted, name, getattr(scipy.fft, name)))
    seen = []
    for workers in (1, 2, 7):
        calls.clear()
        convolve(np.ones((99, 88, 77)), np.ones((20, 20, 20)), method="fft", workers=workers)
        assert {workers for _, _, workers in calls} == {1}
        seen.append(Counter(calls))
    assert seen[0] == seen[1] == seen[2]
    # But for two: the kernel itself is not worth a thread.
    assert len(calls) == 7 * _fftn.PARTS + 2


@pytest.mark.parametrize("dtype", "gG")
@pytest.mark.parametrize(
    ("shape", "taps"), [((3000,), (2000,)), ((90, 80), (30, 25)), ((9, 1), (9, 1))]
)
def test_long_double_goes_through_scipys_transform(shape, taps, dtype, monkeypatch):
    rng = np.random.default_rng(21)
    a, b = rng.standard_normal(shape).astype(dtype), rng.standard_normal(taps).astype(dtype)
    if dtype == "G":
        a.imag, b.imag = rng.standard_normal(shape), rng.standard_normal(taps)
    calls = []
    transform = _fftn.convolve
    monkeypatch.setattr(_fftn, "convolve", lambda *args: (calls.append(1), transform(*args))[1])
    for function in (convolve, correlate):
        name = function.__name__
        for mode in ("full", "same", "valid"):
            expected = function(a, b, mode, method="direct")
            assert not calls
            y = function(a, b, mode, method="fft")
            assert len(calls) == 1
            calls.clear()
            bounds = [error_bound(a, b, mode, function=name, method=m) for m in ("fft", "direct")]
            for part in ("real", "imag"):
                off = abs(getattr(y, part) - getattr(expected, part))
                assert (off <= bounds[0] + bounds[1]).all()
            np.testing.assert_array_equal(function(a, b, mode, method="fft", workers=3), y)
            calls.clear()
    large = a.size > 100
    assert explain(a, b, function="fftconvolve").engine == ("scipy.fft" if large else "direct")
    assert explain(a, b, function="convolve", method="direct").engine == "direct"
    assert choose_conv_method(a, b) == ("fft" if large else "direct")
    fftconvolve(a, b)
    assert len(calls) == large
    calls.clear()
    a[0] = np.inf
    y = fftconvolve(a, b)
    monkeypatch.setattr(_fftn, "available", lambda: False)
    np.testing.assert_array_equal(fftconvolve(a, b), y)
    assert not calls


@pytest.mark.parametrize(
    ("shape", "taps", "axes"), [((3000, 16), (3000, 16), 1), ((200, 8, 9), (200, 5, 4), (1, 2))]
)
def test_many_kernels_go_through_one_transform(shape, taps, axes):
    rng = np.random.default_rng(22)
    for dtype in "fD":
        a, b = (rng.standard_normal(n).astype(dtype) for n in (shape, taps))
        if dtype == "D":
            a.imag, b.imag = rng.standard_normal(shape), rng.standard_normal(taps)
        for mode in ("full", "same", "valid"):
            assert explain(a, b, mode, function="fftconvolve", axes=axes).engine == "scipy.fft"
            y = fftconvolve(a, b, mode, axes)
            bound = error_bound(a, b, mode, function="fftconvolve", axes=axes)
            for i in range(0, len(a), 37):
                row = convolve(a[i], b[i], mode, "direct")
                for part in ("real", "imag"):
                    assert (abs(getattr(y[i], part) - getattr(row, part)) <= 2 * bound[i]).all()
    a[5, ..., 3] = np.inf
    y = fftconvolve(a, b, "same", axes)
    assert np.isfinite(np.delete(y, 5, 0)).all()


def test_axes_with_one_output_are_merged():
    rng = np.random.default_rng(23)
    for shape, taps in (
        ((5, 4, 3, 6), (5, 4, 3, 6)),
        ((5, 4, 9, 6, 7), (5, 4, 2, 6, 7)),
        ((3, 8, 4), (3, 2, 4)),
    ):
        for dtype in "qd":
            a, b = (rng.integers(-9, 9, n).astype(dtype) for n in (shape, taps))
            for mode in ("valid", "same", "full"):
                y = convolve(a, b, mode, "auto" if dtype == "q" else "direct")
                np.testing.assert_array_equal(y, exact_nd("convolve", a, b, mode))
        merged = _slices.collapse(_nd.job_of(a, b, 2, []))
        assert len(merged.shape) == {4: 1, 5: 3, 3: 3}[len(shape)]


@pytest.mark.parametrize("scale", ["1e2000", "1e-2000", "1e-4900"])
def test_bounds_of_long_double_hold_far_from_one(scale):
    rng = np.random.default_rng(24)
    if np.finfo("g").maxexp < 16384:
        pytest.skip("long double is double")
    a, b = rng.standard_normal(3000).astype("g"), rng.standard_normal(2000).astype("g")
    a[1:] /= 1000
    a *= np.longdouble(scale)
    expected = convolve(a, b, method="direct")
    with np.errstate(all="raise"):
        bounds = [error_bound(a, b, function="convolve", method=m) for m in ("fft", "direct")]
    assert (abs(convolve(a, b, method="fft") - expected) <= bounds[0] + bounds[1]).all()
