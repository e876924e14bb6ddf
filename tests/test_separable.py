"""
Kernels of rank one, done in two steps: found, refused, and as accurate as the defining sum.
"""

import numpy as np
import pytest
from bounds import check, check_sums
from cases import (
    ADVERSARIES,
    BOUNDARIES,
    CALLS,
    FUNCTIONS,
    INTEGERS,
    SEAM_WIDTHS,
    fits,
    floats,
    same_bits,
    whole_numbers,
)
from oracle import exact

import fastconv
from fastconv import _parts, _rank_one
from fastconv._rank_one import ROUNDING, factors, may_gain

PAIRS = ("ff", "dd", "Ff", "Dd")

# Image and kernel; may_gain is not asked where the method is given.
SHAPES = (
    ((1, 1), (1, 1)),
    ((7, 9), (3, 3)),
    ((40, 70), (7, 4)),
    ((75, 41), (5, 15)),
    ((3, 4), (10, 13)),
    ((2, 50), (4, 7)),
    ((90, 2), (9, 3)),
    ((1, 90), (1, 16)),
    ((90, 1), (16, 1)),
)


def outer(u, v):
    """A kernel of rank one to the bit: u is of powers of two and zeros."""
    return np.multiply.outer(u, v)


def powers_of_two(rng, n, dtype):
    """Signs and powers of two, and now and then a zero."""
    u = np.ldexp(rng.choice([-1.0, 1.0], n), rng.integers(-12, 1, n))
    u[rng.random(n) < 0.1] = 0
    u[rng.integers(n)] = 1
    return u.astype(dtype)


def kernel_of(rng, shape, dtype, make=floats):
    u = powers_of_two(rng, shape[0], dtype)
    v = make(rng, (1, shape[1]), dtype)[0]
    k = outer(u, v)
    return k if rng.integers(2) or shape[1] > 3 * shape[0] else rank_one_of(rng, shape, dtype)


def rank_one_of(rng, shape, dtype):
    """Tapers, as windows are: each factor symmetric and 1 in the middle."""
    u, v = (np.exp(-(np.linspace(-1.5, 1.5, n | 1) ** 2))[:n].astype(dtype) for n in shape)
    return outer(u, v)


# --- what is of rank one -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", "fdg")
def test_factors_multiply_to_the_kernel_but_for_rounding(dtype):
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(300):
        shape = rng.integers(1, 9, 2)
        u, v = (floats(rng, n, dtype) for n in shape)
        u[rng.random(shape[0]) < 0.2] = 0
        k = outer(u, v)
        k *= 1 + np.finfo(dtype).eps * rng.integers(-1, 2, k.shape).astype(dtype)
        pair = factors(k)
        if pair is None:
            continue
        found += 1
        column, row = pair
        assert column.shape == (shape[0], 1)
        assert row.shape == (1, shape[1])
        assert column.dtype == row.dtype == k.dtype
        assert abs(column).max() <= 1
        product = column.astype("g") * row.astype("g")
        u = np.finfo(dtype).eps.astype("g") / 2
        assert (abs(product - k) <= (ROUNDING + 1) * u * abs(k).astype("g")).all()
        assert ((product == 0) == (k == 0)).all()
    assert found > 50


@pytest.mark.parametrize("dtype", "fdg")
def test_kernels_that_are_products_to_the_bit_are_found(dtype):
    rng = np.random.default_rng(2)
    for _ in range(100):
        shape = rng.integers(1, 20, 2)
        k = outer(powers_of_two(rng, shape[0], dtype), floats(rng, shape[1], dtype))
        for kernel in (k, k.T, -k, k[::-1]):
            column, row = factors(kernel)
            assert (abs(column * row - kernel) <= np.spacing(abs(kernel))).all()
    for n in range(1, 40):
        for kernel in (np.ones((n, 7), dtype) / 3, rank_one_of(rng, (n, n), dtype)):
            assert factors(kernel) is not None


@pytest.mark.parametrize("dtype", "fd")
def test_a_tap_that_is_far_off_makes_it_another_kernel(dtype):
    rng = np.random.default_rng(3)
    for _ in range(50):
        k = outer(powers_of_two(rng, 5, dtype), floats(rng, 6, dtype))
        k[k == 0] = 0
        y, x = np.unravel_index(np.argmax(abs(k)), k.shape)
        i, j = (y + 1 + rng.integers(4)) % 5, (x + 1 + rng.integers(5)) % 6
        if k[i, j] == 0:
            continue
        for ulps, rank_one in ((0, True), (2, True), (-2, True), (8, False), (-8, False)):
            near = k.copy()
            near[i, j] += ulps * np.spacing(abs(k[i, j]))
            if np.spacing(abs(near[i, j])) != np.spacing(abs(k[i, j])):
                continue
            assert (factors(near) is not None) == rank_one
            if not rank_one:
                with pytest.raises(ValueError, match="not separable"):
                    fastconv.convolve2d(np.ones((9, 9), dtype), near, method="separable")


@pytest.mark.parametrize("dtype", "fd")
def test_six_roundings_at_most_are_allowed_of_a_tap(dtype):
    eps = np.finfo(dtype).eps
    k = np.ones((3, 3), dtype)
    allowed = []
    for ulps in range(-9, 6):
        k[2, 2] = 1 + ulps * eps if ulps >= 0 else 1 + ulps * eps / 2
        k[0, 0] = 1.5  # the pivot is elsewhere
        k[0], k[:, 0] = 1.5, 1.5
        k[0, 0] = 2.25
        if factors(k) is not None:
            allowed.append(ulps)
    assert allowed == list(range(-5, 4))  # an ulp below 1 is one rounding, above two


@pytest.mark.parametrize("dtype", "fdg")
def test_zeros_must_be_zeros(dtype):
    rng = np.random.default_rng(4)
    tiny = np.finfo(dtype).smallest_subnormal
    k = outer(powers_of_two(rng, 4, dtype), floats(rng, 4, dtype))
    k[k == 0] = 1
    k = outer(np.array([1, 0, 0.5, 0.25], dtype), np.array([2, 3, 0, 5], dtype))
    assert factors(k) is not None
    for y, x in np.argwhere(k == 0):
        near = k.copy()
        near[y, x] = tiny
        assert factors(near) is None
    for y, x in ((2, 0), (2, 1), (3, 3)):
        near = k.copy()
        near[y, x] = 0
        assert factors(near) is None
    # A product too small to be told from zero is none all the same.
    normal = np.finfo(dtype).tiny
    assert factors(np.array([[1, normal], [0.5, normal]], dtype)) is None
    assert factors(np.array([[1, normal], [normal / 4, 0]], dtype)) is None
    assert factors(np.array([[1, 2 * normal], [normal, 0]], dtype)) is None
    column, row = factors(np.zeros((3, 2), dtype))
    assert not (column * row).any()


@pytest.mark.parametrize("dtype", "fdg")
def test_subnormal_taps_and_taps_at_the_ends_of_the_range(dtype):
    rng = np.random.default_rng(5)
    info = np.finfo(dtype)
    k = outer(powers_of_two(rng, 5, dtype), floats(rng, 5, dtype))
    for exponent in (int(info.minexp) + 30, int(info.maxexp) - 4):
        assert factors(np.ldexp(k, exponent)) is not None
    # An ulp of these may be a third of them, and pixels large enough to show it.
    least = info.smallest_subnormal
    assert factors(np.array([[3, 6], [2, 3]], dtype) * least) is None
    k[2, 3] = 1
    assert factors(np.array([[1, 1], [1, 1]], dtype) * info.tiny) is not None
    assert factors(np.array([[1, 1], [1, 1]], dtype) * (info.tiny - least)) is None
    for value in (np.nan, np.inf, -np.inf):
        spoilt = k.copy()
        spoilt[2, 1] = value
        assert factors(spoilt) is None


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_factors_are_exact_modulo_their_width(dtype):
    rng = np.random.default_rng(6)
    for _ in range(200):
        shape = rng.integers(1, 6, 2)
        u, v = (
            whole_numbers(rng, n, dtype) if rng.integers(2) else rng.integers(0, 9, n).astype(dtype)
            for n in shape
        )
        column, row = factors(outer(u, v))
        assert same_bits(column * row, outer(u, v))
    column, row = factors(np.zeros((3, 4), dtype))
    assert not (column * row).any()
    for kernel, rank_one in (
        ([[1, 2], [2, 4]], True),
        ([[6, 9], [4, 6]], True),
        ([[0, 0], [4, 6]], True),
        ([[0, 3], [0, 5]], True),
        ([[1, 2], [2, 5]], False),
        ([[1, 0], [0, 1]], False),
        ([[0, 1], [1, 0]], False),
        ([[2, 2], [3, 3]], True),
    ):
        pair = factors(np.array(kernel, dtype))
        assert (pair is not None) == rank_one
        if pair is not None:
            assert np.array_equal(pair[0] * pair[1], kernel)


def test_complex_kernels_are_not_looked_at():
    assert factors(np.ones((3, 3), "F")) is None
    with pytest.raises(ValueError, match="not separable"):
        fastconv.convolve2d(np.ones((9, 9)), np.full((3, 3), 1j), method="separable")
    real = np.ones((3, 3), "D")  # has no imaginary part
    y = fastconv.convolve2d(np.ones((9, 9)), real, "valid", method="separable")
    assert (y == 9).all()


@pytest.mark.parametrize("dtype", "ihfdg")
def test_other_kernels_are_refused(dtype):
    k = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 2]], dtype)
    for function in FUNCTIONS:
        with pytest.raises(ValueError, match="outer product of two vectors of " + k.dtype.name):
            getattr(fastconv, function)(np.ones((9, 9), dtype), k, method="separable")
    with pytest.raises(ValueError, match="outer product of two vectors of float64"):
        fastconv.convolve2d(np.ones((9, 9)), np.full((3, 3), 1j), method="separable")


def test_two_steps_may_be_taken_for_one_where_there_is_room_for_the_factors_errors():
    """What two sums and their factors are off is no more than the kh kw u of one."""
    for kh in range(1, 12):
        for kw in range(1, 12):
            assert may_gain(kh, kw) == (kh + kw + 8 <= kh * kw)


# --- the bound of the defining sum ---------------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
def test_every_call_keeps_the_bound_of_the_sum(function, mode, boundary, pair, record_ratio):
    rng = np.random.default_rng(7)
    for image_shape, kernel_shape in SHAPES:
        if not fits(image_shape, kernel_shape, mode) or image_shape == kernel_shape:
            continue
        x = floats(rng, image_shape, pair[0])
        k = kernel_of(rng, kernel_shape, pair[1])
        if boundary == "fill" and x.size < k.size and mode != "valid":
            continue  # the operands are exchanged
        fill = floats(rng, (), np.result_type(x, k))
        if mode == "valid" and image_shape[0] < kernel_shape[0]:
            continue
        ratio = check(function, x, k, mode, boundary, fill, method="separable")
        record_ratio(f"{np.result_type(x, k)}, separable", ratio)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("adversary", ADVERSARIES, ids=lambda f: f.__name__)
def test_adversarial_data_keep_the_bound_of_the_sum(adversary, pair, record_ratio):
    rng = np.random.default_rng(8)
    for image_shape, kernel_shape in (((30, 37), (5, 7)), ((33, 30), (4, 4)), ((50, 3), (9, 3))):
        x = adversary(rng, image_shape, pair[0])
        for k in (
            kernel_of(rng, kernel_shape, pair[1], adversary),
            rank_one_of(rng, kernel_shape, pair[1]),
            np.full(kernel_shape, 1 / 3, pair[1]),
        ):
            ratio = check("convolve2d", x, k, "full", "wrap", method="separable")
            record_ratio(f"{np.result_type(x, k)}, separable {adversary.__name__}", ratio)


@pytest.mark.parametrize("dtype", "fd")
def test_factors_that_are_off_keep_the_bound_of_the_sum(dtype, record_ratio):
    """The smallest kernels that are done in two steps unasked, off as far as they may be."""
    rng = np.random.default_rng(9)
    eps = np.finfo(dtype).eps
    for _ in range(60):
        shape = [(3, 6), (6, 3), (2, 10), (10, 2), (4, 4)][rng.integers(5)]
        assert may_gain(*shape)
        k = outer(powers_of_two(rng, shape[0], dtype), (1.1 + 0.8 * rng.random(shape[1])))
        k = k.astype(dtype)
        off = rng.integers(-2, 3, shape)
        y, x = np.unravel_index(np.argmax(abs(k)), k.shape)
        off[y], off[:, x], off[k == 0] = 0, 0, 0
        k = (k + np.spacing(abs(k)) * off).astype(dtype)
        assert factors(k) is not None
        x = (1 + eps * rng.integers(0, 9, (12, 11))).astype(dtype)
        ratio = check("correlate2d", x, k, "valid", method="separable")
        record_ratio(f"{np.dtype(dtype)}, separable, factors off", ratio)


# --- exactness, seams ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*INTEGERS, *"fdgFD"])
@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
def test_whole_numbers_are_exact(function, mode, boundary, dtype):
    rng = np.random.default_rng(10)
    real = np.empty(0, dtype).real.dtype
    for image_shape, kernel_shape in SHAPES:
        if not fits(image_shape, kernel_shape, mode):
            continue
        x = whole_numbers(rng, image_shape, dtype)
        u, v = ((2 ** rng.integers(0, 3, n)).astype(real) for n in kernel_shape)
        v[rng.integers(len(v))] *= rng.integers(0, 2).astype(real)
        u[0], v[-1] = 1, 1
        k = outer(u, v)
        fill = whole_numbers(rng, (), dtype)
        try:
            y = getattr(fastconv, function)(x, k, mode, boundary, fill, method="separable")
        except ValueError:
            assert (mode, x.size < k.size) == ("valid", True)  # the operands are exchanged
            continue
        assert same_bits(y, exact(function, x, k, mode, boundary, fill, np.int64))


@pytest.mark.parametrize("dtype", "BHILbhil")
def test_integers_whose_products_wrap_around_are_still_products(dtype):
    bits = 8 * np.dtype(dtype).itemsize
    u, v = np.array([1, 3, 5, 7]), np.array([1, 2 ** (bits - 2) - 1, 2 ** (bits - 3) + 5, 9])
    k = outer(u, v).astype(dtype)
    x = np.arange(300).reshape(15, 20).astype(dtype)
    y = fastconv.convolve2d(x, k, "same", method="separable")
    assert same_bits(y, fastconv.convolve2d(x, k, "same", method="direct"))


def test_a_fill_value_that_nothing_reads_makes_no_kernel_complex():
    x, k = np.ones((1, 5)), np.ones((6, 7), "D")
    y = fastconv.convolve2d(x, k, "valid", "fill", 1j, method="separable")
    assert same_bits(y, np.full((6, 3), 5, "D"))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("mode", ["full", "same"])
def test_a_kernel_larger_than_the_image_is_still_the_one_that_is_separated(function, mode):
    rng = np.random.default_rng(15)
    x, k = rng.integers(-9, 10, (2, 2)).astype("d"), outer([1.0, 2, 4], [2.0, 1, 8])
    expected = exact(function, x, k, mode, "fill", 0, np.int64)
    correlate = function == "correlate2d"
    plan = fastconv.plan(k, (2, 2), "d", mode=mode, method="separable", correlate=correlate)
    y = getattr(fastconv, function)(x, k, mode, method="separable")
    stack = getattr(fastconv, function)(x[None], k, mode, axes=(1, 2), method="separable")
    for result in (y, plan(x), stack[0]):
        assert same_bits(result, expected)
    assert fastconv.explain(x, k, mode, function=function, method="separable").engine == "separable"
    with pytest.raises(ValueError, match="not separable"):
        getattr(fastconv, function)(k, x, mode, method="separable")


@pytest.mark.parametrize("dtype", "BHILfdFD")
def test_widths_and_heights_around_every_seam_are_exact(dtype):
    rng = np.random.default_rng(11)
    real = np.empty(0, dtype).real.dtype
    for width in (*SEAM_WIDTHS, 4, 5, 6, 10, 11, 12, 13, 14):
        for shape in ((int(rng.integers(1, 15)), width), (width, int(rng.integers(1, 15)))):
            function, mode, boundary = CALLS[rng.integers(len(CALLS))]
            kernel_shape = rng.integers(1, 9, 2)
            if not fits(shape, kernel_shape, mode) or shape[0] * shape[1] < 64:
                mode, boundary = "same", "wrap"
            x = whole_numbers(rng, shape, dtype)
            k = outer(*((2 ** rng.integers(0, 3, n)).astype(real) for n in kernel_shape))
            y = getattr(fastconv, function)(x, k, mode, boundary, 1, method="separable")
            assert same_bits(y, exact(function, x, k, mode, boundary, 1, np.int64))


@pytest.mark.parametrize("dtype", "BILfdFD")
@pytest.mark.parametrize("kernel_shape", [(5, 4), (40, 3), (3, 40), (70, 1), (1, 70)])
def test_images_of_several_tiles_are_exact(dtype, kernel_shape):
    rng = np.random.default_rng(12)
    real = np.empty(0, dtype).real.dtype
    k = outer(*((2 ** rng.integers(0, 3, n)).astype(real) for n in kernel_shape))
    for image_shape in ((131, 50), (300, 17), (1030, 4), (70, 3000), (700, 2), (650, 1)):
        x = whole_numbers(rng, image_shape, dtype)
        boundary = BOUNDARIES[rng.integers(3)]
        y = fastconv.correlate2d(x, k, "same", boundary, 2, method="separable", workers=2)
        assert same_bits(y, exact("correlate2d", x, k, "same", boundary, 2, np.int64))


# --- the ends of the range -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", "fd")
def test_numbers_at_both_ends_of_the_range_keep_the_bound(dtype, record_ratio):
    rng = np.random.default_rng(13)
    info = np.finfo(dtype)
    for kernel in (rank_one_of(rng, (7, 7), dtype), np.full((4, 5), 0.25, dtype)):
        for of_x, of_k in (
            (int(info.maxexp) - 8, 0),
            (int(info.maxexp) - 4, -9),
            (int(info.minexp) - info.nmant + 12, 0),
            (int(info.minexp) // 2, int(info.minexp) // 2),
            (int(info.minexp) - 10, int(info.maxexp) - 3),
        ):
            x = np.ldexp(floats(rng, (20, 24), dtype), of_x)
            k = np.ldexp(kernel, of_k)
            if factors(k) is None:
                continue
            y = fastconv.convolve2d(x, k, "full", "symm", method="separable")
            ratio = check_sums(y, "convolve2d", x, k, "full", "symm")
            record_ratio(f"{np.dtype(dtype)}, separable, ends", ratio)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("large", ["u", "v"])
def test_what_underflows_is_not_multiplied_by_what_comes_last(pair, large, record_ratio):
    """Factors of the ends of the range; images narrow enough for columns to go first, or not."""
    rng = np.random.default_rng(16)
    end = int(np.finfo(pair[1]).maxexp)
    u, v = np.full(9, 2.0 ** (-end * 2 // 3)), np.full(9, 2.0 ** (end // 2))
    u[4] = 1
    k = outer(u, v).astype(pair[1])
    if large == "u":
        k = k.T
    for width in (1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33):
        for shape in ((40, width), (width, 40)):
            x = np.ldexp(floats(rng, shape, pair[1]), -end // 2).astype(pair[0])
            x[rng.random(shape) < 0.5] = 0
            if pair[0] in "FD":
                x = x * np.array(1j if width % 2 else 1 + 1j, pair[0])
            y = fastconv.convolve2d(x, k, "same", method="separable")
            ratio = check_sums(y, "convolve2d", x, k, "same")
            record_ratio(f"{np.result_type(x, k)}, separable, both ends", ratio)


@pytest.mark.parametrize("dtype", "fdFD")
def test_the_layout_does_not_show_where_a_window_beyond_the_outputs_leaves_the_range(dtype):
    """Rows that are gathered end with the zeros around, those that are read in place do not."""
    rng = np.random.default_rng(2)
    real = np.empty(0, dtype).real.dtype
    far = np.ldexp(real.type(1), int(np.finfo(dtype).maxexp) - 12)
    large = real.type(1 << 24)
    u, v = np.array([1, 3, 5, 8, 7, 4, 2]) / 9, np.array([0.1, 0.3, 0.2, 0.5, 0.1, 1, 0.3])
    v[-2] = large
    for k in (outer(u, v).astype(real), outer(v, u).astype(real)):
        for shape in ((40, 101), (101, 40), (600, 6), (6, 600), (600, 3)):
            x = floats(rng, shape, dtype)
            x[:, -1] *= far
            x[-1] *= far / abs(x[-1]).max()
            strided = np.zeros((shape[0], 2 * shape[1]), dtype)[:, ::2]
            strided[...] = x
            for mode in ("valid", "same"):
                if mode == "valid" and min(shape) < 7:
                    continue
                results = [
                    fastconv.correlate2d(z, k, mode, method="separable")
                    for z in (x, strided, np.asfortranarray(x))
                ]
                assert same_bits(results[0], results[1])
                assert same_bits(results[0], results[2])


@pytest.mark.parametrize("char", "FD")
def test_one_nan_among_numbers_without_imaginary_parts_is_done_again_alone(char):
    rng = np.random.default_rng(17)
    real = np.empty(0, char).real.dtype
    x, k = floats(rng, (2, 3000, 70), real).astype(char), rank_one_of(rng, (9, 9), char)
    arguments = {"mode": "same", "axes": (1, 2), "method": "separable"}
    expected = fastconv.convolve2d(x, k[None], **arguments)
    x[1, 0, 0] = np.nan
    y = fastconv.convolve2d(x, k[None], **arguments)
    assert same_bits(y[0], expected[0])
    assert same_bits(y[1, 1500:], expected[1, 1500:])
    assert np.isnan(y[1, :5, :5]).all()


def test_whether_a_kernel_is_separable_does_not_depend_on_the_image():
    for k in ([[1e300], [1e-20], [3e5]], [[1e300, 2e300], [1e-20, 2e-20]], [[1, 2], [2, 4]]):
        found = set()
        for kernel in (np.array(k), np.array(k).T):
            for shape in ((50, 3), (3, 50), (50, 50)):
                try:
                    fastconv.convolve2d(np.ones(shape), kernel, "same", method="separable")
                except ValueError:
                    found.add(False)
                else:
                    found.add(True)
        assert len(found) == 1


def test_a_row_that_is_repeated_may_have_no_factors():
    row = np.array([1.1e200, 1.3e-120, 0.7])
    for kernel in (row[None], np.broadcast_to(row, (5, 3)), np.broadcast_to(row, (5, 3)).T):
        assert factors(kernel) is None
    column, row = factors(np.broadcast_to(row[1:], (5, 2)))
    assert (column * row == [[1.3e-120, 0.7]] * 5).all()


def test_the_first_of_taps_as_large_is_the_same_in_any_layout(monkeypatch):
    monkeypatch.setattr(_parts, "PART", 1 << 12)
    k = np.ones((60, 70))
    for places in (((10, 69), (59, 3)), ((5, 60), (5, 2), (3, 61)), ((0, 0), (59, 69))):
        spotted = k.copy()
        for place in places:
            spotted[place] = -9
        for layout in (spotted, np.asfortranarray(spotted), spotted[::-1][::-1]):
            assert _rank_one._largest(layout) == min(places)
        spotted[40, 40] = np.nan
        for layout in (spotted, np.asfortranarray(spotted)):
            assert _rank_one._largest(layout) == (40, 40)


@pytest.mark.parametrize("char", "FD")
def test_columns_that_go_first_do_so_for_an_image_that_is_not_real_after_all(char):
    """What is complex by an imaginary part of zero alone is real, unless something is infinite."""
    real = np.empty(0, char).real.dtype
    end = int(np.finfo(char).maxexp)
    u, v = np.full(9, 2.0 ** (-end * 2 // 3)), np.full(9, 2.0 ** (end // 2))
    u[4] = 1
    for k in (outer(u, v).astype(real), outer(v, u).astype(real)):
        for width in range(1, 20):
            x = np.zeros((40_000, width), char)  # of several tiles
            x[30_000, -1] = 2.0 ** (-end // 2)
            expected = fastconv.convolve2d(x, k, "same", method="direct")
            x[0, 0] = np.inf
            y = fastconv.convolve2d(x, k, "same", method="separable")
            assert same_bits(y[20_000:], expected[20_000:])


@pytest.mark.parametrize("dtype", "fd")
def test_a_row_whose_sum_leaves_the_range_under_a_small_tap_does_not_spoil_the_result(dtype):
    largest = np.finfo(dtype).max
    image = np.zeros((30, 40), dtype)
    image[10, 5:35] = largest / 2
    u = np.array([2.0**-20, 1, 2.0**-20], dtype)
    k = outer(u, np.ones(7, dtype))
    y = fastconv.convolve2d(image, k, "same", method="separable")
    expected = fastconv.convolve2d(image, k, "same", method="direct")
    assert np.isfinite(expected[9]).all()
    assert np.isposinf(expected[10, 10:30]).all()
    assert same_bits(y, expected)


@pytest.mark.parametrize("dtype", "fd")
@pytest.mark.parametrize("mode", ["valid", "same"])
def test_such_a_sum_is_seen_in_any_column(dtype, mode):
    largest = np.finfo(dtype).max
    k = outer(np.array([2.0**-20, 1, 2.0**-20], dtype), np.array([1, 1, 0], dtype))
    for width in range(40, 60):
        for column in range(width - 1):
            image = np.zeros((8, width), dtype)
            image[4, column : column + 2] = largest
            y = fastconv.correlate2d(image, k, mode, method="separable")
            assert same_bits(y, fastconv.correlate2d(image, k, mode, method="direct"))
            assert np.isfinite(y[-2]).all()


@pytest.mark.parametrize("dtype", "fd")
@pytest.mark.parametrize("mode", ["valid", "same"])
def test_sums_that_stay_in_the_range_are_not_done_again(dtype, mode):
    """Of two steps and of one the roundings differ somewhere."""
    rng = np.random.default_rng(15)
    k = outer(rng.random(9), rng.random(9)).astype(dtype)
    for width in range(40, 60):
        image = rng.random((20, width)).astype(dtype)
        y = fastconv.correlate2d(image, k, mode, method="separable")
        assert not same_bits(y, fastconv.correlate2d(image, k, mode, method="direct"))


@pytest.mark.parametrize("dtype", "bhlfd")
def test_no_warning_is_given_and_no_error_mode_of_numpy_obeyed(dtype):
    """Looking for factors divides, overflows and underflows in silence."""
    rng = np.random.default_rng(14)
    info = np.iinfo(dtype) if dtype in "bhl" else np.finfo(dtype)
    x = np.ones((1300, 1300), dtype)
    with np.errstate(all="raise"):
        for k in (
            np.full((7, 7), info.min, dtype),
            outer(np.array([-1, 1, -1, info.min], dtype), np.array([1, -1, 0, 1], dtype)),
            outer(np.array([info.min, 1, 0, 1], dtype), np.array([-1, 1, -1, -1], dtype)),
            rng.integers(0, 9, (4, 4)).astype(dtype),
        ):
            factors(k)
            fastconv.explain(x, k)
        if dtype in "fd":
            factors(np.array([[info.max, 1], [info.tiny, info.tiny]], dtype))


@pytest.mark.parametrize("dtype", "FD")
def test_many_taps_of_complex_images_are_exact(dtype):
    rng = np.random.default_rng(41)
    image = rng.integers(-3, 4, (140, 150)) + 1j * rng.integers(-3, 4, (140, 150))
    image, kernel = image.astype(dtype), np.ones((129, 131), dtype)
    result = fastconv.convolve2d(image, kernel, "valid", method="separable")
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)
    assert np.array_equal(result, windows.sum((2, 3)))
