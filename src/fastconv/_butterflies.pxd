# Butterflies: transforms of a few points in registers, and the passes of a longer one made of them.
#
#     y[k] = sum_q  x[q] * exp(-2 pi i q k / R)
#
# A complex point is a pair of vectors, real parts and imaginary parts: every lane is a transform of
# its own, so nothing here moves data between lanes. The inverse transform is the same code with the
# two vectors of each pair exchanged.

from _word cimport real

cdef extern from "_simd.h":
    ctypedef real vec
    enum: LANES
    vec load(const real*) noexcept nogil
    void store(real*, vec) noexcept nogil
    vec splat(real) noexcept nogil

cdef enum:
    MAX_RADIX = 8
    PAIR = 2 * LANES            # words of a complex point

# cos of 2 pi / 8; sin of 2 pi / 3; cos and sin of 2 pi / 5 and 4 pi / 5
cdef extern from *:
    """
    #define COS_8 ((real)0.707106781186547524400844362104849039L)
    #define SIN_3 ((real)0.866025403784438646763723170752936183L)
    #define COS_5_1 ((real)0.309016994374947424102293417182819059L)
    #define COS_5_2 ((real)-0.809016994374947424102293417182819059L)
    #define SIN_5_1 ((real)0.951056516295153572116439333379382143L)
    #define SIN_5_2 ((real)0.587785252292473129168705954639072769L)
    """
    const real COS_8, SIN_3, COS_5_1, COS_5_2, SIN_5_1, SIN_5_2


cdef inline void dft2(vec* r, vec* i, Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    cdef vec tr = r[a] - r[b], ti = i[a] - i[b]
    r[a] = r[a] + r[b]
    i[a] = i[a] + i[b]
    r[b] = tr
    i[b] = ti


cdef inline void dft3(vec* r, vec* i) noexcept nogil:
    cdef vec sr = r[1] + r[2], si = i[1] + i[2]
    cdef vec dr = splat(SIN_3) * (r[1] - r[2]), di = splat(SIN_3) * (i[1] - i[2])
    cdef vec mr = r[0] - splat(<real>0.5) * sr, mi = i[0] - splat(<real>0.5) * si
    r[0] = r[0] + sr
    i[0] = i[0] + si
    r[1] = mr + di
    i[1] = mi - dr
    r[2] = mr - di
    i[2] = mi + dr


cdef inline void dft4(
    vec* r, vec* i, Py_ssize_t a, Py_ssize_t b, Py_ssize_t c, Py_ssize_t d,
) noexcept nogil:
    """Of the points a, b, c, d; y[0], y[1], y[2], y[3] take their places."""
    cdef vec sr = r[a] + r[c], si = i[a] + i[c]
    cdef vec dr = r[a] - r[c], di = i[a] - i[c]
    cdef vec tr = r[b] + r[d], ti = i[b] + i[d]
    cdef vec er = r[b] - r[d], ei = i[b] - i[d]
    r[a] = sr + tr
    i[a] = si + ti
    r[b] = dr + ei
    i[b] = di - er
    r[c] = sr - tr
    i[c] = si - ti
    r[d] = dr - ei
    i[d] = di + er


cdef inline void dft5(vec* r, vec* i) noexcept nogil:
    cdef vec ar = r[1] + r[4], ai = i[1] + i[4], br = r[2] + r[3], bi = i[2] + i[3]
    cdef vec cr = r[1] - r[4], ci = i[1] - i[4], dr = r[2] - r[3], di = i[2] - i[3]
    cdef vec mr = r[0] + splat(COS_5_1) * ar + splat(COS_5_2) * br
    cdef vec mi = i[0] + splat(COS_5_1) * ai + splat(COS_5_2) * bi
    cdef vec nr = r[0] + splat(COS_5_2) * ar + splat(COS_5_1) * br
    cdef vec ni = i[0] + splat(COS_5_2) * ai + splat(COS_5_1) * bi
    cdef vec pr = splat(SIN_5_1) * cr + splat(SIN_5_2) * dr
    cdef vec pi = splat(SIN_5_1) * ci + splat(SIN_5_2) * di
    cdef vec qr = splat(SIN_5_2) * cr - splat(SIN_5_1) * dr
    cdef vec qi = splat(SIN_5_2) * ci - splat(SIN_5_1) * di
    r[0] = r[0] + ar + br
    i[0] = i[0] + ai + bi
    r[1] = mr + pi
    i[1] = mi - pr
    r[2] = nr + qi
    i[2] = ni - qr
    r[3] = nr - qi
    i[3] = ni + qr
    r[4] = mr - pi
    i[4] = mi + pr


cdef inline void eighth(vec* r, vec* i, Py_ssize_t a) noexcept nogil:
    """Multiply by exp(-2 pi i / 8)."""
    cdef vec t = splat(COS_8) * (r[a] + i[a])
    i[a] = splat(COS_8) * (i[a] - r[a])
    r[a] = t


cdef inline void quarter(vec* r, vec* i, Py_ssize_t a) noexcept nogil:
    """Multiply by -i."""
    cdef vec t = r[a]
    r[a] = i[a]
    i[a] = -t


cdef inline void swap(vec* r, vec* i, Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    cdef vec tr = r[a], ti = i[a]
    r[a] = r[b]
    i[a] = i[b]
    r[b] = tr
    i[b] = ti


cdef inline void dft8(vec* r, vec* i) noexcept nogil:
    dft2(r, i, 0, 4)
    dft2(r, i, 1, 5)
    dft2(r, i, 2, 6)
    dft2(r, i, 3, 7)
    eighth(r, i, 5)
    quarter(r, i, 6)
    eighth(r, i, 7)
    quarter(r, i, 7)
    dft4(r, i, 0, 1, 2, 3)
    dft4(r, i, 4, 5, 6, 7)
    # y[2 k] is at k, y[2 k + 1] at k + 4.
    swap(r, i, 1, 4)
    swap(r, i, 3, 6)
    swap(r, i, 2, 4)
    swap(r, i, 3, 5)


cdef inline void dft(vec* r, vec* i, Py_ssize_t radix) noexcept nogil:
    """radix is a constant once inlined; of one point, the point itself."""
    if radix == 2:
        dft2(r, i, 0, 1)
    elif radix == 3:
        dft3(r, i)
    elif radix == 4:
        dft4(r, i, 0, 1, 2, 3)
    elif radix == 5:
        dft5(r, i)
    elif radix == 8:
        dft8(r, i)


cdef inline void twiddle(vec* r, vec* i, const real* w, Py_ssize_t radix) noexcept nogil:
    """Multiply the points 1 ... radix - 1 by w, pairs of a real and an imaginary part."""
    cdef Py_ssize_t q
    cdef vec t
    for q in range(1, radix):
        t = r[q] * splat(w[2 * q - 2]) - i[q] * splat(w[2 * q - 1])
        i[q] = r[q] * splat(w[2 * q - 1]) + i[q] * splat(w[2 * q - 2])
        r[q] = t


cdef inline void fetch_points(
    vec* r, vec* i, const real* p, Py_ssize_t stride, bint inverse, Py_ssize_t radix,
) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(radix):
        r[q] = load(p + q * stride + inverse * LANES)
        i[q] = load(p + q * stride + (not inverse) * LANES)


cdef inline void put_points(
    const vec* r, const vec* i, real* p, Py_ssize_t stride, bint inverse, Py_ssize_t radix,
) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(radix):
        store(p + q * stride + inverse * LANES, r[q])
        store(p + q * stride + (not inverse) * LANES, i[q])


# Passes. Forward the twiddles come after the butterfly (decimation in frequency), inverse before it
# (in time): the order that the one leaves is the one that the other wants.

cdef inline void one_pass(
    real* x, Py_ssize_t stride, Py_ssize_t m, Py_ssize_t count, Py_ssize_t blocks, const real* w,
    bint inverse, Py_ssize_t radix,
) noexcept nogil:
    """One pass, in place: points m apart are one butterfly, of which a block has `count`.

    radix and inverse are constants once inlined.
    """
    cdef vec[MAX_RADIX] r
    cdef vec[MAX_RADIX] i
    cdef Py_ssize_t j, b
    cdef real* p
    for j in range(count):
        for b in range(blocks):
            p = x + (b * m * radix + j) * stride
            fetch_points(r, i, p, m * stride, inverse, radix)
            if inverse:
                twiddle(r, i, w, radix)
            dft(r, i, radix)
            if not inverse:
                twiddle(r, i, w, radix)
            put_points(r, i, p, m * stride, inverse, radix)
        w += 2 * radix - 2


cdef inline void plain_pass(
    real* x, Py_ssize_t stride, Py_ssize_t blocks, bint inverse, Py_ssize_t radix,
) noexcept nogil:
    """The pass whose twiddles are all 1: the last of a forward, the first of an inverse one."""
    cdef vec[MAX_RADIX] r
    cdef vec[MAX_RADIX] i
    cdef Py_ssize_t _
    cdef real* p = x
    for _ in range(blocks):
        fetch_points(r, i, p, stride, inverse, radix)
        dft(r, i, radix)
        put_points(r, i, p, stride, inverse, radix)
        p += radix * stride


cdef inline void product_pass(
    real* x, const real* h, Py_ssize_t blocks, Py_ssize_t radix,
) noexcept nogil:
    """Last pass forward, times the spectrum h, first pass of the inverse: all in registers."""
    cdef vec[MAX_RADIX] r
    cdef vec[MAX_RADIX] i
    cdef vec t, hr, hi
    cdef Py_ssize_t _, q
    for _ in range(blocks):
        fetch_points(r, i, x, PAIR, False, radix)
        dft(r, i, radix)
        for q in range(radix):
            hr = load(h + q * PAIR)
            hi = load(h + q * PAIR + LANES)
            t = r[q] * hr - i[q] * hi
            i[q] = r[q] * hi + i[q] * hr
            r[q] = t
        dft(i, r, radix)
        put_points(r, i, x, PAIR, False, radix)
        x += radix * PAIR
        h += radix * PAIR


cdef inline vec rows_in(
    const real** src, real* x, Py_ssize_t stride, Py_ssize_t begin, Py_ssize_t end,
    const real* turn, const real* w, Py_ssize_t radix,
) noexcept nogil:
    """First pass of columns, along rows: of points whose parts lie in rows src[q], src[radix + q].

    For the groups begin ... end - 1. Points are multiplied by `turn`, pairs of a real and
    an imaginary part, before the butterfly. Returns the sums of the squares.
    """
    cdef vec[MAX_RADIX] r
    cdef vec[MAX_RADIX] i
    cdef vec a, b, squares = splat(0)
    cdef Py_ssize_t g, q
    for g in range(begin, end):
        for q in range(radix):
            a = load(src[q] + g * LANES)
            b = load(src[radix + q] + g * LANES)
            squares = squares + a * a
            squares = squares + b * b
            r[q] = a * splat(turn[2 * q]) - b * splat(turn[2 * q + 1])
            i[q] = a * splat(turn[2 * q + 1]) + b * splat(turn[2 * q])
        dft(r, i, radix)
        twiddle(r, i, w, radix)
        put_points(r, i, x + g * PAIR, stride, False, radix)
    return squares


cdef inline void rows_out(
    real** dst, const real* x, Py_ssize_t stride, Py_ssize_t begin, Py_ssize_t end,
    const real* turn, const real* w, Py_ssize_t radix,
) noexcept nogil:
    """Last pass of the inverse, into rows: the other way, for the groups begin ... end - 1."""
    cdef vec[MAX_RADIX] r
    cdef vec[MAX_RADIX] i
    cdef Py_ssize_t g, q
    for g in range(begin, end):
        fetch_points(r, i, x + g * PAIR, stride, True, radix)
        twiddle(r, i, w, radix)
        dft(r, i, radix)
        # Real and imaginary parts are exchanged.
        for q in range(radix):
            store(dst[q] + g * LANES, i[q] * splat(turn[2 * q]) + r[q] * splat(turn[2 * q + 1]))
            store(
                dst[radix + q] + g * LANES,
                r[q] * splat(turn[2 * q]) - i[q] * splat(turn[2 * q + 1]),
            )
