"""
The identities of convolution and correlation, on random arrays of whole numbers.

In whole numbers every identity holds to the bit: modulo 2**bits for integer dtypes, without any
rounding for the others, whose numbers are small enough. No test here needs a tolerance.
"""

import numpy as np
import pytest
from cases import BOUNDARIES, COMPLEXES, INTEGERS, REALS, same_bits, whole_numbers
from hypothesis import given
from hypothesis import strategies as st

from fastconv import convolve2d, correlate2d

dtypes = st.sampled_from(INTEGERS + REALS + COMPLEXES)
boundaries = st.sampled_from(BOUNDARIES)
modes = st.sampled_from(("full", "same", "valid"))


def shapes(most=24):
    return st.tuples(st.integers(1, most), st.integers(1, most))


@st.composite
def arrays(draw, dtype, most=24, shape=None):
    """Whole numbers, from a seed: shrinking goes for the shape, which is what matters."""
    shape = draw(shapes(most)) if shape is None else shape
    return whole_numbers(np.random.default_rng(draw(st.integers(0, 2**32))), shape, dtype)


def rotate(array):
    """By 180 degrees."""
    return array[::-1, ::-1]


def inner(a, b):
    """<a, b> = sum of a * conj(b), in the arrays' own arithmetic."""
    return (a * b.conj()).sum(dtype=a.dtype)


def assert_same(a, b):
    # + 0 makes -0, which a sum never is but its conjugate or product may be, +0.
    assert same_bits(np.ascontiguousarray(a + 0), np.ascontiguousarray(b + 0))


@given(st.data(), dtypes)
def test_convolution_is_commutative(data, dtype):
    a, b = data.draw(arrays(dtype)), data.draw(arrays(dtype))
    assert_same(convolve2d(a, b), convolve2d(b, a))


@given(st.data(), dtypes)
def test_convolution_is_associative(data, dtype):
    # Three factors of at most 6 * 6 numbers up to 9: no sum reaches 36 * 36 * 9**3 * 4 < 2**24.
    a, b, c = (data.draw(arrays(dtype, 6)) for _ in range(3))
    assert_same(convolve2d(convolve2d(a, b), c), convolve2d(a, convolve2d(b, c)))


@given(st.data(), dtypes, boundaries)
def test_both_are_linear_in_the_image(data, dtype, boundary):
    a = data.draw(arrays(dtype))
    b, k = data.draw(arrays(dtype, shape=a.shape)), data.draw(arrays(dtype, 12))
    for function in (convolve2d, correlate2d):
        together = function(a + b * 3, k, "same", boundary)
        apart = function(a, k, "same", boundary) + function(b, k, "same", boundary) * 3
        assert_same(together, apart)


@given(st.data(), dtypes, boundaries)
def test_both_are_additive_in_the_kernel(data, dtype, boundary):
    a, k = data.draw(arrays(dtype)), data.draw(arrays(dtype, 12))
    m = data.draw(arrays(dtype, shape=k.shape))
    for function in (convolve2d, correlate2d):
        together = function(a, k + m, "full", boundary)
        apart = function(a, k, "full", boundary) + function(a, m, "full", boundary)
        assert_same(together, apart)


@given(st.data(), st.sampled_from(COMPLEXES))
def test_a_complex_factor_comes_out_of_the_image_as_it_is_and_of_the_kernel_conjugated(data, dtype):
    a, k = data.draw(arrays(dtype)), data.draw(arrays(dtype, 8))
    factor = np.dtype(dtype).type(2 - 3j)
    assert_same(convolve2d(factor * a, k), factor * convolve2d(a, k))
    assert_same(convolve2d(a, factor * k), factor * convolve2d(a, k))
    assert_same(correlate2d(factor * a, k), factor * correlate2d(a, k))
    assert_same(correlate2d(a, factor * k), factor.conj() * correlate2d(a, k))


@given(st.data(), dtypes, st.integers(-30, 30), st.integers(-30, 30))
def test_a_cyclic_shift_of_the_image_shifts_the_result(data, dtype, down, right):
    a, k = data.draw(arrays(dtype)), data.draw(arrays(dtype, 30))
    for function in (convolve2d, correlate2d):
        shifted = function(np.roll(a, (down, right), (0, 1)), k, "same", "wrap")
        assert_same(shifted, np.roll(function(a, k, "same", "wrap"), (down, right), (0, 1)))


@given(st.data(), dtypes, st.integers(0, 9), st.integers(0, 40))
def test_zeros_before_the_image_move_the_result(data, dtype, down, right):
    a, k = data.draw(arrays(dtype)), data.draw(arrays(dtype, 12))
    moved = np.pad(a, ((down, 0), (right, 0)))
    assert_same(convolve2d(moved, k), np.pad(convolve2d(a, k), ((down, 0), (right, 0))))
    assert_same(correlate2d(moved, k)[down:, right:], correlate2d(a, k))


@given(st.data(), dtypes)
def test_one_tap_is_the_identity_of_convolution(data, dtype):
    a = data.draw(arrays(dtype))
    assert_same(convolve2d(a, np.ones((1, 1), dtype)), a)
    tap = np.zeros((3, 5), dtype)
    tap[2, 1] = 1
    assert_same(convolve2d(a, tap), np.pad(a, ((2, 0), (1, 3))))
    assert_same(correlate2d(a, tap), np.pad(a, ((0, 2), (3, 1))))


@given(st.data(), dtypes, boundaries)
def test_correlation_is_convolution_with_the_kernel_rotated_and_conjugated(data, dtype, boundary):
    a, k = data.draw(arrays(dtype)), data.draw(arrays(dtype, 12))
    assert_same(
        correlate2d(a, k, "full", boundary), convolve2d(a, rotate(k).conj(), "full", boundary)
    )


@pytest.mark.parametrize("dtype", COMPLEXES)
def test_the_flip_is_a_rotation_by_180_degrees_and_no_mirror(dtype):
    """A kernel that is neither square nor symmetric tells a rotation from every mirror."""
    rng = np.random.default_rng(1)
    image = whole_numbers(rng, (9, 8), dtype)
    kernel = (np.arange(6).reshape(2, 3) + 1j * np.arange(6, 0, -1).reshape(2, 3)).astype(dtype)
    y = correlate2d(image, kernel)
    assert_same(y, convolve2d(image, rotate(kernel).conj()))
    secondary_diagonal = rotate(kernel).T
    assert secondary_diagonal.shape != kernel.shape
    for other in (kernel, kernel[::-1], kernel[:, ::-1]):
        assert not np.array_equal(y, convolve2d(image, other.conj()))
    assert not np.array_equal(y, convolve2d(image, rotate(kernel)))


@given(st.data(), dtypes)
def test_exchanging_the_operands_of_a_correlation_rotates_and_conjugates_it(data, dtype):
    a, b = data.draw(arrays(dtype)), data.draw(arrays(dtype))
    assert_same(correlate2d(a, b), rotate(correlate2d(b, a)).conj())


@given(st.data(), dtypes)
def test_valid_exchanges_its_operands_as_full_does(data, dtype):
    a, b = data.draw(arrays(dtype, 8)), data.draw(arrays(dtype, 8))
    large = np.pad(a, ((b.shape[0], 0), (0, b.shape[1])))
    assert_same(convolve2d(b, large, "valid"), convolve2d(large, b, "valid"))
    assert_same(correlate2d(b, large, "valid"), rotate(correlate2d(large, b, "valid")).conj())


@given(st.data(), dtypes)
def test_correlation_is_the_adjoint_of_convolution(data, dtype):
    """<a ** k, b> = <a, correlate(b, k)> for every b of the shape of a ** k."""
    a, k = data.draw(arrays(dtype, 9)), data.draw(arrays(dtype, 5))
    y = convolve2d(a, k)
    b = data.draw(arrays(dtype, shape=y.shape))
    # As full as it gets: 13 * 13 * 25 products of three numbers up to 9 * sqrt(2) < 2**24.
    assert inner(y, b) == inner(a, correlate2d(b, k, "valid"))


@given(st.data(), dtypes, boundaries)
def test_same_and_valid_are_parts_of_full(data, dtype, boundary):
    a, k = data.draw(arrays(dtype)), data.draw(arrays(dtype))
    (h, w), (kh, kw) = a.shape, k.shape
    for function in (convolve2d, correlate2d):
        full = function(a, k, "full", boundary)
        y, x = (kh - 1) // 2, (kw - 1) // 2
        if function is correlate2d:
            y, x = kh - 1 - y, kw - 1 - x
        assert_same(function(a, k, "same", boundary), full[y : y + h, x : x + w])
        if h >= kh and w >= kw:
            assert_same(function(a, k, "valid", boundary), full[kh - 1 : h, kw - 1 : w])


@given(st.data(), dtypes, modes)
def test_transposing_both_operands_transposes_the_result(data, dtype, mode):
    a, k = data.draw(arrays(dtype)), data.draw(arrays(dtype, 12))
    if mode == "valid":
        k = k[: a.shape[0], : a.shape[1]]
    for function in (convolve2d, correlate2d):
        for boundary in BOUNDARIES:
            assert_same(function(a.T, k.T, mode, boundary), function(a, k, mode, boundary).T)


@given(st.data(), dtypes, st.sampled_from((("wrap", "wrap"), ("symm", "symmetric"))))
def test_a_boundary_is_the_image_padded(data, dtype, names):
    boundary, padding = names
    a, k = data.draw(arrays(dtype)), data.draw(arrays(dtype, 40))
    padded = np.pad(a, [(n - 1, n - 1) for n in k.shape], padding)
    for function in (convolve2d, correlate2d):
        assert_same(function(a, k, "full", boundary), function(padded, k, "valid"))


@given(st.data(), dtypes)
def test_a_fillvalue_is_the_image_padded(data, dtype):
    a, k = data.draw(arrays(dtype)), data.draw(arrays(dtype, 12))
    fill = data.draw(arrays(dtype, shape=()))
    padded = np.pad(a, [(n - 1, n - 1) for n in k.shape], constant_values=fill)
    for function in (convolve2d, correlate2d):
        assert_same(function(a, k, "full", "fill", fill), function(padded, k, "valid"))


# The integers modulo this prime have a root of unity of every order that is a power of two, up to
# 2**23. So there is a Fourier transform in which the convolution theorem holds without rounding.
PRIME = 998244353
GENERATOR = 3


def fourier(array, shape):
    """Transform of a real array, padded with zeros to a shape of powers of two."""
    result = np.zeros(shape, np.int64)
    result[: array.shape[0], : array.shape[1]] = array.astype(np.int64) % PRIME
    for axis, n in enumerate(shape):
        root = pow(GENERATOR, (PRIME - 1) // n, PRIME)
        matrix = np.array([[pow(root, i * j, PRIME) for j in range(n)] for i in range(n)], object)
        result = np.moveaxis(np.tensordot(matrix, result.astype(object), (1, axis)), 0, axis)
        result = (result % PRIME).astype(np.int64)
    return result


@given(st.data(), st.sampled_from("iLdg"))
def test_the_transform_of_a_convolution_is_the_product_of_the_transforms(data, dtype):
    a, b = data.draw(arrays(dtype, 9)), data.draw(arrays(dtype, 8))
    a, b = a % 10, b % 10  # nothing wraps around
    y = convolve2d(a, b)
    product = fourier(a, (16, 16)) * fourier(b, (16, 16)) % PRIME
    np.testing.assert_array_equal(fourier(y.astype(np.int64), (16, 16)), product)


@given(st.data(), st.sampled_from("ild"), st.sampled_from((4, 8, 16)))
def test_wrapped_around_the_theorem_needs_no_zeros(data, dtype, n):
    a, b = data.draw(arrays(dtype, shape=(n, n))) % 10, data.draw(arrays(dtype, 4)) % 10
    y = convolve2d(a, b, "full", "wrap")[:n, :n]
    product = fourier(a, (n, n)) * fourier(b, (n, n)) % PRIME
    np.testing.assert_array_equal(fourier(y.astype(np.int64), (n, n)), product)
