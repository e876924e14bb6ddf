"""Stacks of images: the argument `axes` of convolve2d and correlate2d."""

import numpy as np
import pytest
from cases import CALLS, DTYPES, FUNCTIONS, same_bits, whole_numbers
from hypothesis import given
from hypothesis import strategies as st

import fastconv

BOTH = pytest.mark.parametrize("function", FUNCTIONS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
def test_a_stack_is_its_images_one_by_one(function, mode, boundary, dtype):
    rng = np.random.default_rng(1)
    call = getattr(fastconv, function)
    for batches in (
        ((3,), ()),
        ((), (2,)),
        ((2, 3), (3,)),
        ((2, 1), (1, 3)),
        ((0,), ()),
        ((2, 0), (1,)),
    ):
        for sizes in (((5, 6), (3, 2)), ((2, 3), (4, 5))):
            images = whole_numbers(rng, batches[0] + sizes[0], dtype)
            kernels = whole_numbers(rng, batches[1] + sizes[1], dtype)
            batch = np.broadcast_shapes(*batches)
            y = call(images, kernels, mode, boundary, 3, axes=(-2, -1))
            size = call(np.ones(sizes[0]), np.ones(sizes[1]), mode, boundary).shape
            assert (y.shape, y.dtype) == (batch + size, images.dtype)
            assert y.flags.c_contiguous
            assert y.flags.owndata
            wide = np.broadcast_to(images, batch + sizes[0])
            deep = np.broadcast_to(kernels, batch + sizes[1])
            for place in np.ndindex(batch):
                assert same_bits(y[place].copy(), call(wide[place], deep[place], mode, boundary, 3))


@given(st.data(), st.sampled_from(CALLS), st.integers(2, 4))
def test_the_axes_come_back_where_they_were(data, call, ndim):
    function, mode, boundary = call
    axes = tuple(data.draw(st.permutations(range(ndim)))[:2])
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    sizes = data.draw(st.tuples(*[st.integers(3, 5)] * ndim))
    images, kernel = whole_numbers(rng, sizes, "d"), whole_numbers(rng, (2, 3), "d")
    if axes[0] > axes[1]:
        kernel = kernel.T  # its axes are in the order of the array
    named = tuple(data.draw(st.sampled_from((axis, axis - ndim))) for axis in axes)
    y = getattr(fastconv, function)(images, kernel, mode, boundary, axes=named)
    moved = np.moveaxis(images, axes, (-2, -1))
    in_order = kernel if axes[0] < axes[1] else kernel.T
    expected = getattr(fastconv, function)(moved, in_order, mode, boundary, axes=(-2, -1))
    np.testing.assert_array_equal(np.moveaxis(y, axes, (-2, -1)), expected)


@BOTH
def test_channels_may_be_last(function):
    rng = np.random.default_rng(2)
    image, kernel = rng.standard_normal((9, 8, 3)), rng.standard_normal((3, 2))
    y = getattr(fastconv, function)(image, kernel, "same", "symm", axes=(0, 1))
    assert y.shape == (9, 8, 3)
    for c in range(3):
        one = getattr(fastconv, function)(image[..., c], kernel, "same", "symm")
        np.testing.assert_array_equal(y[..., c], one)


@BOTH
def test_one_image_that_is_not_finite_does_not_touch_the_others(function):
    rng = np.random.default_rng(3)
    for dtype in "dD":
        images, kernels = (rng.standard_normal(s).astype(dtype) for s in ((3, 2, 3), (3, 4, 5)))
        clean = getattr(fastconv, function)(images, kernels, axes=(1, 2))
        images[1, 0, 0] = np.inf
        y = getattr(fastconv, function)(images, kernels, axes=(1, 2))
        np.testing.assert_allclose(y[::2], clean[::2], rtol=1e-12)
        assert not np.isfinite(y[1]).all()


@BOTH
def test_out_is_filled_whatever_it_overlaps(function):
    rng = np.random.default_rng(4)
    images, kernel = rng.standard_normal((4, 6, 5)), rng.standard_normal((3, 3))
    y = getattr(fastconv, function)(images, kernel, "same", axes=(1, 2), workers=2)
    out = np.zeros((4, 6, 10))[..., ::2]
    assert getattr(fastconv, function)(images, kernel, "same", axes=(1, 2), out=out) is out
    np.testing.assert_array_equal(out, y)
    kernels = rng.standard_normal((4, 3, 3))
    y = getattr(fastconv, function)(images, kernels, "same", axes=(1, 2))
    assert getattr(fastconv, function)(images, kernels, "same", axes=(1, 2), out=out) is out
    np.testing.assert_array_equal(out, y)
    y = getattr(fastconv, function)(images, kernel, "same", axes=(1, 2))
    shifted = images[::-1]
    getattr(fastconv, function)(images, kernel, "same", axes=(1, 2), out=shifted)
    np.testing.assert_array_equal(shifted, y)


@BOTH
def test_a_stack_of_kernels_without_taps_gives_zeros(function):
    images = np.ones((2, 5, 5))
    y = getattr(fastconv, function)(images, np.ones((2, 0, 3)), "same", axes=(1, 2))
    assert same_bits(y, np.zeros((2, 5, 5)))


@BOTH
@pytest.mark.parametrize(
    ("axes", "words"),
    [
        (0, "two integers"),
        ((0,), "two integers"),
        ((0, 1, 2), "two integers"),
        ((0, 1.5), "two integers"),
        ("ab", "two integers"),
        ((0, 3), "exceeds"),
        ((-4, 0), "exceeds"),
        ((1, 1), "unique"),
        ((1, -2), "unique"),
    ],
)
def test_axes_that_are_not_two_of_the_inputs_are_refused(function, axes, words):
    with pytest.raises(ValueError, match=words):
        getattr(fastconv, function)(np.ones((3, 4, 5)), np.ones((2, 2)), axes=axes)


@BOTH
def test_stacks_that_do_not_fit_are_refused(function):
    call = getattr(fastconv, function)
    with pytest.raises(ValueError, match="broadcast"):
        call(np.ones((3, 4, 5)), np.ones((2, 2, 2)), axes=(1, 2))
    with pytest.raises(ValueError, match="at least 2"):
        call(np.ones((3, 4, 5)), np.ones(2), axes=(1, 2))
    with pytest.raises(ValueError, match="'valid' mode"):
        call(np.ones((3, 4, 5)), np.ones((2, 9)), "valid", axes=(1, 2))
    with pytest.raises(ValueError, match="exceeds"):
        call(np.ones((3, 4, 5)), np.ones((2, 2, 2, 2)), axes=(-4, -1))
    for out, error in ((np.zeros((3, 5)), ValueError), (np.zeros((3, 5, 6), "f"), TypeError)):
        with pytest.raises(error, match="out"):
            call(np.ones((3, 4, 5)), np.ones((2, 2)), axes=(1, 2), out=out)


@BOTH
@pytest.mark.parametrize("kernels", [(2, 2), (3, 2, 2)])
def test_methods_are_checked_for_an_empty_stack_too(function, kernels):
    with pytest.raises(ValueError, match="method flags"):
        getattr(fastconv, function)(
            np.ones((0, 3, 5, 5)), np.ones(kernels), axes=(-2, -1), method="none"
        )
