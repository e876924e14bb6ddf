# Tiles: the extension of the image, and the gathering of one tile with its halo.
#
# A coordinate of the extended image is a plain integer, negative left of the image. An Axis maps
# it to a source index, or to -1 for "fill": itself inside the image, a table of at most k - 1
# entries on either side. What a boundary is, only `extend` knows.

from libc.string cimport memcpy

from _word cimport elem, real

from fastconv._runtime cimport Call, ended

cdef extern from "_simd.h":
    ctypedef real vec
    enum: LANES
    vec load(const real*) noexcept nogil
    void store(real*, vec) noexcept nogil
    real fetch(const char*) noexcept nogil
    void put(char*, real) noexcept nogil

cdef enum Boundary:
    FILL, WRAP, SYMM


cdef struct Axis:
    Py_ssize_t n                # image length
    Py_ssize_t m                # output length
    Py_ssize_t k                # taps
    Py_ssize_t start            # coordinate under the first tap of output 0
    Py_ssize_t* before          # source of coordinate -1, -2, ...
    Py_ssize_t* after           # source of coordinate n, n + 1, ...


cdef inline Py_ssize_t share(Py_ssize_t n, Py_ssize_t parts, Py_ssize_t i) noexcept nogil:
    """First of n things that part i has, if all parts have as many but for one."""
    return i * (n // parts) + min(i, n % parts)


cdef inline Py_ssize_t n_before(const Axis* a) noexcept nogil:
    return max(0, -a.start)


cdef inline Py_ssize_t n_after(const Axis* a) noexcept nogil:
    return max(0, a.start + a.m + a.k - 1 - a.n)


cdef inline Py_ssize_t extend(Py_ssize_t p, Py_ssize_t n, int boundary) noexcept nogil:
    """Source of coordinate p of n pixels: -1, p mod n, or d c b a | a b c d | d c b a."""
    if boundary == FILL or n == 0:
        return -1
    if boundary == WRAP:
        p %= n
        return p + n if p < 0 else p
    p %= 2 * n
    if p < 0:
        p += 2 * n
    return p if p < n else 2 * n - 1 - p


cdef inline void fill_table(
    Call* call, Py_ssize_t* table, Py_ssize_t count, Py_ssize_t p, int step, Py_ssize_t n,
    int boundary,
) noexcept nogil:
    """Sources of coordinates p, p + step, ..."""
    cdef Py_ssize_t i, worked = 0
    for i in range(count):
        if ended(call, 1, &worked):
            return
        table[i] = extend(p + i * step, n, boundary)


cdef inline void fill_tables(Call* call, Axis* a, int boundary) noexcept nogil:
    """If the call is stopped meanwhile, no table may be read."""
    fill_table(call, a.before, n_before(a), -1, -1, a.n, boundary)
    fill_table(call, a.after, n_after(a), a.n, 1, a.n, boundary)


cdef inline Py_ssize_t source(const Axis* a, Py_ssize_t p) noexcept nogil:
    if p < 0:
        return a.before[-1 - p]
    if p >= a.n:
        return a.after[p - a.n]
    return p


cdef inline void copy_pixel(real* dst, const char* src, int words, bint turn) noexcept nogil:
    """One pixel; turned by i if asked: (re, im) -> (-im, re)."""
    if turn:
        dst[0] = -fetch(src + sizeof(elem))
        dst[1] = fetch(src)
    else:
        dst[0] = fetch(src)
        if words == 2:
            dst[1] = fetch(src + sizeof(elem))


cdef inline void copy_run(
    real* dst, const char* src, Py_ssize_t count, Py_ssize_t pixel, int words, bint turn,
) noexcept nogil:
    """count pixels that lie `pixel` bytes apart."""
    cdef Py_ssize_t i, n = count * words
    cdef Py_ssize_t packed = words * <Py_ssize_t>sizeof(elem)
    if pixel == packed and not turn and sizeof(elem) == sizeof(real):
        if n < LANES or n > 4 * LANES:
            memcpy(dst, src, n * sizeof(real))
            return
        # The margins of a tile: too short for a call.
        for i in range(n // LANES):
            store(dst + i * LANES, load(<const real*>src + i * LANES))
        store(dst + n - LANES, load(<const real*>src + n - LANES))
    elif pixel == packed and not turn:
        for i in range(count * words):
            dst[i] = fetch(src + i * sizeof(elem))
    elif pixel == packed:
        for i in range(count):
            copy_pixel(dst + 2 * i, src + i * 2 * sizeof(elem), 2, True)
    else:
        for i in range(count):
            copy_pixel(dst + i * words, src + i * pixel, words, turn)


cdef inline void gather_row(
    real* dst, const char* row, Py_ssize_t pixel, const Axis* a, Py_ssize_t p, Py_ssize_t count,
    int words, bint turn, const real* fill,
) noexcept nogil:
    """dst[i] = row[source(p + i)], or fill, for i in 0 ... count - 1."""
    cdef Py_ssize_t end = p + count
    cdef Py_ssize_t inside, s
    while p < end:
        if 0 <= p < a.n:
            inside = min(end, a.n) - p
            copy_run(dst, row + p * pixel, inside, pixel, words, turn)
            p += inside
            dst += inside * words
        else:
            s = source(a, p)
            if s < 0:
                dst[0] = fill[0]
                if words == 2:
                    dst[1] = fill[1]
            else:
                copy_pixel(dst, row + s * pixel, words, turn)
            p += 1
            dst += words
