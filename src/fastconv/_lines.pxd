# Lines: a transform of n points as a series of passes.

from _word cimport real

from fastconv._butterflies cimport (
    PAIR, one_pass, plain_pass, product_pass, rows_in, rows_out, vec,
)
from fastconv._runtime cimport PATIENCE, Call, ended

cdef extern from *:
    """
    #include <math.h>
    #define EIGHTH_TURN 0.785398163397448309615660845819875721L
    """
    long double cosl(long double) nogil
    long double sinl(long double) nogil
    const long double EIGHTH_TURN

cdef enum:
    MAX_PASSES = 24


cdef struct Line:
    Py_ssize_t n
    int passes
    int radix[MAX_PASSES]
    const real* w[MAX_PASSES]   # twiddles of each pass


# Each makes the radix a constant; `inverse` is one already.

cdef inline void twiddled_pass(
    real* x, Py_ssize_t stride, Py_ssize_t m, Py_ssize_t count, Py_ssize_t blocks, const real* w,
    bint inverse, int radix,
) noexcept nogil:
    """A factor 2 is the last, which has no twiddles."""
    if radix == 8:
        one_pass(x, stride, m, count, blocks, w, inverse, 8)
    elif radix == 4:
        one_pass(x, stride, m, count, blocks, w, inverse, 4)
    elif radix == 3:
        one_pass(x, stride, m, count, blocks, w, inverse, 3)
    else:
        one_pass(x, stride, m, count, blocks, w, inverse, 5)


cdef inline void untwiddled_pass(
    real* x, Py_ssize_t stride, Py_ssize_t blocks, bint inverse, int radix,
) noexcept nogil:
    if radix == 8:
        plain_pass(x, stride, blocks, inverse, 8)
    elif radix == 4:
        plain_pass(x, stride, blocks, inverse, 4)
    elif radix == 2:
        plain_pass(x, stride, blocks, inverse, 2)
    elif radix == 3:
        plain_pass(x, stride, blocks, inverse, 3)
    else:
        plain_pass(x, stride, blocks, inverse, 5)


cdef inline void middle_pass(
    real* x, const real* h, Py_ssize_t blocks, int radix,
) noexcept nogil:
    if radix == 8:
        product_pass(x, h, blocks, 8)
    elif radix == 4:
        product_pass(x, h, blocks, 4)
    elif radix == 2:
        product_pass(x, h, blocks, 2)
    elif radix == 3:
        product_pass(x, h, blocks, 3)
    else:
        product_pass(x, h, blocks, 5)


cdef inline vec first_pass(
    const real** src, real* x, Py_ssize_t stride, Py_ssize_t begin, Py_ssize_t end,
    const real* turn, const real* w, int radix,
) noexcept nogil:
    if radix == 8:
        return rows_in(src, x, stride, begin, end, turn, w, 8)
    elif radix == 4:
        return rows_in(src, x, stride, begin, end, turn, w, 4)
    elif radix == 2:
        return rows_in(src, x, stride, begin, end, turn, w, 2)
    elif radix == 3:
        return rows_in(src, x, stride, begin, end, turn, w, 3)
    elif radix == 5:
        return rows_in(src, x, stride, begin, end, turn, w, 5)
    return rows_in(src, x, stride, begin, end, turn, w, 1)


cdef inline void final_pass(
    real** dst, const real* x, Py_ssize_t stride, Py_ssize_t begin, Py_ssize_t end,
    const real* turn, const real* w, int radix,
) noexcept nogil:
    if radix == 8:
        rows_out(dst, x, stride, begin, end, turn, w, 8)
    elif radix == 4:
        rows_out(dst, x, stride, begin, end, turn, w, 4)
    elif radix == 2:
        rows_out(dst, x, stride, begin, end, turn, w, 2)
    elif radix == 3:
        rows_out(dst, x, stride, begin, end, turn, w, 3)
    elif radix == 5:
        rows_out(dst, x, stride, begin, end, turn, w, 5)
    else:
        rows_out(dst, x, stride, begin, end, turn, w, 1)


# A long line is transformed in parts, lest signals wait: some butterflies of some blocks of a pass.
# A short one is transformed whole; whoever has it transformed looks.

cdef enum:
    AT_ONCE = PATIENCE // 2     # points: two vectors each


cdef inline void some_pass(
    Call* call, Py_ssize_t* worked, const Line* line, int s, real* x, Py_ssize_t stride,
    Py_ssize_t m, Py_ssize_t n, bint inverse,
) noexcept nogil:
    """Pass s: points m apart are one butterfly, in n blocks."""
    cdef int radix = line.radix[s]
    cdef Py_ssize_t count, blocks, b, b_end = 0, j, j_end
    if line.n <= AT_ONCE:
        twiddled_pass(x, stride, m, m, n, line.w[s], inverse, radix)
        return
    count = min(m, AT_ONCE // radix)
    blocks = AT_ONCE // (radix * count)
    while b_end < n:
        b, b_end = b_end, min(b_end + blocks, n)
        j_end = 0
        while j_end < m:
            j, j_end = j_end, min(j_end + count, m)
            if ended(call, 2 * radix * (b_end - b) * (j_end - j), worked):
                return
            twiddled_pass(
                x + (b * m * radix + j) * stride, stride, m, j_end - j, b_end - b,
                line.w[s] + j * (2 * radix - 2), inverse, radix,
            )


cdef inline void plain_passes(
    Call* call, Py_ssize_t* worked, const Line* line, real* x, Py_ssize_t stride, bint inverse,
) noexcept nogil:
    cdef int radix = line.radix[line.passes - 1]
    cdef Py_ssize_t n = line.n // radix, b, end = 0
    if line.n <= AT_ONCE:
        untwiddled_pass(x, stride, n, inverse, radix)
        return
    while end < n:
        b, end = end, min(end + AT_ONCE // radix, n)
        if ended(call, 2 * radix * (end - b), worked):
            return
        untwiddled_pass(x + b * radix * stride, stride, end - b, inverse, radix)


cdef inline void middle(
    Call* call, Py_ssize_t* worked, const Line* line, real* x, const real* h,
) noexcept nogil:
    """Last pass of a forward transform, the product with a spectrum, first pass of the inverse."""
    cdef int radix = line.radix[line.passes - 1]
    cdef Py_ssize_t n = line.n // radix, b, end = 0
    if line.n <= AT_ONCE:
        middle_pass(x, h, n, radix)
        return
    while end < n:
        b, end = end, min(end + AT_ONCE // radix, n)
        if ended(call, 2 * radix * (end - b), worked):
            return
        middle_pass(x + b * radix * PAIR, h + b * radix * PAIR, end - b, radix)


cdef inline void forward(
    Call* call, Py_ssize_t* worked, const Line* line, real* x, Py_ssize_t stride, bint all_passes,
) noexcept nogil:
    """A forward transform, or all of it but its last pass."""
    cdef Py_ssize_t m = line.n, n = 1
    cdef int s
    for s in range(line.passes - 1):
        m //= line.radix[s]
        some_pass(call, worked, line, s, x, stride, m, n, False)
        n *= line.radix[s]
    if all_passes:
        plain_passes(call, worked, line, x, stride, False)


cdef inline void inverse(
    Call* call, Py_ssize_t* worked, const Line* line, real* x, Py_ssize_t stride, bint all_passes,
) noexcept nogil:
    """An inverse transform, times n; or all of it but its first pass."""
    cdef Py_ssize_t m = line.radix[line.passes - 1], n = line.n // m
    cdef int s
    if all_passes:
        plain_passes(call, worked, line, x, stride, True)
    for s in range(line.passes - 2, -1, -1):
        n //= line.radix[s]
        some_pass(call, worked, line, s, x, stride, m, n, True)
        m *= line.radix[s]


cdef inline Py_ssize_t frequency(const Line* line, Py_ssize_t place) noexcept:
    """Frequency that a forward transform leaves at a place."""
    cdef Py_ssize_t m = line.n, k = 0, step = 1
    cdef int s
    for s in range(line.passes):
        m //= line.radix[s]
        k += place // m * step
        place %= m
        step *= line.radix[s]
    return k


cdef inline tuple radices(Py_ssize_t n):
    """Factors of n in the order of the forward passes; None if there are others than 2, 3 and 5.

    Eights last, where they meet the spectrum; 4 * 4 is quicker than 2 * 8.
    """
    cdef list odd = []
    cdef int twos = 0
    for r in (3, 5):
        while n % r == 0:
            n //= r
            odd.append(r)
    while n % 2 == 0:
        n //= 2
        twos += 1
    if n != 1 or twos + len(odd) > MAX_PASSES:
        return None
    if twos % 3 == 0:
        return tuple(odd + [8] * (twos // 3))
    if twos % 3 == 2:
        return tuple(odd + [4] + [8] * (twos // 3))
    if twos == 1:
        return tuple(odd + [2])
    return tuple(odd + [4, 4] + [8] * (twos // 3 - 1))


cdef inline void root(long double* w, Py_ssize_t k, Py_ssize_t n) noexcept:
    """exp(-2 pi i k / n).

    The angle is brought into the first octant in integers, so that no digit of it is lost.
    """
    cdef long double c, s, angle
    cdef Py_ssize_t octant
    k %= n
    if k < 0:
        k += n
    octant = 8 * k // n
    # 8 k = octant n + rest; odd octants are measured from their end.
    k = 8 * k - octant * n
    if octant & 1:
        k = n - k
    angle = EIGHTH_TURN * k / n
    c, s = cosl(angle), sinl(angle)
    if octant in (1, 2, 5, 6):
        c, s = s, c
    if 2 <= octant < 6:
        c = -c
    if octant >= 4:
        s = -s
    w[0] = c
    w[1] = -s
