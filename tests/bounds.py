"""
The two bounds promised for floating-point results, measured in exact arithmetic.

The bound of the defining sum: for a real output of n = kh * kw products, computed with unit
roundoff u,

    |computed - exact| <= n * u * sum |a| |w|  +  n * (smallest subnormal)

and the real and the imaginary part of a complex one are sums of 2n real products.

The bound of a transform: for every output of a tile,

    |computed - exact| <= K * u * |tile| * |kernel|  +  (smallest subnormal)

in Euclidean norms, of all that the tile's transform read, with K from the passes of the transform.
Every float is an integer times a power
of two, so errors are computed in integers: no rounding.
"""

import math
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
from oracle import complex_sum, real_sum, source, swaps

import fastconv
from fastconv import _error, _plan
from fastconv._fourier import Transformed
from fastconv._problem import prepare

BOUNDARY_NAMES = ("fill", "wrap", "symm")


def as_integers(array):
    """Integers and power p, such that the array is integers * 2**-p."""
    ratio = np.frompyfunc(lambda value: value.as_integer_ratio(), 1, 1)(array.astype(object))
    power = max(q for _, q in ratio.ravel()).bit_length() - 1
    return np.frompyfunc(lambda pq: pq[0] << power >> pq[1].bit_length() - 1, 1, 1)(ratio), power


def exact_sums(function, x, k, mode, boundary="fill", fill=0):
    """Real and, of a complex result, imaginary plane of exact sums.

    Returns [(sums, sums of sizes), ...] in units of 2**-power, and the power. The integers are
    int64 where that is enough.
    """
    fill = np.array(fill, np.result_type(x, k))
    pixels = [np.append(part(x), part(fill)) for part in (np.real, np.imag)]
    (xr, xi), image_power = as_integers(np.stack(pixels))
    (kr, ki), taps_power = as_integers(np.stack([k.real, k.imag]))
    largest = [max(abs(part).max() for part in parts) for parts in ((xr, xi), (kr, ki))]
    if largest[0] * largest[1] * 2 * min(x.size, k.size) < 2**62:
        xr, xi, kr, ki = (part.astype(np.int64) for part in (xr, xi, kr, ki))
    fr, fi = xr[-1], xi[-1]
    xr, xi = xr[:-1].reshape(x.shape), xi[:-1].reshape(x.shape)
    power = image_power + taps_power

    def magnitude(a, w, f):
        return real_sum(function, abs(a), abs(w), mode, boundary, abs(f))

    if np.result_type(x, k).kind != "c":
        exact = real_sum(function, xr, kr, mode, boundary, fr)
        return [(exact, magnitude(xr, kr, fr))], power
    re, im = complex_sum(function, (xr, xi), (kr, ki), mode, boundary, (fr, fi))
    of_re = magnitude(xr, kr, fr) + magnitude(xi, ki, fi)
    of_im = magnitude(xr, ki, fr) + magnitude(xi, kr, fi)
    return [(re, of_re), (im, of_im)], power


# --- the bound of the defining sum ---------------------------------------------------------------


def check_plane(computed, exact, magnitude, power, terms, info):
    """
    Check one real plane of outputs; return its largest err/bound.

    `exact` and `magnitude` (sum |a||w|) are in units of 2**-power. Outputs whose partial sums may
    overflow, those with 2 * magnitude > largest number, are left out.
    """
    exact, magnitude = exact.astype(object), magnitude.astype(object)
    counts = (2 * magnitude <= int(info.max) << power).astype(bool)
    computed, its_power = as_integers(computed[counts])
    exact, magnitude = exact[counts], magnitude[counts]
    precision = info.nmant + 1  # u = 2**-precision
    smallest = info.nmant - int(info.minexp)  # the smallest subnormal is 2**-smallest

    # Both sides in units of 2**-(unit + precision).
    unit = max(power, its_power, smallest)
    error = abs((computed << unit - its_power) - (exact << unit - power)) << precision
    bound = terms * ((magnitude << unit - power) + (1 << unit - smallest + precision))
    assert np.all(error < bound)
    return max(e / b for e, b in zip(error, bound, strict=True))


def check_sums(y, function, x, k, mode, boundary="fill", fill=0):
    """Check a result against the bound of the defining sum; return its largest err/bound."""
    assert y.dtype == np.result_type(x, k)
    info = np.finfo(y.dtype)
    n = x.size if swaps(x, k, mode) else k.size
    planes, power = exact_sums(function, x, k, mode, boundary, fill)
    if x.dtype.kind == k.dtype.kind == "c":
        n *= 2
    return max(
        check_plane(part, exact, magnitude, power, n, info)
        for part, (exact, magnitude) in zip((y.real, y.imag), planes, strict=False)
    )


def check(function, x, k, mode, boundary="fill", fill=0, **kwargs):
    """Check one call against the bound of the defining sum; return its largest err/bound."""
    y = getattr(fastconv, function)(x, k, mode, boundary, fill, **kwargs)
    return check_sums(y, function, x, k, mode, boundary, fill)


# --- the bound of a transform --------------------------------------------------------------------


def problem_of(function, x, k, mode="full", boundary="fill", fill=0):
    return prepare(function, function == "correlate2d", x, k, mode, boundary, fill)


def plan_of(problem, height, width, line=False, engine="fft"):
    """Plan for tiles of a size of one's own choice."""
    char = problem.dtype.char
    word = "f32" if engine == "fft" and char in "fF" else "f64"
    return _plan.Plan(engine, word, height, width, line)


def transformed(problem, plan, workers=1):
    """Result of transforms alone, and the tiles that are left to the direct engine."""
    out = np.full(problem.shape, 77, problem.dtype)
    return out, Transformed(problem, plan, workers).run(problem, out, workers)


def shares(m, parts):
    """Nearly equal parts of an axis."""
    seams = [i * (m // parts) + min(i, m % parts) for i in range(parts + 1)]
    return list(pairwise(seams))


def scaled(array):
    """Array of floats at most about 1 in size, and the power of two that was divided by."""
    array = np.stack([array.real, array.imag]).astype(np.float64)
    _, exponent = np.frexp(abs(array).max())
    array = np.ldexp(array, -int(exponent))
    return array[0] ** 2 + array[1] ** 2, int(exponent)


def outside(start, n, m, k):
    """Length of what an axis reads outside the image at either end, the lesser of the two."""
    return max(0, min(-start, start + m + k - 1 - n))


def tiles(outputs, taps, points, zeros):
    """Tiles of an axis; one may wrap around where it reads zeros at both ends."""
    if points >= taps and points >= outputs + taps - 1 - zeros:
        return 1
    return -(-outputs // (points - taps + 1))


class Tiles:
    """The tiles of a problem, and what their transforms read of the extended image."""

    def __init__(self, problem, plan):
        self.plan = plan
        (my, mx), (kh, kw) = problem.shape, problem.kernel.shape
        start_y, start_x = problem.start_y, problem.start_x
        image = problem.image
        self.upright = plan.line and kh > 1
        if self.upright:
            my, mx, kh, kw, start_y, start_x = mx, my, kw, kh, start_x, start_y
            image = image.T
        self.real = problem.image.dtype.kind != "c" and problem.kernel.dtype.kind != "c"
        points = plan.height * (2 if self.real else 1)
        zeros = problem.boundary == BOUNDARY_NAMES.index("fill") and problem.fill is None
        down, across = points, plan.width
        if plan.line:
            down, across = 1, points * plan.width
        n_y, n_x = image.shape
        self.rows = shares(my, tiles(my, kh, down, zeros * outside(start_y, n_y, my, kh)))
        self.columns = shares(mx, tiles(mx, kw, across, zeros * outside(start_x, n_x, mx, kw)))
        self.kh, self.kw, self.start_y, self.start_x = kh, kw, start_y, start_x
        self.image, self.fill = image, problem.fill
        self.boundary = BOUNDARY_NAMES[problem.boundary]
        self.squares, self.exponent = scaled(self.extended(my, mx))
        squares, exponent = scaled(problem.kernel)
        self.kernel = Fraction(math.sqrt(squares.sum())) * Fraction(2) ** exponent

    def extended(self, my, mx):
        """What the problem reads, and all that lies right of it in the image."""
        n_y, n_x = self.image.shape
        end = max(self.start_x + mx + self.kw - 1, n_x)
        down = range(self.start_y, self.start_y + my + self.kh - 1)
        across = range(self.start_x, end)
        self.inside = np.array([source(p, n_y, self.boundary) >= 0 for p in down])
        image = np.zeros((n_y + 1, n_x + 1), self.image.dtype)  # index -1 is the fill
        if self.fill is not None:
            image = image.astype(np.result_type(self.image, self.fill))
            image[...] = self.fill
        image[:-1, :-1] = self.image
        sources = [
            [source(p, n, self.boundary) for p in axis] for axis, n in ((down, n_y), (across, n_x))
        ]
        return image[np.ix_(*sources)]

    def norm(self, y0, y1, x0, x1):
        """Norm of the window of these outputs, with what rows inside the image read beyond it."""
        width, n = self.plan.width, self.image.shape[1]
        end = x1 + self.kw - 1
        rows = slice(y0, y1 + self.kh - 1)
        total = self.squares[rows, x0:end].sum()
        for begin in range(x0, end, width):  # one, but for a line
            p = begin + self.start_x
            if p >= 0 and p + width <= n and begin + width > end:
                total += self.squares[rows, end : begin + width][self.inside[rows]].sum()
        return Fraction(math.sqrt(total)) * Fraction(2) ** self.exponent

    def __iter__(self):
        """Yield the outputs of a tile, as slices, and the bound of their errors."""
        plan = self.plan
        factor = _error.error(plan.word, plan.height, plan.width, plan.line, self.real)
        for (y0, y1), (x0, x1) in product(self.rows, self.columns):
            bound = Fraction(factor) * self.norm(y0, y1, x0, x1) * self.kernel
            place = slice(y0, y1), slice(x0, x1)
            yield place[::-1] if self.upright else place, bound


def squared_errors(y, planes, power):
    """Squares of the errors of y, beyond one smallest number, in units of 4**-unit; and the unit.

    Outputs that may overflow, those of which twice is larger than the largest number, are left out.
    """
    info = np.finfo(y.dtype)
    smallest = info.nmant - int(info.minexp)
    total = 0
    unit = power
    parts = [y.real, y.imag][: len(planes)]
    few_digits = all(exact.dtype == np.int64 and abs(exact).max() < 2**53 for exact, _ in planes)
    if few_digits and power + 2 * info.nmant < smallest:
        for part, (exact, _) in zip(parts, planes, strict=True):
            total = total + (np.ldexp(part.astype(np.float64), power) - exact) ** 2
        return total, unit
    planes = [[part.astype(object) for part in plane] for plane in planes]
    counts = [abs(2 * exact) <= int(info.max) << power for exact, _ in planes]
    counts = [each.astype(bool) for each in counts]
    for part, its in zip(parts, counts, strict=True):
        assert np.isfinite(part[its]).all()
    integers, its_power = as_integers(
        np.stack([np.where(its, part, 0) for part, its in zip(parts, counts, strict=True)])
    )
    unit = max(power, its_power, smallest)
    for part, (exact, _), its in zip(integers, planes, counts, strict=True):
        error = abs((part << unit - its_power) - (exact << unit - power)) - (1 << unit - smallest)
        total = total + np.where(its, np.maximum(error, 0), 0) ** 2
    return total, unit


def check_tiles(y, problem, plan, sums):
    """Check a result of transforms against their bound; return its largest err/bound."""
    planes, power = sums
    errors, unit = squared_errors(y, planes, power)
    largest = 0.0
    for place, bound in Tiles(problem, plan):
        error = Fraction(errors[place].max()) / 4**unit
        if bound == 0:
            assert error == 0
            assert not y[place].any()
            continue
        ratio = math.sqrt(error / bound**2)
        assert ratio < 1, (plan, place, ratio)
        largest = max(largest, ratio)
    return largest


def check_transform(function, x, k, mode="full", boundary="fill", fill=0, grid=None):
    """Check transforms, of tiles (height, width, line) or those planned; return err/bound."""
    problem = problem_of(function, x, k, mode, boundary, fill)
    if grid is None:
        plan = fastconv._solve.choose(problem, "fft")[0]
        assert plan.engine == "fft"
    else:
        plan = plan_of(problem, *grid)
    y, left = transformed(problem, plan)
    assert not left
    return check_tiles(y, problem, plan, exact_sums(function, x, k, mode, boundary, fill))
