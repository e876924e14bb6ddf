"""The reference itself, against scipy: where scipy is right the two agree to the bit."""

import numpy as np
import pytest
from cases import CALLS, DTYPES, SHAPES, fits, whole_numbers
from oracle import exact, swaps
from scipy import signal


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
def test_the_reference_agrees_with_scipy(dtype, function, mode, boundary):
    rng = np.random.default_rng(1)
    for image_shape, kernel_shape in SHAPES:
        if not fits(image_shape, kernel_shape, mode):
            continue
        x = whole_numbers(rng, image_shape, dtype)
        k = whole_numbers(rng, kernel_shape, dtype)
        fill = whole_numbers(rng, (), dtype)
        y = exact(function, x, k, mode, boundary, fill)
        theirs = getattr(signal, function)(x, k, mode, boundary, fill)
        if function == "correlate2d" and swaps(x, k, mode):
            theirs = theirs.conj()  # scipy forgets this when it swaps
        assert y.dtype == theirs.dtype
        np.testing.assert_array_equal(y, theirs)


@pytest.mark.parametrize(("function", "mode", "boundary"), CALLS)
def test_the_reference_is_the_same_in_python_integers_and_in_int64(function, mode, boundary):
    rng = np.random.default_rng(2)
    x, k = whole_numbers(rng, (9, 12), "q"), whole_numbers(rng, (4, 5), "q")
    y = exact(function, x, k, mode, boundary, 3)
    np.testing.assert_array_equal(y, exact(function, x, k, mode, boundary, 3, ring=np.int64))
