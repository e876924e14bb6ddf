"""
The reference: the defining sums, written down as they are defined.

For an image x extended over the whole plane by its boundary, and a kernel k,

    convolve2d    y[n] = sum_m  x[n - m] * k[m]
    correlate2d   y[l] = sum_m  x[m + l] * conj(k[m])

per axis and for every n or l that the mode asks for. Nothing here is shared with the package, and
nothing is clever. The sums run in the arithmetic of the arrays they are given, so that they are
exact in Python integers (dtype object) and in int64, whose wrap-around is exact modulo 2**64.
"""

import numpy as np


def source(index, size, boundary):
    """Where an extended axis of `size` elements takes element `index` from; -1 for the fill."""
    if boundary == "fill":
        return index if 0 <= index < size else -1
    while not 0 <= index < size:  # one period, or one mirror, at a time
        if boundary == "wrap":
            index += size if index < 0 else -size
        else:
            index = -1 - index if index < 0 else 2 * size - 1 - index
    return index


def positions(function, n, m, mode):
    """Values of n or l, one for each output along an axis of n image and m kernel elements."""
    if function == "convolve2d":
        start, stop = {
            "full": (0, n + m - 1),
            "same": ((m - 1) // 2, (m - 1) // 2 + n),
            "valid": (m - 1, n),
        }[mode]
    else:
        start, stop = {
            "full": (1 - m, n),
            "same": (-((m - 1) // 2), n - (m - 1) // 2),
            "valid": (0, n - m + 1),
        }[mode]
    return range(start, stop)


def swaps(x, k, mode):
    """Tell whether 'valid' slides the image over the kernel."""
    return mode == "valid" and (x.shape[0] < k.shape[0] or x.shape[1] < k.shape[1])


def real_sum(function, x, k, mode="full", boundary="fill", fillvalue=0):
    """Result for a real image and kernel of one dtype, in that dtype's arithmetic."""
    if swaps(x, k, mode):
        y = real_sum(function, k, x, mode)
        # y[l] = sum_m x[m] k[m - l]: the same sums as with the roles exchanged, l in reverse.
        return y if function == "convolve2d" else y[::-1, ::-1]

    # Everything that the sums ask for, along one axis: from x[start - (m - 1)] for a convolution,
    # from x[start] for a correlation.
    def sources(n, m):
        outputs = positions(function, n, m, mode)
        first = outputs.start - (m - 1 if function == "convolve2d" else 0)
        return [source(first + v, n, boundary) for v in range(len(outputs) + m - 1)]

    extended = np.full((x.shape[0] + 1, x.shape[1] + 1), fillvalue, dtype=x.dtype)
    extended[:-1, :-1] = x  # index -1 is the fill
    extended = extended[np.ix_(*map(sources, x.shape, k.shape))]

    height, width = (size - m + 1 for size, m in zip(extended.shape, k.shape, strict=True))
    y = np.zeros((height, width), dtype=x.dtype)
    for i in range(k.shape[0]):
        for j in range(k.shape[1]):
            row, column = i, j
            if function == "convolve2d":
                row, column = k.shape[0] - 1 - i, k.shape[1] - 1 - j
            y += extended[row : row + height, column : column + width] * k[i, j]
    return y


def parts(array):
    """Real and imaginary part; zeros where there is none."""
    return array.real, array.imag


def complex_sum(function, x, k, mode="full", boundary="fill", fillvalue=(0, 0)):
    """Result for pairs (real part, imaginary part), as such a pair: naive complex products."""
    xr, xi = x
    kr, ki = k
    fr, fi = fillvalue
    if function == "correlate2d":
        ki = -ki
    rr = real_sum(function, xr, kr, mode, boundary, fr)
    ii = real_sum(function, xi, ki, mode, boundary, fi)
    ri = real_sum(function, xr, ki, mode, boundary, fr)
    ir = real_sum(function, xi, kr, mode, boundary, fi)
    return rr - ii, ri + ir


def exact(function, x, k, mode="full", boundary="fill", fillvalue=0, ring=object):
    """
    Result for arrays of integers, of whatever dtype, equal to the bit.

    Integer results are exact modulo 2**bits, whatever the values. Floating-point operands must
    hold integers so small that every partial sum is one of the result's numbers. `ring` is the
    dtype to sum in: object for Python integers, int64 for large problems.
    """
    dtype = np.result_type(x, k)

    def lift(array):
        return np.asarray(array).astype(np.int64).astype(ring)

    def lower(array):
        if ring is object:
            array = ((array + 2**63) % 2**64 - 2**63).astype(np.int64)
        return array.astype(np.empty(0, dtype).real.dtype)

    if dtype.kind != "c":
        y = real_sum(function, lift(x), lift(k), mode, boundary, lift(fillvalue))
        return lower(y)
    re, im = complex_sum(
        function,
        [lift(part) for part in parts(x)],
        [lift(part) for part in parts(k)],
        mode,
        boundary,
        [lift(part) for part in parts(np.asarray(fillvalue))],
    )
    y = np.empty(re.shape, dtype)
    y.real, y.imag = lower(re), lower(im)
    return y


def nd_sum(x, k, mode="full"):
    """
    Convolution of two real arrays of one dtype and any number of dimensions, as it is defined.

    Zeros around x are really multiplied. 'valid' needs x to be the larger.
    """
    sizes = list(zip(x.shape, k.shape, strict=True))
    extended = np.zeros([n + 2 * (m - 1) for n, m in sizes], x.dtype)
    extended[tuple(slice(m - 1, m - 1 + n) for n, m in sizes)] = x
    full = tuple(n + m - 1 for n, m in sizes)
    y = np.zeros(full, x.dtype)
    for j in np.ndindex(k.shape):
        corner = [m - 1 - i for m, i in zip(k.shape, j, strict=True)]
        y += extended[tuple(slice(c, c + n) for c, n in zip(corner, full, strict=True))] * k[j]
    start = {"full": [0] * x.ndim, "same": [(m - 1) // 2 for m in k.shape]}.get(
        mode, [m - 1 for m in k.shape]
    )
    shape = {"full": full, "same": x.shape}.get(mode, [n - m + 1 for n, m in sizes])
    return y[tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))]


def reversed_conjugate(k):
    """What turns a convolution into a correlation."""
    return k[(slice(None, None, -1),) * k.ndim].conj()


def exact_nd(function, x, k, mode="full"):
    """Result of 'convolve' or 'correlate' for whole numbers, equal to the bit; compare `exact`."""
    dtype = np.result_type(x, k)
    if function == "correlate":
        k = reversed_conjugate(k)
    if mode == "valid" and any(n < m for n, m in zip(x.shape, k.shape, strict=True)):
        x, k = k, x
    if dtype.kind != "c":
        # int64 wraps around exactly, modulo a multiple of whatever the result's width is.
        return nd_sum(x.astype(np.int64), k.astype(np.int64), mode).astype(dtype)
    (xr, xi), (kr, ki) = (
        [part.astype(np.int64) for part in parts(array.astype(dtype))] for array in (x, k)
    )
    y = np.empty(nd_sum(xr, kr, mode).shape, dtype)
    y.real = nd_sum(xr, kr, mode) - nd_sum(xi, ki, mode)
    y.imag = nd_sum(xr, ki, mode) + nd_sum(xi, kr, mode)
    return y
