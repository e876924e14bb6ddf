"""What the tests draw from: dtypes, calls, shapes and data."""

import itertools

import numpy as np

FUNCTIONS = ("convolve2d", "correlate2d")
MODES = ("full", "same", "valid")
BOUNDARIES = ("fill", "wrap", "symm")
CALLS = tuple(itertools.product(FUNCTIONS, MODES, BOUNDARIES))

INTEGERS = "bBhHiIlLqQ"
REALS = "fdg"
COMPLEXES = "FDG"
DTYPES = INTEGERS + REALS + COMPLEXES
# One dtype of each word the engines compute in, and complex ones.
WORDS = "BHILfdgFD"
# In the byte order that the processor does not have.
SWAPPED = tuple(np.dtype(char).newbyteorder() for char in "hIfdgD")

# Where something could go wrong: around whole vectors (8 and 16 lanes), around whole blocks of
# vectors (48 and 96, 2 * 96), and around a row that needs more than one tile.
SEAM_WIDTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 95, 96, 97)
SEAM_WIDTHS += (127, 128, 129, 191, 192, 193, 2047, 2048, 2049, 4095, 4096, 4097, 4500)

# Image and kernel: even, odd and mixed sizes, single rows, columns and elements, kernels as
# large as the image, larger in one axis, and larger than a whole period of the extension.
SHAPES = (
    ((1, 1), (1, 1)),
    ((7, 9), (3, 3)),
    ((8, 6), (2, 4)),
    ((9, 8), (4, 3)),
    ((6, 11), (5, 2)),
    ((1, 13), (1, 4)),
    ((12, 1), (5, 1)),
    ((5, 6), (1, 1)),
    ((5, 5), (5, 5)),
    ((3, 2), (5, 6)),
    ((3, 9), (8, 2)),
    ((2, 3), (11, 10)),
    ((1, 1), (4, 7)),
)


def fits(image_shape, kernel_shape, mode):
    """Tell whether the mode allows the two shapes."""
    larger = [n >= m for n, m in zip(image_shape, kernel_shape, strict=True)]
    smaller = [n <= m for n, m in zip(image_shape, kernel_shape, strict=True)]
    return mode != "valid" or all(larger) or all(smaller)


def whole_numbers(rng, shape, dtype, limit=9):
    """Array of integers: any at all for an integer dtype, at most `limit` for the others."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        array = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
        extremes = rng.random(shape)
        array[extremes < 0.2] = info.min
        array[extremes > 0.8] = info.max
        return array
    array = np.empty(shape, dtype)
    array.real = rng.integers(-limit, limit, shape, endpoint=True)
    if dtype.kind == "c":
        array.imag = rng.integers(-limit, limit, shape, endpoint=True)
    return array


def small_numbers(rng, shape, dtype="d"):
    """Whole numbers so small that sums of products are exact in any dtype but the narrowest."""
    array = whole_numbers(rng, shape, "D" if np.dtype(dtype).kind == "c" else "d")
    if np.dtype(dtype).kind == "u":
        array = array.astype(np.int64)  # negative floats have no unsigned number of their own
    return array.astype(dtype)


def floats(rng, shape, dtype):
    """Normally distributed array of a floating-point dtype."""
    array = np.empty(shape, dtype)
    array.real = rng.standard_normal(shape)
    if array.dtype.kind == "c":
        array.imag = rng.standard_normal(shape)
    return array


def spread(rng, shape, dtype, exponents):
    """Normal numbers times powers of two with exponents from the range given."""
    array = floats(rng, shape, dtype)
    array.real = np.ldexp(array.real, rng.integers(*exponents, shape))
    if array.dtype.kind == "c":
        array.imag = np.ldexp(array.imag, rng.integers(*exponents, shape))
    return array


def mixed_scales(rng, shape, dtype):
    """Products from far below one to far above: 10**-300 to 10**300 for float64."""
    reach = min(500, int(0.48 * np.finfo(dtype).maxexp))
    return spread(rng, shape, dtype, (-reach, reach))


def underflowing(rng, shape, dtype):
    """Numbers whose products are about the smallest there are."""
    half = int(np.finfo(dtype).minexp) // 2
    return spread(rng, shape, dtype, (half - 12, half + 4))


def cancelling(rng, shape, dtype):
    """Large numbers that cancel but for their last bits."""
    array = floats(rng, shape, dtype) * np.finfo(dtype).eps.astype(dtype)
    sign = (-1) ** np.add.outer(np.arange(shape[0]), np.arange(shape[1]))
    return (array + sign.astype(dtype)).astype(dtype)


def always_rounding_up(rng, shape, dtype):
    """Squares of these are just above a tie: every rounding goes the same way."""
    eps = np.finfo(dtype).eps.astype(dtype)
    return (np.ones(shape, dtype) + eps * rng.integers(1, 4, shape).astype(dtype)).astype(dtype)


ADVERSARIES = (mixed_scales, underflowing, cancelling, always_rounding_up)


def numbers(rng, shape, dtype):
    """Numbers that show the order of the sums, if the dtype is one that can."""
    return (whole_numbers if np.dtype(dtype).kind in "iu" else floats)(rng, shape, dtype)


def same_bits(a, b):
    """Tell whether two arrays of numbers have one dtype, one shape and the same bits."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.char in "gG":  # has padding, which holds no value
        return np.array_equal(a, b)
    return a.tobytes() == b.tobytes()
