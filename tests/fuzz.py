"""
Random calls of all functions, each compared with a naive sum. A script: pytest does not collect it.

    python tests/fuzz.py --seconds 3600 --seed 1

A call is a function of (seed, index): dtypes, shapes, layouts, data, options and faults. Operands
hold whole numbers so small that a sum of products is exact in whatever order. So the result must be
exact where a sum was asked for, and of integers; elsewhere it must keep its error bound. An Inf or
a NaN must reach the outputs whose window holds it and no others. What is refused must be refused by
scipy too, with the same type of exception, unless README.md says otherwise.

For each failure it prints what was wrong, and the command that repeats it. The calls run in
processes of their own, so that one that ends its process is reported as well.
"""

import argparse
import faulthandler
import itertools
import math
import multiprocessing
import os
import pickle
import random
import sys
import threading
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the sums of the reference are small

import numpy as np
from cases import same_bits
from scipy import signal

import fastconv

# --- what calls are drawn from -------------------------------------------------------------------


class Draws:
    """Random numbers, given by a seed and an index."""

    def __init__(self, seed, index):
        self._random = random.Random(seed << 48 | index).random

    def integers(self, low, high):
        """Whole number from `low` to `high`, both included."""
        return low + int(self._random() * (high - low + 1))


class Bytes:
    """The same from a string of bytes, such as a fuzzer makes that follows coverage."""

    def __init__(self, data):
        self._data, self._at = data, 0

    def integers(self, low, high):
        size = -(-(high - low).bit_length() // 8)
        part = self._data[self._at : self._at + size]
        self._at += size
        return low + int.from_bytes(part, "little") % (high - low + 1)


def chance(draws, n):
    """Be true once in n times; never where the bytes have run out."""
    return draws.integers(1, n) == n


def pick(draws, choices):
    return choices[draws.integers(0, len(choices) - 1)]


def alike(a, b):
    """Whether two results have the same bits; which NaN a NaN is, is the compiler's choice."""
    if same_bits(a, b):
        return True
    return a.dtype == b.dtype and np.isnan(b).any() and np.array_equal(a, b, equal_nan=True)


def require(condition, *words):
    if not condition:
        raise AssertionError(" ".join(map(str, words)))


# --- operands ------------------------------------------------------------------------------------

_rng = np.random.default_rng(0)
SMALL = _rng.integers(-9, 9, 1 << 18, endpoint=True)
WIDE = _rng.integers(-(2**63), 2**63 - 1, 1 << 18, endpoint=True)
WIDE[_rng.random(WIDE.size) < 0.1] = -(2**63)

INTEGERS = "bBhHiIlLqQ"
PLANE_DTYPES = INTEGERS + "ffffddddgFFDDG"
METHODS = ("auto",) * 5 + ("direct",) * 3 + ("separable", "separable", "fft")
MODES = ("full", "same", "valid")
# One object each, as arrays made from one another have it.
SWAPPED = {char: np.dtype(char).newbyteorder() for char in PLANE_DTYPES + "?e"}
BOUNDARIES = ("fill", "wrap", "symm")
NOT_FINITE = (np.nan, np.inf, -np.inf)


# Valgrind computes long double as double, so there its sums are no better.
IS_LONG = np.longdouble(1) + np.finfo(np.longdouble).eps > 1
DRAWN_FOR = str.maketrans({} if IS_LONG else {"g": "d", "G": "D"})


def a_dtype(draws, chars=PLANE_DTYPES + "??ee"):
    return np.dtype(pick(draws, chars).translate(DRAWN_FOR))


def two_dtypes(draws, chars=PLANE_DTYPES + "??ee"):
    first = a_dtype(draws, chars)
    return first, (first if chance(draws, 2) else a_dtype(draws, chars))


def numbers(draws, shape, dtype, wide=False, outer=False):
    """Array of whole numbers: any at all if `wide`; an outer product if `outer`, or by chance."""
    n = math.prod(shape)
    pool = WIDE if wide else SMALL
    kind = draws.integers(0, 15)

    def some(count):
        start = draws.integers(0, pool.size - count)
        return pool[start : start + count]

    if len(shape) == 2 and (outer or kind >= 13):
        flat = np.multiply.outer(some(shape[0]), some(shape[1]))
    elif kind == 12:
        flat = some(n) * (some(n) > 0)
    elif kind == 11:
        flat = np.full(n, some(1)[0])
    else:
        flat = some(n)
    if dtype.kind == "b":
        flat = flat & 1
    elif dtype.kind == "u" and not wide:
        flat = abs(flat)
    array = flat.reshape(shape).astype(dtype)
    if dtype.kind == "c" and kind & 3:
        array.imag = some(n).reshape(shape)
    if dtype.kind in "fc" and n and chance(draws, 24):
        for _ in range(draws.integers(1, 3)):
            part = array.imag if dtype.kind == "c" and chance(draws, 2) else array.real
            part[np.unravel_index(draws.integers(0, n - 1), shape)] = pick(draws, NOT_FINITE)
    return array


def some_steps(draws, ndim):
    """Slices with steps of -3 to 3."""
    return tuple(slice(None, None, pick(draws, (1, 2, 3, -1, -2, -3))) for _ in range(ndim))


def room_for(draws, shape, dtype):
    """Array of a shape as a view of a larger block, of any strides and alignment; and the block."""
    steps = some_steps(draws, len(shape))
    outer = [n * abs(s.step) for n, s in zip(shape, steps, strict=True)]
    order = list(range(len(shape)))
    if chance(draws, 3):
        order.reverse()
    shift = draws.integers(0, 15) if chance(draws, 3) else 0
    block = np.full((math.prod(outer) + 2) * dtype.itemsize + 16, 0xA5, np.uint8)
    start = dtype.itemsize + shift
    view = block[start : start + math.prod(outer) * dtype.itemsize].view(dtype)
    view = view.reshape([outer[i] for i in order]).transpose(order)
    return view[steps], block


def laid_out(draws, array):
    """The same numbers, or where an axis is repeated some of them, in memory in any other way."""
    way = draws.integers(0, 15)
    if way < 8 or array.ndim == 0:
        return array
    if way == 8:
        array = np.asfortranarray(array)
    elif way == 9:
        array = array.astype(SWAPPED[array.dtype.char])
    elif way == 10 and array.size:
        axis = draws.integers(0, array.ndim - 1)
        one = array[(slice(None),) * axis + (slice(0, 1),)]
        array = np.broadcast_to(one, array.shape)
    elif way == 11 and array.size and array.dtype.char in "?ldD":
        return array.tolist()
    else:
        dtype = SWAPPED[array.dtype.char] if chance(draws, 6) else array.dtype
        view, _ = room_for(draws, array.shape, dtype)
        view[...] = array
        array = view
    if chance(draws, 4):
        array.flags.writeable = False
    return array


# --- shapes --------------------------------------------------------------------------------------


def a_length(draws, most=12):
    return 1 + draws.integers(0, most - 1) if draws.integers(0, 63) else 0


def plane_shapes(draws):
    """Shapes of image and kernel: most often tiny."""
    size = draws.integers(0, 1023)
    if size < 3:
        shapes = [draws.integers(50, 200) for _ in "yx"], [draws.integers(1, 24) for _ in "yx"]
    elif size < 9:
        shapes = [1, draws.integers(100, 6000)], [1, draws.integers(1, 500)]
        if chance(draws, 2):
            shapes = shapes[0][::-1], shapes[1][::-1]
        if chance(draws, 3):
            shapes[0][shapes[0].index(1)] = draws.integers(1, 3)
    elif size < 60:
        shapes = [a_length(draws, 50) for _ in "yx"], [a_length(draws, 9) for _ in "yx"]
    else:
        shapes = (
            [a_length(draws) for _ in "yx"],
            [a_length(draws, pick(draws, (3, 5, 12))) for _ in "yx"],
        )
    return tuple(shapes[0]), tuple(shapes[1])


def sorted_shapes(draws, mode, first, second):
    """Shapes of which one holds the other, most of the times where the mode needs it."""
    if mode != "valid" or not first or not draws.integers(0, 7):
        return first, second
    pairs = [sorted(pair) for pair in zip(first, second, strict=True)]
    small, large = (tuple(side) for side in zip(*pairs, strict=True))
    return (small, large) if chance(draws, 4) else (large, small)


# --- the reference -------------------------------------------------------------------------------


class Expected:
    """What a result must be.

    `values` are the exact sums. `spoilt` tells which of them an Inf or a NaN has a part in, None
    if there is none, and `perhaps` where zeros around an operand that holds one may bring it.
    `sizes` computes the sums of the sizes of the products, `norms` bounds the product of the norms
    that the error of a transform is a part of, and `terms` the products of a sum.
    """

    def __init__(self, values, spoilt=None, perhaps=False, sizes=None, norms=None, terms=0):
        self.values, self.spoilt, self.perhaps = values, spoilt, perhaps
        self.sizes, self.norms, self.terms = sizes, norms, terms


def plain(array):
    """Operand as int64, float64 or complex128; whether its elements are finite, if not all are."""
    array = np.asarray(array)
    if array.dtype.kind in "biu":
        return array.astype(np.int64), None
    array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    # A sum takes less time than a look at each; no numbers here can overflow.
    if math.isfinite(abs(array.sum())):
        return array, None
    bad = ~np.isfinite(array)
    array[bad] = 0
    return array, bad.astype(np.int64)


def windows_dot(extended, kernel):
    """Sums of kernel times window, at all places of the window."""
    (height, width), (kh, kw) = extended.shape, kernel.shape
    shape = height - kh + 1, width - kw + 1
    if 0 in shape:
        return np.zeros(shape, np.result_type(extended, kernel))
    if math.prod(shape) * kernel.size < 50000:
        a = np.ascontiguousarray(extended)
        windows = np.ndarray((*shape, kh, kw), a.dtype, a, 0, a.strides * 2)
        return (windows.reshape(-1, kernel.size) @ kernel.reshape(-1)).reshape(shape)
    y = np.zeros(shape, np.result_type(extended, kernel))
    for i, j in itertools.product(range(kh), range(kw)):
        y += extended[i : i + shape[0], j : j + shape[1]] * kernel[i, j]
    return y


def extended(image, starts, lengths, boundary, fill):
    """Part of an image that is extended over the whole plane."""
    (h, w), (sy, sx), (ly, lx) = image.shape, starts, lengths
    if boundary != "fill" and image.size:
        rows, columns = np.arange(sy, sy + ly), np.arange(sx, sx + lx)
        if boundary == "wrap":
            return image[np.ix_(rows % h, columns % w)]
        rows, columns = rows % (2 * h), columns % (2 * w)
        return image[
            np.ix_(np.minimum(rows, 2 * h - 1 - rows), np.minimum(columns, 2 * w - 1 - columns))
        ]
    y = np.full((ly, lx), fill, np.result_type(image, fill))
    top, left = max(0, -sy), max(0, -sx)
    part = image[max(0, sy) : sy + ly, max(0, sx) : sx + lx]
    y[top : top + part.shape[0], left : left + part.shape[1]] = part
    return y


class Plane:
    """One call of convolve2d or correlate2d, of operands that are not empty."""

    def __init__(self, correlate, image_shape, kernel_shape, mode, boundary):
        self.correlate, self.boundary = correlate, boundary
        self.swapped = mode == "valid" and any(
            n < m for n, m in zip(image_shape, kernel_shape, strict=True)
        )
        if self.swapped:
            image_shape, kernel_shape = kernel_shape, image_shape
        self.starts, self.lengths = [], []
        for n, m in zip(image_shape, kernel_shape, strict=True):
            same = -((m - 1) // 2) if correlate else -(m // 2)
            self.starts.append({"full": 1 - m, "same": same, "valid": 0}[mode])
            outputs = {"full": n + m - 1, "same": n, "valid": n - m + 1}[mode]
            self.lengths.append(outputs + m - 1)

    def extended(self, image, fill):
        return extended(image, self.starts, self.lengths, self.boundary, fill)

    def sums(self, image, kernel, fill):
        if self.swapped:
            image, kernel = kernel, image
        kernel = kernel.conj() if self.correlate else kernel[::-1, ::-1]
        y = windows_dot(self.extended(image, fill), kernel)
        return y.conj()[::-1, ::-1] if self.swapped and self.correlate else y


def plane_expected(correlate, image, kernel, mode, boundary, fill):
    """The defining sum in two dimensions, in which what lies around the image is multiplied."""
    x, bad_x = plain(image)
    k, bad_k = plain(kernel)
    f, bad_f = plain(fill)
    plane = Plane(correlate, x.shape, k.shape, mode, boundary)
    if (x if plane.swapped else k).size == 0:
        return Expected(None)
    values = plane.sums(x, k, f[()])
    spoilt = None
    if bad_x is not None or bad_f is not None:
        bad = np.zeros(x.shape, np.int64) if bad_x is None else bad_x
        spoilt = plane.sums(bad, np.ones(k.shape, np.int64), int(bad_f is not None)) > 0
    if bad_k is not None:
        its = plane.sums(np.ones(x.shape, np.int64), bad_k, 1) > 0
        spoilt = its if spoilt is None else spoilt | its

    def sizes():
        return plane.sums(abs(x), abs(k), abs(f[()]))

    def norms():
        # A tile may read more of the image than its outputs need.
        large, small = (k, x) if plane.swapped else (x, k)
        tile = np.linalg.norm(plane.extended(large, f[()])) + np.linalg.norm(large)
        return tile * np.linalg.norm(small)

    return Expected(values, spoilt, False, sizes, norms, min(x.size, k.size))


def full_sums(a, b, paired):
    """The full convolution along all axes but those that are paired, as it is defined."""
    if a.ndim == 1 and not paired:
        return np.convolve(a, b)
    if a.ndim == 2 and not paired:
        if b.size > a.size:
            a, b = b, a
        (h, w), (kh, kw) = a.shape, b.shape
        lengths = h + 2 * kh - 2, w + 2 * kw - 2
        return windows_dot(extended(a, (1 - kh, 1 - kw), lengths, "fill", 0), b[::-1, ::-1])
    taps = [1 if i in paired else m for i, m in enumerate(b.shape)]
    shape = [
        max(n, m) if i in paired else n + m - 1
        for i, (n, m) in enumerate(zip(a.shape, b.shape, strict=True))
    ]
    y = np.zeros(shape, np.result_type(a, b))
    for place in itertools.product(*map(range, taps)):
        outputs, ones = [], []
        for i, (p, n) in enumerate(zip(place, a.shape, strict=True)):
            outputs.append(slice(None) if i in paired else slice(p, p + n))
            ones.append(slice(None) if i in paired else slice(p, p + 1))
        y[tuple(outputs)] += a * b[tuple(ones)]
    return y


def cropped(full, a_shape, b_shape, mode, paired):
    """Part of the full convolution that a mode asks for."""
    if mode == "full":
        return full
    parts = []
    for i, (f, n, m) in enumerate(zip(full.shape, a_shape, b_shape, strict=True)):
        if mode == "same":
            parts.append(slice((f - n) // 2, (f - n) // 2 + n))
        else:
            parts.append(slice(None) if i in paired else slice(min(n, m) - 1, max(n, m)))
    return full[tuple(parts)]


def nd_expected(a, b, mode, paired=(), reverse=False):
    """The convolution of any dimension, or with `reverse` the correlation."""
    a, bad_a = plain(a)
    b, bad_b = plain(b)
    if not (a.size and b.size):
        return Expected(None)
    if reverse:
        turn = (slice(None, None, -1),) * b.ndim
        b = b[turn].conj()
        bad_b = bad_b if bad_b is None else bad_b[turn]

    def sums(x, k):
        return cropped(full_sums(x, k, paired), a.shape, b.shape, mode, paired)

    spoilt = None
    if bad_a is not None:
        spoilt = sums(bad_a, np.ones(b.shape, np.int64)) > 0
    if bad_b is not None:
        its = sums(np.ones(a.shape, np.int64), bad_b) > 0
        spoilt = its if spoilt is None else spoilt | its

    def norms():
        return np.linalg.norm(a.ravel()) * np.linalg.norm(b.ravel()) * (2 if paired else 1)

    values = sums(a, b)
    # Zeros around the other are multiplied, in more than one dimension.
    kernel = bad_a if mode == "full" and b.size > a.size else bad_b
    perhaps = a.ndim > 1 and kernel is not None
    return Expected(
        values, spoilt, perhaps, lambda: sums(abs(a), abs(b)), norms, min(a.size, b.size)
    )


# --- judgement -----------------------------------------------------------------------------------

# No tile of any problem here has so many points: 2**LOG_POINTS. C is of docs/accuracy.md.
LOG_POINTS, C = 24, 32


def judge(y, expected, dtype, allowed):
    """Check a result. `allowed` is the error that is: 'none', 'sum', 'steps' or 'transform'."""
    require(y.dtype == dtype, "dtype", y.dtype, "not", dtype)
    if expected.values is None:
        require(not y.any(), "not zero, of empty operands")
        return
    exact = expected.values
    require(y.shape == exact.shape, "shape", y.shape, "not", exact.shape)
    if dtype.kind == "b":
        exact = exact != 0
    in_dtype = exact.astype(dtype)
    spoilt = expected.spoilt
    if spoilt is not None:
        finite = np.isfinite(y)
        require(not (finite & spoilt).any(), "an Inf or a NaN has not reached all its outputs")
        if not expected.perhaps:
            beside = ~finite & ~spoilt & np.isfinite(in_dtype)  # float16 may overflow
            require(not beside.any(), "an Inf or a NaN has reached others than its outputs")
        y, exact, in_dtype = y[finite], exact[finite], in_dtype[finite]
    if np.array_equal(y, in_dtype):
        return
    word = np.dtype(np.float32) if dtype.char == "e" else dtype
    if dtype.kind in "biu" or (
        allowed == "none" and expected.sizes().max() < 2 / float(np.finfo(word).eps)
    ):
        place = np.argwhere(y != in_dtype)[0]
        raise AssertionError(
            f"{y[tuple(place)]}, not {in_dtype[tuple(place)]}, at {place.tolist()}"
        )
    u = float(np.finfo(word).eps) / 2
    # Parts of complex outputs are sums of 2 n products; and kh + kw + 7 is at most kh kw + 8.
    terms = 2 * expected.terms + 8 * (allowed == "steps")
    bound = terms * u * expected.sizes()
    if spoilt is not None:
        bound = bound[finite]
    if allowed == "transform":
        bound = np.maximum(bound, (C * LOG_POINTS + terms) * u * expected.norms())
    if dtype.char == "e":
        # And is Inf from 65520 on, or near it.
        bound = np.where(abs(exact) < 65000, bound + 2.0**-11 * abs(exact), np.inf)
    wide = np.clongdouble if dtype.kind == "c" else np.longdouble
    errors = abs(y.astype(wide) - exact)
    if not (errors <= bound).all():
        raise AssertionError(f"off by {(errors / np.maximum(bound, 1e-300)).max():.3g} bounds")


# --- calls ---------------------------------------------------------------------------------------


class Case:
    """One call."""

    theirs = None  # the same by scipy, where there is such a call
    several = None  # shape of a stack, and a function from a place in it to image and kernel
    moved = None  # axes of rows and columns in the result of a stack
    told = None  # what explain or error_bound tells of the call

    def refusable(self, error):
        """Whether an exception is right that scipy does not raise."""
        return False

    def __init__(self, name, operands, arguments, ours):
        self.name, self.operands, self.arguments, self.ours = name, operands, arguments, ours

    def __str__(self):
        operands = ", ".join(map(described, self.operands))
        return f"{self.name}({operands}, {', '.join(map(repr, self.arguments))})"


def described(operand):
    if not isinstance(operand, np.ndarray):
        return repr(operand)
    layout = "" if operand.flags.c_contiguous else f" strides {operand.strides}"
    return f"<{operand.dtype.str} {operand.shape}{layout}>"


FILLS = (1, -2, 3, 7, np.float64(4), np.array([5]), np.array(2.0), [[6]], True, 1 - 2j)
FILLS += (*NOT_FINITE, complex(np.nan, 1), None, 300, -1, "a", [], [1, 2], np.int64(3))


def operands_of(draws, shapes, dtypes, wide, outer=False):
    operands = [
        laid_out(draws, numbers(draws, shapes[0], dtypes[0], wide)),
        laid_out(draws, numbers(draws, shapes[1], dtypes[1], wide, outer)),
    ]
    if chance(draws, 40):
        operands[1] = operands[0]
    return operands


def is_rank_one(operand):
    """Whether a matrix of integers is an outer product."""
    kernel = np.asarray(operand)
    if kernel.dtype.kind == "c" or not np.isfinite(kernel).all():
        return False
    if kernel.size == 0:
        return True
    kernel = kernel.astype(object)
    y, x = np.unravel_index(np.argmax(kernel != 0), kernel.shape)
    products = np.multiply.outer(kernel[:, x], kernel[y])
    return bool((products == kernel * kernel[y, x]).all())


def plane_case(draws):
    """convolve2d or correlate2d: one image, a stack of them, or a plan."""
    name = pick(draws, ("convolve2d", "correlate2d"))
    mode, boundary = pick(draws, MODES), pick(draws, BOUNDARIES)
    fill = pick(draws, FILLS) if chance(draws, 4) else 0
    method = pick(draws, METHODS)
    shapes = sorted_shapes(draws, mode, *plane_shapes(draws))
    dtypes = two_dtypes(draws, PLANE_DTYPES if draws.integers(0, 31) else "?eOUM" + PLANE_DTYPES)
    if any(dtype.char in "OUM" for dtype in dtypes):
        shapes = (2, 3), (2, 2)
    faulty = draws.integers(0, 255)
    if faulty == 1:
        mode = pick(draws, ("x", None, 0, b"full"))
    elif faulty == 2:
        boundary = pick(draws, ("x", "reflect", None, 0))
    elif faulty == 3:
        shapes = shapes[0], shapes[1][:1]
    elif faulty == 4:
        shapes = (2, *shapes[0]), shapes[1]
    elif boundary != "fill" and not draws.integers(0, 15):
        boundary = {"wrap": "circular", "symm": "symmetric"}[boundary]
    supported = all(dtype.char in PLANE_DTYPES for dtype in dtypes)
    wide = supported and np.result_type(*dtypes).kind in "iu" and chance(draws, 2)
    if supported and faulty not in (1, 2, 3, 4):
        special = draws.integers(0, 19)
        if special == 19:
            return stack_case(draws, name, shapes, dtypes, wide, mode, boundary, fill, method)
        if special == 18:
            if method == "auto" and chance(draws, 2):
                method = "fast"
            return plan_case(draws, name, shapes, dtypes, wide, mode, boundary, fill, method)
    if supported:
        operands = operands_of(draws, shapes, dtypes, wide, method == "separable")
    else:
        operands = [
            np.ones(shape, dtype) if dtype.char in "?eO" else np.zeros(shape, dtype)
            for shape, dtype in zip(shapes, dtypes, strict=True)
        ]
    arguments = mode, boundary, fill

    def ours(operands, **kwargs):
        return getattr(fastconv, name)(*operands, *arguments, method=method, **kwargs)

    case = Case(name, operands, (*arguments, f"method={method}"), ours)
    for_plane(case, method, *operands)
    if draws.integers(0, 63) == 1:
        case.told = lambda tell: tell(*operands, *arguments, function=name, method=method)
    return case


NAMES = {"circular": "wrap", "symmetric": "symm", "pad": "fill"}
ALLOWED = {"auto": "sum", "direct": "none", "separable": "steps", "fft": "transform"}
ALLOWED["fast"] = "transform"


def for_plane(case, method, image, kernel):
    """Fill in what is expected of one image."""
    mode, boundary, fill = case.arguments[:3]
    name, case.method, case.allowed = case.name, method, ALLOWED[method]
    image_shape = np.shape(image)
    empty = 0 in image_shape and boundary not in ("fill", "pad")
    if not empty:  # scipy would divide by zero, and end the process
        case.theirs = lambda: getattr(signal, name)(image, kernel, mode, boundary, fill)

    def refusable(error):
        if empty or method != "separable":
            return empty and type(error) is ValueError
        # Exchanged, the image is the kernel.
        exchanged = mode == "valid" and np.size(image) < np.size(kernel)
        return not is_rank_one(image if exchanged else kernel)

    def expected():
        around = NAMES.get(boundary, boundary)
        value = np.int64(0)
        if around == "fill":
            value = np.asarray(fill).astype(case.dtype()).reshape(-1)[0]
        return plane_expected(name == "correlate2d", image, kernel, mode, around, value)

    case.refusable = refusable
    case.dtype = lambda: np.result_type(np.asarray(image), np.asarray(kernel))
    case.expected = expected


def plan_case(draws, name, shapes, dtypes, wide, mode, boundary, fill, method):
    """A plan, called with one image or with a stack."""
    kernel = laid_out(draws, numbers(draws, shapes[1], dtypes[1], wide, method == "separable"))
    leading = pick(draws, ((), (), (1,), (3,), (2, 2), (0,)))
    image = laid_out(draws, numbers(draws, leading + shapes[0], dtypes[0], wide))
    if not isinstance(image, np.ndarray) or not image.dtype.isnative:
        image = np.array(image, dtypes[0])
    pickled = chance(draws, 16)

    def ours(operands, **kwargs):
        image, kernel = operands
        plan = fastconv.plan(
            kernel,
            shapes[0],
            dtypes[0],
            mode=mode,
            boundary=boundary,
            fillvalue=fill,
            method=method,
            correlate=name == "correlate2d",
        )
        if pickled:
            plan = pickle.loads(pickle.dumps(plan))
        return plan(image, **kwargs)

    case = Case(name, [image, kernel], (mode, boundary, fill, f"plan, method={method}"), ours)
    first = image[(0,) * len(leading)] if 0 not in leading else np.zeros(shapes[0], dtypes[0])
    for_plane(case, method, first, kernel)
    case.several = leading, lambda place: (image[place], kernel)
    case.moved = (-2, -1)
    return case


def stack_case(draws, name, shapes, dtypes, wide, mode, boundary, fill, method):
    """Stacks of images, of kernels or of both, along any axes."""
    leading = pick(draws, ((), (1,), (2,), (3,), (2, 2), (1, 3), (0,)))
    others = tuple(n if chance(draws, 2) else 1 for n in leading) if chance(draws, 2) else ()
    if chance(draws, 2):
        leading, others = others, leading
    ndim = 2 + max(len(leading), len(others))
    y, x = draws.integers(0, ndim - 1), draws.integers(0, ndim - 2)
    x += x >= y
    stacks, operands = [], []
    for lead, shape, dtype in zip((leading, others), shapes, dtypes, strict=True):
        outer = method == "separable" and bool(operands) and not lead
        stack = numbers(draws, lead + shape, dtype, wide, outer)
        if lead:
            stack = np.moveaxis(stack, (-2, -1), (y, x))
        elif y > x:
            stack = stack.T
        stack = laid_out(draws, stack)
        operands.append(stack)
        stack = np.asarray(stack)
        stacks.append(np.moveaxis(stack, (y, x), (-2, -1)) if lead else stack.T if y > x else stack)
    axes = (y, x) if chance(draws, 2) else (y - ndim, x - ndim)

    def ours(operands, **kwargs):
        return getattr(fastconv, name)(
            *operands, mode, boundary, fill, axes=axes, method=method, **kwargs
        )

    arguments = mode, boundary, fill, f"axes={axes}, method={method}"
    case = Case(name, operands, arguments, ours)
    shape = np.broadcast_shapes(leading, others)
    whole = [np.broadcast_to(s, shape + s.shape[-2:]) for s in stacks]
    first = (0,) * len(shape)
    one = [w[first] if 0 not in shape else np.zeros(w.shape[-2:], w.dtype) for w in whole]
    for_plane(case, method, *one)
    case.several = shape, lambda place: (whole[0][place], whole[1][place])
    case.moved = (y, x)
    if draws.integers(0, 15) == 1:
        kwargs = {"axes": axes, "method": method}
        case.told = lambda tell: tell(*operands, mode, boundary, fill, function=name, **kwargs)
    return case


def nd_shapes(draws, ndim):
    if ndim == 1:
        size = draws.integers(0, 255)
        if size == 0:
            return (draws.integers(100, 6000),), (draws.integers(1, 900),)
        if size < 20:
            return (a_length(draws, 300),), (a_length(draws, 60),)
        return (a_length(draws, 40),), (a_length(draws, pick(draws, (4, 40))),)
    if ndim == 2:
        return plane_shapes(draws)
    if ndim == 3 and not draws.integers(0, 255):
        return tuple(draws.integers(10, 20) for _ in "zyx"), tuple(
            draws.integers(3, 9) for _ in "zyx"
        )
    most = (0, 0, 0, 6, 4)[ndim]
    return tuple(a_length(draws, most) for _ in range(ndim)), tuple(
        a_length(draws, most - 1) for _ in range(ndim)
    )


def nd_case(draws):
    """convolve, correlate, fftconvolve or oaconvolve."""
    name = pick(draws, ("convolve", "correlate", "fftconvolve", "oaconvolve"))
    mode = pick(draws, MODES)
    in_float = name.endswith("aconvolve") or name.startswith("fft")
    ndim = pick(draws, (1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4)) if draws.integers(0, 31) else 0
    first, second = nd_shapes(draws, ndim) if ndim else ((), ())
    paired, axes = (), None
    if in_float and ndim and chance(draws, 2):
        summed = [i for i in range(ndim) if chance(draws, 2)] or [draws.integers(0, ndim - 1)]
        paired = tuple(i for i in range(ndim) if i not in summed)
        axes = [i - ndim if chance(draws, 2) else i for i in summed]
        lengths = [list(first), list(second)]
        for i in paired:
            if math.prod(first) > 5000:
                lengths[0][i] = 1
            lengths[1][i] = lengths[0][i]
            if chance(draws, 3):
                lengths[draws.integers(0, 1)][i] = 1
        first, second = map(tuple, lengths)
        if len(axes) == 1 and chance(draws, 2):
            axes = axes[0]
    first, second = sorted_shapes(draws, mode, first, second)
    dtypes = two_dtypes(draws)
    faulty = draws.integers(0, 255)
    method = pick(draws, ("auto", "auto", "auto", "direct", "direct", "fft"))
    if faulty == 1:
        mode = pick(draws, ("x", None, 0))
    elif faulty == 2:
        method = pick(draws, ("x", None, "separable"))
    elif faulty == 3:
        axes = pick(draws, ([0, 0], 5, [], 1.5, [[0]], "x", -9))
    elif faulty == 4:
        second = (*second, 1)
    wide = not in_float and np.result_type(*dtypes).kind in "iu" and chance(draws, 2)
    operands = operands_of(draws, (first, second), dtypes, wide)
    arguments = (mode, axes) if in_float else (mode, method)

    def ours(operands, **kwargs):
        return getattr(fastconv, name)(*operands, *arguments, **kwargs)

    case = Case(name, operands, arguments, ours)
    a, b = map(np.asarray, operands)
    case.theirs = lambda: getattr(signal, name)(*operands, *arguments)
    case.expected = lambda: nd_expected(a, b, mode, paired, name == "correlate")
    case.allowed = "transform" if in_float or method != "direct" else "none"

    def dtype():
        if in_float and not (a.size and b.size):
            return np.dtype(np.float64)
        product = np.result_type(a, b)
        if not in_float or not any(
            1 not in (n, m)
            for i, (n, m) in enumerate(zip(a.shape, b.shape, strict=True))
            if i not in paired
        ):
            return product
        its = [np.result_type(c, np.float32) if c.dtype.char == "e" else c for c in (a, b)]
        its = [np.float64 if np.result_type(c).kind in "biu" else np.result_type(c) for c in its]
        return np.result_type(*its)

    def refusable(error):
        # README: empty inputs are refused, whatever scipy does.
        return not in_float and not (a.size and b.size) and type(error) is ValueError

    case.dtype, case.refusable = dtype, refusable
    if draws.integers(0, 63) == 1:
        kwargs = {"axes": axes} if in_float else {"method": method}
        case.told = lambda tell: tell(*operands, mode, function=name, **kwargs)
    return case


def sepfir_case(draws):
    """sepfir2d."""
    dtypes = [a_dtype(draws, "ffffddddFFDDeg?bBhHiIlLqQG")]
    dtypes += [a_dtype(draws, "ffffddddFD") if chance(draws, 4) else dtypes[0] for _ in "rc"]
    dtypes = [dtypes[0], *(d if d.kind in "fc" else np.dtype("f") for d in dtypes[1:])]
    shapes = [plane_shapes(draws)[0]]
    for _ in "rc":
        shapes.append((2 * draws.integers(0, 7) + 1 if draws.integers(0, 31) else 4,))
    operands = [
        laid_out(draws, numbers(draws, shape, dtype))
        for shape, dtype in zip(shapes, dtypes, strict=True)
    ]

    def ours(operands, **kwargs):
        return fastconv.sepfir2d(*operands, **kwargs)

    case = Case("sepfir2d", operands, (), ours)
    image, row, column = map(np.asarray, operands)
    lengths = ((row, image.shape[1]), (column, image.shape[0]))
    if all(taps.size <= n for taps, n in lengths):  # else it reads out of bounds
        case.theirs = lambda: signal.sepfir2d(*operands)
    large = np.zeros((32, 32), image.dtype)
    case.refusable = lambda error: (
        type(error) is type(outcome(lambda: signal.sepfir2d(large, *operands[1:])))
    )
    case.dtype = lambda: np.result_type(image, np.float32)
    case.allowed = "none"

    def expected():
        bad = [
            t.astype(np.complex128 if t.dtype.kind == "c" else np.float64) for t in (column, row)
        ]
        return plane_expected(False, image, np.multiply.outer(*bad), "same", "symm", np.int64(0))

    case.expected = expected
    return case


def check_questions(draws):
    """choose_conv_method and correlation_lags."""
    mode = pick(draws, MODES)
    n, m = draws.integers(1, 40), draws.integers(1, 40)
    lags = fastconv.correlation_lags(n, m, mode)
    full = np.arange(1 - m, n)
    require(np.array_equal(lags, cropped(full, (n,), (m,), mode, ())), "lags", n, m, mode)
    shapes = plane_shapes(draws)
    operands = operands_of(draws, shapes, two_dtypes(draws), False)
    answer = fastconv.choose_conv_method(*operands, mode)
    require(answer in ("direct", "fft"), "choose_conv_method:", answer)


# --- one call ------------------------------------------------------------------------------------

THREADS = (None, None, None, None, 1, 1, 2, 3, 4, -1)
FAULTS = (
    ({"workers": 0}, (ValueError,)),
    ({"workers": -(10**6)}, (ValueError,)),
    ({"workers": 1.5}, (TypeError,)),
    ({"workers": "2"}, (TypeError,)),
    ({"out": [1]}, (TypeError,)),
)


def outcome(call):
    try:
        return call()
    except Exception as error:
        return error


def images_of(case):
    """Yield the places of a stack, and the call of one image that each is."""
    if case.several is None:
        return
    shape, operands_at = case.several
    for place in np.ndindex(shape):
        one = Case(case.name, [], case.arguments, None)
        for_plane(one, case.method, *operands_at(place))
        yield place, one


def an_out(draws, case, y):
    """Array to write a result like y to, what else must stay as it is, and the operands."""
    way = draws.integers(0, 5)
    operands, first = case.operands, case.operands[0]
    if way == 0:
        return np.full_like(y, 77, order="C"), None, operands
    if way < 4 or not isinstance(first, np.ndarray) or first.dtype != y.dtype:
        out, block = room_for(draws, y.shape, y.dtype)
        return out, block, operands
    # The operand and the result share memory.
    memory = np.zeros(first.size + y.size + 8, y.dtype)
    start = draws.integers(0, memory.size - y.size)
    theirs = draws.integers(0, memory.size - first.size)
    shared = memory[theirs : theirs + first.size].reshape(first.shape)
    out = memory[start : start + y.size].reshape(y.shape)
    if chance(draws, 3):
        turn = tuple(slice(None, None, -1) for _ in y.shape)
        out = out[turn]
    shared[...] = first
    return out, None, [shared, *operands[1:]]


def check_refusal(case, error):
    """An exception must be one that is due, scipy's, or one that README.md tells of."""
    if case.theirs is not None:
        theirs = outcome(case.theirs)
        # scipy makes an Inf an integer before it looks at modes.
        if type(theirs) in (type(error), OverflowError):
            return
    else:
        theirs = "not asked"
    if any(one.refusable(error) for one in (case, *(one for _, one in images_of(case)))):
        return
    if any(np.asarray(operand).dtype.char == "e" for operand in case.operands):
        return  # scipy has other words for each dtype and size
    raise AssertionError(f"{type(error).__name__}: {error}; scipy: {theirs!r:.200}") from error


def check_beside(draws, case, y):
    """What scipy says of the call: dtype and shape, or a refusal that README.md tells of."""
    theirs = outcome(case.theirs)
    if isinstance(theirs, Exception):
        arrays = [np.asarray(a) for a in case.operands]
        known = (
            any(a.dtype.char == "e" or a.size == 0 for a in arrays)
            or any(not np.isfinite(a).all() for a in arrays)
            or all(a.dtype.kind == "b" for a in arrays)
        )
        require(known, "scipy refuses it:", repr(theirs))
        return
    theirs = np.asarray(theirs)
    require(theirs.dtype == y.dtype, "dtype", y.dtype, "scipy's", theirs.dtype)
    require(theirs.shape == y.shape, "shape", y.shape, "scipy's", theirs.shape)


def call_once(draws):
    """Draw a call, make it and check it; return a description."""
    family = draws.integers(0, 127)
    if family == 127:
        check_questions(draws)
        return "questions"
    case = (plane_case if family < 64 else nd_case if family < 116 else sepfir_case)(draws)
    try:
        check(draws, case)
    except Exception as error:
        error.add_note(str(case))
        raise
    return case


def check(draws, case):
    workers = pick(draws, THREADS)
    before = [np.array(operand) for operand in case.operands] if chance(draws, 8) else []
    y = outcome(lambda: case.ours(case.operands, workers=workers))
    for operand, its in zip(case.operands, before, strict=False):
        require(alike(np.array(operand), its), "an operand was written to")
    if isinstance(y, Exception):
        check_refusal(case, y)
        if case.told is not None:
            for tell in (fastconv.explain, fastconv.error_bound):
                other = outcome(lambda tell=tell: case.told(tell))
                require(type(other) is type(y), tell, "does not refuse it:", repr(other)[:200])
        return
    dtype = case.dtype()
    require(isinstance(y, np.ndarray | np.generic), "a", type(y))
    if case.several is not None:
        result = np.moveaxis(y, case.moved, (-2, -1))
        require(result.shape[:-2] == case.several[0], "stack of shape", y.shape)
        for place, one in images_of(case):
            judge(result[place], one.expected(), dtype, case.allowed)
    else:
        judge(y, case.expected(), dtype, case.allowed)

    more = draws.integers(0, 31)
    if more < 4 and isinstance(y, np.ndarray):
        out, block, operands = an_out(draws, case, y)
        sentinels = out.copy()
        returned = case.ours(operands, out=out, workers=pick(draws, THREADS))
        require(returned is out, "out is not what is returned")
        require(alike(np.array(out), y), "another result in out")
        if block is not None:
            out[...] = sentinels
            require((block == 0xA5).all(), "something was written beside out")
    elif more == 4:
        kwargs, due = pick(draws, FAULTS)
        other = outcome(lambda: case.ours(case.operands, **kwargs))
        empty = y.size == 0 or 0 in (np.size(operand) for operand in case.operands)
        require(empty or type(other) in due, kwargs, "was not refused:", repr(other)[:200])
    elif more == 5 and y.size and y.ndim:
        for out, due in wrong_outs(y):
            other = outcome(lambda out=out: case.ours(case.operands, out=out))
            require(type(other) is due, "a wrong out was not refused:", repr(other)[:200])
    elif more == 6 and case.theirs and case.several is None and y.size < 5000:
        check_beside(draws, case, y)
    elif more < 9:
        operands = [
            operand if isinstance(operand, list) else native(operand) for operand in case.operands
        ]
        other = case.ours(operands, workers=pick(draws, THREADS))
        require(alike(np.asarray(other), np.asarray(y)), "not the same bits done again")
    if case.told is not None:
        check_told(case, y)


def check_told(case, y):
    """What is told of a call: that it can be done, and a bound that no error exceeds."""
    str(case.told(fastconv.explain))
    if any(np.asarray(operand).dtype.kind not in "biufc" for operand in case.operands):
        return
    bound = case.told(fastconv.error_bound)
    require(bound.shape == np.shape(y), "a bound of shape", bound.shape)
    if case.several is None:
        check_bound(bound, y, case.expected())
        return
    bounds, result = (np.moveaxis(array, case.moved, (-2, -1)) for array in (bound, y))
    for place, one in images_of(case):
        check_bound(bounds[place], result[place], one.expected())


def check_bound(bound, y, expected):
    """Hold a result against the bound of each output."""
    if expected.values is None:
        return
    exact = expected.values
    if y.dtype.kind in "biu":
        require(not bound.any(), "a bound of integers that is not zero")
        return
    wide = np.clongdouble if y.dtype.kind == "c" else np.longdouble
    errors = np.asarray(y.astype(wide) - exact)
    beyond = np.maximum(abs(errors.real), abs(errors.imag)) > bound
    if expected.spoilt is not None:
        beyond &= np.isfinite(y)
    require(not beyond.any(), "an error above its bound at", np.argwhere(beyond)[:1].tolist())
    if expected.spoilt is None and y.dtype.char != "e":
        require(np.isfinite(bound).all(), "no bound where nothing overflows")


def native(array):
    """The same numbers in the plainest layout."""
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def wrong_outs(y):
    """Arrays that y cannot be written to, and what is due."""
    other = "f" if y.dtype.char == "d" else "d"
    read_only = np.empty_like(y)
    read_only.flags.writeable = False
    yield np.empty(y.shape, other), TypeError
    yield np.empty((*y.shape[:-1], y.shape[-1] + 1), y.dtype), ValueError
    yield read_only, ValueError


# --- runs ----------------------------------------------------------------------------------------


def quiet():
    faulthandler.enable()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")


def run(options, job, at, done, wrong):
    """Make every so many-th call; tell the parent which one, how many are done and were wrong."""
    quiet()
    parent, end = os.getppid(), time.monotonic() + options.seconds
    lock = threading.Lock()
    indices = iter(range(options.first + job, options.first + options.calls, options.jobs))

    def work():
        for index in indices:
            if index // options.jobs % 16 == 0 and time.monotonic() > end:
                break
            if os.getppid() != parent or (wrong[job] and options.exit_first):
                break
            at[job] = index
            bad = is_wrong(options.seed, index)
            with lock:
                wrong[job] += bad
                done[job] += 1

    with ThreadPoolExecutor(options.threads) as pool:
        for future in [pool.submit(work) for _ in range(options.threads)]:
            future.result()


def is_wrong(seed, index):
    """Make one call; report what is wrong with it."""
    try:
        call_once(Draws(seed, index))
    except Exception as error:
        print(f"\n{type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", ()):
            print(f"  {note}")
        if not isinstance(error, AssertionError):
            traceback.print_exception(error)
        print(f"  {again(seed, index)}", flush=True)
        return True
    return False


def again(seed, index):
    return f"python tests/fuzz.py --seed {seed} --first {index} --calls 1"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--threads", type=int, default=1, help="in each process")
    parser.add_argument("--first", type=int, default=0, help="index of the first call")
    parser.add_argument("--calls", type=int, default=1 << 40, help="how many at most")
    parser.add_argument("--exit-first", action="store_true", help="stop at the first failure")
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    at, done, wrong = (spawn.Array("q", options.jobs, lock=False) for _ in range(3))
    processes = [
        spawn.Process(target=run, args=(options, job, at, done, wrong))
        for job in range(options.jobs)
    ]
    begin = time.monotonic()
    for process in processes:
        process.start()
    failures = 0
    for job, process in enumerate(processes):
        # The slowest machine makes any call in less.
        process.join(max(0, begin + options.seconds - time.monotonic()) + 600)
        if process.exitcode != 0:
            what = "does not end" if process.exitcode is None else "ended its process"
            print(f"\na call {what}, exit code {process.exitcode}")
            print(f"  {again(options.seed, at[job])}")
            process.kill()
            failures += 1
    failures += sum(wrong)
    seconds = time.monotonic() - begin
    print(f"{sum(done)} calls in {seconds:.0f} s, seed {options.seed}: {failures} failures")
    return 1 if failures or not sum(done) else 0


if __name__ == "__main__":
    sys.exit(main())
