# The Fourier engine: overlap-save tiles that stay in cache.
#
#     tile:   Z = DFT2(A + i B),   Z[k] *= H[k],   a + i b = IDFT2(Z)
#
# H is the spectrum of the kernel, reversed. A real kernel acts on real and imaginary parts alike, so
# two real tiles A and B ride in one complex transform; a complex tile rides alone.
#
#     transform (t)           a fixed grid: work is shared out, results do not depend on by whom
#       gather                rows of the image, through the index tables, into the tile
#       columns               transforms along y, LANES columns at a time, in place
#       rows                  LANES rows at a time: transpose, transform along x, times H, back
#       columns               inverse transforms along y
#       scatter               rows of the output
#
# Forward transforms decimate in frequency, inverse ones in time: the product is taken in the order
# the forward ones leave, so nothing is ever reordered. Every output of a tile that needs no wrapped
# input is the defining sum; a tile of T points serves T - k + 1 outputs.
#
# A line (1-D) is the same tile. With n = X n1 + n2 and k = k1 + Y k2, a transform of Y X points is
# one along n1, a multiplication by exp(-2 pi i n2 k1 / (Y X)), the twist, and one along n2.
#
# This file does not know its word (_word.pxd) nor its instruction set (_simd.h). Images and outputs
# may be of another type than the word it computes in: they are converted as they are gathered and
# scattered.

from cpython.buffer cimport (
    PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cython.parallel cimport prange, threadid
from libc.math cimport fabs, frexp, scalbn, sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from _word cimport NAME, elem, real

from fastconv._butterflies cimport (
    LANES, MAX_RADIX, PAIR, last_pass, load, one_pass, product_pass, splat, store, vec,
)
from fastconv._tiles cimport Axis, fill_tables, n_after, n_before, source

cdef extern from "_simd.h":
    const char* LEVEL
    enum: CACHE_LINE

cdef extern from "_transpose.h":
    void transpose(vec*) noexcept nogil

cdef extern from *:
    """
    #include <math.h>
    #define EIGHTH_TURN 0.785398163397448309615660845819875721L
    """
    long double cosl(long double) nogil
    long double sinl(long double) nogil
    const long double EIGHTH_TURN

BUILD = {
    "level": LEVEL.decode(),
    "word": NAME.decode(),
    "itemsize": sizeof(elem),
    "lanes": LANES,
}

cdef enum:
    MAX_PASSES = 24


# --- lines: one transform, as a series of passes -------------------------------------------------

cdef struct Line:
    Py_ssize_t n
    int passes
    int radix[MAX_PASSES]
    const real* w[MAX_PASSES]   # twiddles of each pass


cdef void forward_pass(
    real* x, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t m, const real* w, int radix,
) noexcept nogil:
    if radix == 8:
        one_pass(x, stride, n, m, w, False, 8)
    elif radix == 4:
        one_pass(x, stride, n, m, w, False, 4)
    elif radix == 2:
        one_pass(x, stride, n, m, w, False, 2)
    elif radix == 3:
        one_pass(x, stride, n, m, w, False, 3)
    else:
        one_pass(x, stride, n, m, w, False, 5)


cdef void inverse_pass(
    real* x, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t m, const real* w, int radix,
) noexcept nogil:
    if radix == 8:
        one_pass(x, stride, n, m, w, True, 8)
    elif radix == 4:
        one_pass(x, stride, n, m, w, True, 4)
    elif radix == 2:
        one_pass(x, stride, n, m, w, True, 2)
    elif radix == 3:
        one_pass(x, stride, n, m, w, True, 3)
    else:
        one_pass(x, stride, n, m, w, True, 5)


cdef void untwiddled_pass(
    real* x, Py_ssize_t stride, Py_ssize_t n, bint inverse, int radix,
) noexcept nogil:
    """The inverse is the same with real and imaginary parts exchanged."""
    if radix == 8:
        last_pass(x, stride, n, inverse, 8)
    elif radix == 4:
        last_pass(x, stride, n, inverse, 4)
    elif radix == 2:
        last_pass(x, stride, n, inverse, 2)
    elif radix == 3:
        last_pass(x, stride, n, inverse, 3)
    else:
        last_pass(x, stride, n, inverse, 5)


cdef void middle_pass(real* x, Py_ssize_t n, const real* h, int radix) noexcept nogil:
    if radix == 8:
        product_pass(x, n, h, 8)
    elif radix == 4:
        product_pass(x, n, h, 4)
    elif radix == 2:
        product_pass(x, n, h, 2)
    elif radix == 3:
        product_pass(x, n, h, 3)
    else:
        product_pass(x, n, h, 5)


cdef void forward_start(const Line* line, real* x, Py_ssize_t stride) noexcept nogil:
    """All passes of a forward transform but the last."""
    cdef Py_ssize_t m = line.n
    cdef int s
    for s in range(line.passes - 1):
        m //= line.radix[s]
        forward_pass(x, stride, line.n, m, line.w[s], line.radix[s])


cdef void inverse_end(const Line* line, real* x, Py_ssize_t stride) noexcept nogil:
    """All passes of an inverse transform but the first."""
    cdef Py_ssize_t m = line.radix[line.passes - 1]
    cdef int s
    for s in range(line.passes - 2, -1, -1):
        inverse_pass(x, stride, line.n, m, line.w[s], line.radix[s])
        m *= line.radix[s]


cdef tuple radices(Py_ssize_t n):
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


cdef void root(long double* w, Py_ssize_t k, Py_ssize_t n) noexcept:
    """exp(-2 pi i k / n).

    The angle is brought into the first octant in integers, so that no digit of it is lost.
    """
    cdef long double c, s, angle
    cdef Py_ssize_t octant
    k %= n
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


cdef class Table:
    """A line and its twiddles; or the twist of two lines. Immutable."""

    cdef Line line
    cdef Py_ssize_t[MAX_PASSES] offsets
    cdef real* memory
    cdef real* words

    def __cinit__(self):
        self.memory = NULL

    def __dealloc__(self):
        free(self.memory)

    cdef int allocate(self, Py_ssize_t words) except -1:
        self.memory = <real*>malloc(words * sizeof(real) + CACHE_LINE)
        if self.memory == NULL:
            raise MemoryError("fastconv could not get memory for its twiddles")
        self.words = self.memory + (
            CACHE_LINE - <size_t>self.memory % CACHE_LINE
        ) // <Py_ssize_t>sizeof(real)
        return 0


cdef Table line_table(Py_ssize_t n, tuple factors):
    cdef Table table = Table()
    cdef Py_ssize_t m = n, j, q, words = 0
    cdef int s, r
    cdef real* w
    cdef long double[2] exact
    table.line.n = n
    table.line.passes = len(factors)
    for s, r in enumerate(factors):
        m //= r
        words += m * (2 * r - 2)
    table.allocate(words)
    w = table.words
    m = n
    for s, r in enumerate(factors):
        table.line.radix[s] = r
        table.line.w[s] = w
        m //= r
        for j in range(m):
            for q in range(1, r):
                root(exact, j * q, m * r)
                w[0], w[1] = <real>exact[0], <real>exact[1]
                w += 2
    return table


cdef Py_ssize_t frequency(const Line* line, Py_ssize_t place) noexcept:
    """Frequency that a forward transform leaves at a place."""
    cdef Py_ssize_t m = line.n, k = 0, step = 1
    cdef int s
    for s in range(line.passes):
        m //= line.radix[s]
        k += place // m * step
        place %= m
        step *= line.radix[s]
    return k


cdef enum:
    FINE = 256


cdef Table twist_table(const Line* y, const Line* x):
    """exp(-2 pi i n2 k1 / (Y X)) for row k1, as a forward transform leaves it, and column n2.

    Each is the product of a multiple of FINE and a rest, for sines take their time.
    """
    cdef Table table = Table()
    cdef Py_ssize_t i, j, k, e, n = y.n * x.n
    cdef Py_ssize_t coarse = n // FINE + 1
    cdef real* w
    cdef long double* a
    cdef long double* b
    cdef long double* roots = <long double*>malloc(2 * (coarse + FINE) * sizeof(long double))
    if roots == NULL:
        raise MemoryError("fastconv could not get memory for its twiddles")
    try:
        table.allocate(2 * n)
        for i in range(coarse):
            root(roots + 2 * i, FINE * i, n)
        for i in range(FINE):
            root(roots + 2 * (coarse + i), i, n)
        for i in range(y.n):
            k = frequency(y, i)
            for j in range(x.n):
                e = j * k
                a = roots + 2 * (e // FINE)
                b = roots + 2 * (coarse + e % FINE)
                w = table.words + i * 2 * x.n + j // LANES * PAIR + j % LANES
                w[0] = <real>(a[0] * b[0] - a[1] * b[1])
                w[LANES] = <real>(a[0] * b[1] + a[1] * b[0])
    finally:
        free(roots)
    return table


# Tables are the same for all kernels. Two threads may both make one; either will do.
cdef dict lines = {}
cdef dict twists = {}

cdef enum:
    MAX_TWISTS = 8              # that are kept: they may be large


cdef Table line_of(Py_ssize_t n):
    table = lines.get(n)
    if table is None:
        factors = radices(n)
        if factors is None or n % LANES:
            raise ValueError(f"no transform of {n} points")
        table = lines[n] = line_table(n, factors)
    return table


cdef Table twist_of(Table y, Table x):
    table = twists.get((y.line.n, x.line.n))
    if table is None:
        table = twist_table(&y.line, &x.line)
        if len(twists) >= MAX_TWISTS:
            twists.clear()
        twists[y.line.n, x.line.n] = table
    return table


# --- tiles ---------------------------------------------------------------------------------------

cdef extern from "_pixels.h":
    ctypedef void (*reader)(real*, const char*, Py_ssize_t, Py_ssize_t) noexcept nogil
    ctypedef void (*writer)(char*, const real*, Py_ssize_t, Py_ssize_t) noexcept nogil
    ctypedef struct pixel_type:
        const char* name
        reader read
        writer write
        int size
    const pixel_type* PIXEL_TYPES
    int N_PIXEL_TYPES

cdef enum:
    PLANES = 2                  # of a transform: what rides as real and as imaginary part

# What became of a tile.
cdef enum:
    DONE                        # as promised
    NOT_FINITE                  # an Inf or a NaN in its input: not computed
    UNCERTAIN                   # the error bound does not prove the promise


cdef struct Plane:
    bint there
    Py_ssize_t tile
    const char* image           # the image, or the imaginary parts of its pixels
    char* out
    Py_ssize_t y                # first output
    Py_ssize_t x
    Py_ssize_t rows             # outputs
    Py_ssize_t columns
    int part                    # 1: imaginary
    bint zero                   # all of its input is
    int exponent                # the input was multiplied by two to this power
    double norm                 # of the input, so multiplied


cdef struct Job:
    Line row                    # along x: the transforms of rows
    Line column                 # along y
    const real* twist           # NULL: two dimensions
    const real* spectrum
    const double* taps          # [part][kh][kw]: to do single outputs again
    int taps_parts
    Py_ssize_t kh
    Py_ssize_t kw
    int kernel_exponent         # the kernel was multiplied by two to this power
    # The call: image and output.
    const char* const* images
    char* const* outs
    Axis y
    Axis x
    Py_ssize_t image_row
    Py_ssize_t image_pixel
    Py_ssize_t out_row
    Py_ssize_t out_pixel
    const pixel_type* type
    bint in_place               # pixels are packed words: rows are read and written where they are
    bint out_in_place
    int image_parts
    int out_parts
    real fill[PLANES]
    Py_ssize_t tile_rows        # outputs of a tile
    Py_ssize_t tile_columns
    Py_ssize_t n_ty
    Py_ssize_t n_tx
    Py_ssize_t n_tiles
    double error                # of an output, over the norm of its transform's input
    double least                # relative to that error: outputs above it are certain
    bint round_whole            # certain if the error is below 1/4
    char* status                # [tile]
    Py_ssize_t pitch            # words between rows of a tile


cdef struct Work:
    # Scratch of one transform; phases of one transform may be shared out among threads.
    real* tile                  # column.n rows of row.n complex points
    double* norms               # [PLANES][column.n]: squares of norms of rows
    Plane planes[PLANES]


cdef inline Py_ssize_t first(Py_ssize_t n, Py_ssize_t parts, Py_ssize_t i) noexcept nogil:
    """First of n things that part i has, if all parts have as many but for one."""
    return i * (n // parts) + min(i, n % parts)


cdef void set_planes(const Job* job, Work* work, Py_ssize_t t) noexcept nogil:
    """Which tiles ride in transform t."""
    cdef int p
    cdef Py_ssize_t k, ty, tx
    cdef Plane* plane
    for p in range(PLANES):
        plane = &work.planes[p]
        plane.tile = t * PLANES + p if job.out_parts == 1 else t
        plane.part = 0 if job.out_parts == 1 else p
        plane.there = plane.tile < job.n_tiles
        plane.zero = False
        plane.exponent = 0
        if not plane.there:
            continue
        k = plane.tile // (job.n_ty * job.n_tx)
        ty, tx = plane.tile // job.n_tx % job.n_ty, plane.tile % job.n_tx
        plane.image = job.images[k]
        if plane.part:
            plane.image += job.type.size
        plane.out = job.outs[k] + plane.part * job.type.size
        plane.y, plane.x = first(job.y.m, job.n_ty, ty), first(job.x.m, job.n_tx, tx)
        plane.rows = first(job.y.m, job.n_ty, ty + 1) - plane.y
        plane.columns = first(job.x.m, job.n_tx, tx + 1) - plane.x


cdef const real* input_row(
    const Job* job, const Plane* plane, Py_ssize_t row, real* buffer, Py_ssize_t* count,
) noexcept nogil:
    """Row of a tile's input: `count` words, in the image itself or in the buffer."""
    cdef Py_ssize_t line = job.row.n
    cdef Py_ssize_t p = plane.x + job.x.start, y = plane.y + job.y.start, s, q, n
    cdef Py_ssize_t end = p + plane.columns + job.x.k - 1
    cdef const char* source_row
    cdef real* dst = buffer
    if job.twist != NULL:
        p += row * line
    else:
        y += row
        if row >= plane.rows + job.y.k - 1:
            end = p
    if not plane.there or (job.image_parts == 1 and plane.part == 1):
        end = p
    end = min(end, p + line)
    count[0] = max(0, end - p)
    if count[0] == 0:
        return buffer
    s = source(&job.y, y)
    source_row = plane.image + s * job.image_row
    if s >= 0 and job.in_place and p >= 0 and end <= job.x.n:
        return <const real*>(source_row + p * job.image_pixel)
    while p < end:
        if s >= 0 and 0 <= p < job.x.n:
            n = min(end, job.x.n) - p
            job.type.read(dst, source_row + p * job.image_pixel, n, job.image_pixel)
        else:
            n = 1
            q = source(&job.x, p) if s >= 0 else -1
            if q < 0:
                dst[0] = job.fill[plane.part]
            else:
                job.type.read(dst, source_row + q * job.image_pixel, 1, job.image_pixel)
        p += n
        dst += n
    return buffer


cdef double gather_plane(real* tile, const real* src, Py_ssize_t count, Py_ssize_t n) noexcept nogil:
    """count words into a row of n points, zeros after them; the sum of their squares."""
    cdef Py_ssize_t g = 0, i
    cdef real[LANES] rest
    cdef vec v, total = splat(0)
    cdef double norm = 0
    while g + LANES <= count:
        v = load(src + g)
        store(tile + 2 * g, v)
        total = total + v * v
        g += LANES
    if g < count:
        for i in range(LANES):
            rest[i] = src[g + i] if g + i < count else 0
        v = load(rest)
        store(tile + 2 * g, v)
        total = total + v * v
        g += LANES
    while g < n:
        store(tile + 2 * g, splat(0))
        g += LANES
    store(rest, total)
    for i in range(LANES):
        norm += rest[i]
    return norm


cdef void gather(const Job* job, Work* work, Py_ssize_t row, real* buffer) noexcept nogil:
    cdef int p
    cdef Py_ssize_t count
    cdef const real* src
    for p in range(PLANES):
        src = input_row(job, &work.planes[p], row, buffer, &count)
        work.norms[p * job.column.n + row] = gather_plane(
            work.tile + row * job.pitch + p * LANES, src, count, job.row.n,
        )


# Squares of norms outside these are looked at more closely: products could leave the range.
cdef double LEAST_SQUARE = 2.0 ** (-600 if sizeof(real) == 8 else -60)
cdef double MOST_SQUARE = 2.0 ** (600 if sizeof(real) == 8 else 60)
# Powers of two that are numbers of their own.
cdef int MAX_EXPONENT = 1000 if sizeof(real) == 8 else 120


cdef double norm_square(const Job* job, const Work* work, int p) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t row
    for row in range(job.column.n):
        total += work.norms[p * job.column.n + row]
    return total


cdef void scale_row(real* x, Py_ssize_t n, Py_ssize_t step, int exponent) noexcept nogil:
    """Multiply n vectors, step words apart, by two to a power."""
    cdef Py_ssize_t g, i
    cdef vec factor
    if -MAX_EXPONENT <= exponent <= MAX_EXPONENT:
        factor = splat(<real>scalbn(1, exponent))
        for g in range(n):
            store(x + g * step, load(x + g * step) * factor)
    else:
        for g in range(n):
            for i in range(LANES):
                x[g * step + i] = <real>scalbn(x[g * step + i], exponent)


cdef void scale_plane(const Job* job, Work* work, int p, int exponent) noexcept nogil:
    """Multiply the input by two to a power, which is exact, and measure it again."""
    cdef Py_ssize_t row, g, i
    cdef real* x
    cdef double value
    for row in range(job.column.n):
        x = work.tile + row * job.pitch + p * LANES
        scale_row(x, job.row.n // LANES, PAIR, exponent)
        value = 0
        for g in range(job.row.n // LANES):
            for i in range(LANES):
                value += <double>x[g * PAIR + i] * x[g * PAIR + i]
        work.norms[p * job.column.n + row] = value
    work.planes[p].exponent += exponent


cdef void clear_plane(const Job* job, Work* work, int p) noexcept nogil:
    cdef Py_ssize_t row, g
    for row in range(job.column.n):
        for g in range(job.row.n // LANES):
            store(work.tile + row * job.pitch + g * PAIR + p * LANES, splat(0))
        work.norms[p * job.column.n + row] = 0


cdef double largest(const Job* job, const Work* work, int p) noexcept nogil:
    """Largest size of an input; NaN or Inf if it holds one."""
    cdef Py_ssize_t row, g, i
    cdef double value, most = 0
    for row in range(job.column.n):
        for g in range(job.row.n // LANES):
            for i in range(LANES):
                value = fabs(work.tile[row * job.pitch + g * PAIR + p * LANES + i])
                if not value <= most:
                    most = value
                if most != most:
                    return most
    return most


cdef void settle_tile(const Job* job, Work* work, int begin, int end) noexcept nogil:
    """Bring the input of one tile, the planes begin ... end - 1, into a range that is safe."""
    cdef int p, exponent
    cdef double square = 0, most = 0, value
    for p in range(begin, end):
        square += norm_square(job, work, p)
    if LEAST_SQUARE < square < MOST_SQUARE:
        return
    for p in range(begin, end):
        value = largest(job, work, p)
        if not value <= most:
            most = value
    if most == 0:
        for p in range(begin, end):
            work.planes[p].zero = True
    elif most - most != 0:
        job.status[work.planes[begin].tile] = NOT_FINITE
        for p in range(begin, end):
            clear_plane(job, work, p)
    else:
        frexp(most, &exponent)
        for p in range(begin, end):
            scale_plane(job, work, p, -exponent)


cdef void settle(const Job* job, Work* work) noexcept nogil:
    """Norms and scales of a transform's input.

    Two tiles that ride together share their errors: neither may be much larger than the other.
    """
    cdef double a, b, error
    cdef int exponent, p
    if job.out_parts == 2:
        settle_tile(job, work, 0, 2)
    else:
        for p in range(PLANES):
            if work.planes[p].there:
                settle_tile(job, work, p, p + 1)
        a, b = norm_square(job, work, 0), norm_square(job, work, 1)
        if a > 0 and b > 0 and not 0.25 <= a / b <= 4:
            frexp(sqrt(a / b), &exponent)
            scale_plane(job, work, 1, exponent)
    a, b = norm_square(job, work, 0), norm_square(job, work, 1)
    for p in range(PLANES):
        work.planes[p].norm = sqrt(a + b)
        if job.round_whole and work.planes[p].there:
            error = job.error * work.planes[p].norm
            error = scalbn(error, -work.planes[p].exponent - job.kernel_exponent)
            if not error < 0.25 and job.status[work.planes[p].tile] == DONE:
                job.status[work.planes[p].tile] = UNCERTAIN


cdef void columns_forward(const Job* job, real* tile, Py_ssize_t group) noexcept nogil:
    cdef real* x = tile + group * PAIR
    forward_start(&job.column, x, job.pitch)
    untwiddled_pass(x, job.pitch, job.column.n, False, job.column.radix[job.column.passes - 1])


cdef void columns_inverse(const Job* job, real* tile, Py_ssize_t group) noexcept nogil:
    cdef real* x = tile + group * PAIR
    untwiddled_pass(x, job.pitch, job.column.n, True, job.column.radix[job.column.passes - 1])
    inverse_end(&job.column, x, job.pitch)


cdef void twist_rows(const Job* job, real* tile, Py_ssize_t b, bint inverse) noexcept nogil:
    """Multiply LANES rows by the twist, or by its conjugate."""
    cdef Py_ssize_t r, g
    cdef const real* w = job.twist + b * LANES * 2 * job.row.n
    cdef real* x
    cdef vec wr, wi, xr, xi
    for r in range(LANES):
        x = tile + (b * LANES + r) * job.pitch
        for g in range(job.row.n // LANES):
            wr, wi = load(w), load(w + LANES)
            if inverse:
                wi = -wi
            xr, xi = load(x), load(x + LANES)
            store(x, xr * wr - xi * wi)
            store(x + LANES, xr * wi + xi * wr)
            x += PAIR
            w += PAIR


cdef void transpose_rows(
    const Job* job, real* tile, Py_ssize_t b, real* scratch, Py_ssize_t groups, bint back,
) noexcept nogil:
    """LANES rows of a tile <-> as many transforms side by side."""
    cdef vec[LANES] v
    cdef Py_ssize_t g, r
    cdef int p
    cdef real* x
    cdef real* s
    for g in range(groups):
        for p in range(PLANES):
            x = tile + b * LANES * job.pitch + g * PAIR + p * LANES
            s = scratch + g * LANES * PAIR + p * LANES
            if back:
                for r in range(LANES):
                    v[r] = load(s + r * PAIR)
                transpose(v)
                for r in range(LANES):
                    store(x + r * job.pitch, v[r])
            else:
                for r in range(LANES):
                    v[r] = load(x + r * job.pitch)
                transpose(v)
                for r in range(LANES):
                    store(s + r * PAIR, v[r])


cdef Py_ssize_t input_groups(const Job* job, const Work* work) noexcept nogil:
    """Groups of columns that hold anything but zeros."""
    cdef Py_ssize_t columns = work.planes[0].columns
    if job.twist != NULL:
        return job.row.n // LANES
    if work.planes[1].there:
        columns = max(columns, work.planes[1].columns)
    return (columns + job.x.k - 1 + LANES - 1) // LANES


cdef Py_ssize_t output_groups(const Job* job, const Work* work) noexcept nogil:
    """Groups of columns that any output is taken from."""
    cdef Py_ssize_t columns = work.planes[0].columns
    if job.twist != NULL:
        return job.row.n // LANES
    if work.planes[1].there:
        columns = max(columns, work.planes[1].columns)
    return (columns + LANES - 1) // LANES


cdef void rows(
    const Job* job, const Work* work, Py_ssize_t b, real* scratch, Py_ssize_t groups,
) noexcept nogil:
    """Transform LANES rows, multiply them with the spectrum, and transform them back."""
    cdef Py_ssize_t n = job.row.n
    if job.twist != NULL:
        twist_rows(job, work.tile, b, False)
    transpose_rows(job, work.tile, b, scratch, n // LANES, False)
    forward_start(&job.row, scratch, PAIR)
    middle_pass(
        scratch, n, job.spectrum + b * n * PAIR, job.row.radix[job.row.passes - 1],
    )
    inverse_end(&job.row, scratch, PAIR)
    transpose_rows(job, work.tile, b, scratch, groups, True)
    if job.twist != NULL:
        twist_rows(job, work.tile, b, True)


cdef inline bint wanted(const Job* job, const Plane* plane) noexcept nogil:
    return plane.there and job.status[plane.tile] == DONE


cdef inline Py_ssize_t outputs_of_row(
    const Job* job, const Plane* plane, Py_ssize_t row,
) noexcept nogil:
    if job.twist != NULL:
        return max(0, min(job.row.n, plane.columns - row * job.row.n))
    return plane.columns if row < plane.rows else 0


cdef inline Py_ssize_t place_y(const Job* job, const Plane* plane, Py_ssize_t row) noexcept nogil:
    return plane.y if job.twist != NULL else plane.y + row


cdef inline Py_ssize_t place_x(const Job* job, const Plane* plane, Py_ssize_t row) noexcept nogil:
    return plane.x + row * job.row.n if job.twist != NULL else plane.x


cdef void scatter(const Job* job, Work* work, Py_ssize_t row, real* buffer) noexcept nogil:
    """Write one row of both planes; count the outputs that are not certain."""
    cdef int p
    cdef Py_ssize_t count, g, i
    cdef Plane* plane
    cdef char* out
    cdef const real* x
    cdef real* dst
    cdef real limit
    cdef Py_ssize_t uncertain
    for p in range(PLANES):
        plane = &work.planes[p]
        if not wanted(job, plane):
            continue
        count = outputs_of_row(job, plane, row)
        if count <= 0:
            continue
        out = plane.out + place_y(job, plane, row) * job.out_row
        out += place_x(job, plane, row) * job.out_pixel
        x = work.tile + row * job.pitch + p * LANES
        dst = <real*>out if job.out_in_place else buffer
        if plane.zero:
            memset(dst, 0, count * sizeof(real))
        else:
            g = 0
            while g + LANES <= count:
                store(dst + g, load(x + 2 * g))
                g += LANES
            for i in range(count - g):
                dst[g + i] = x[2 * g + i]
            if job.least > 0:
                uncertain = 0
                limit = <real>(job.least * job.error * plane.norm)
                for i in range(count):
                    uncertain += fabs(dst[i]) < limit
                work.norms[p * job.column.n + row] = uncertain
            if plane.exponent + job.kernel_exponent:
                g = count // LANES
                scale_row(dst, g, LANES, -plane.exponent - job.kernel_exponent)
                for i in range(g * LANES, count):
                    dst[i] = <real>scalbn(dst[i], -plane.exponent - job.kernel_exponent)
        if not job.out_in_place:
            job.type.write(out, dst, count, job.out_pixel)


cdef double pixel_at(
    const Job* job, const char* image, Py_ssize_t y, Py_ssize_t x, int part,
) noexcept nogil:
    cdef Py_ssize_t s = source(&job.y, y), q = source(&job.x, x)
    cdef real value
    if s < 0 or q < 0:
        return job.fill[part]
    job.type.read(
        &value, image + s * job.image_row + q * job.image_pixel + part * job.type.size, 1, 0,
    )
    return value


cdef double defining_sum(
    const Job* job, const char* image, Py_ssize_t y, Py_ssize_t x, int part,
) noexcept nogil:
    """One output, as it is defined."""
    cdef double total = 0, re, im
    cdef Py_ssize_t i, j, n = job.kh * job.kw
    cdef const double* w = job.taps
    cdef bint imaginary_taps = job.taps_parts == 2
    for i in range(job.kh):
        for j in range(job.kw):
            re = pixel_at(job, image, y + job.y.start + i, x + job.x.start + j, 0)
            if job.image_parts == 1:
                total += re * w[part * imaginary_taps * n]
            else:
                im = pixel_at(job, image, y + job.y.start + i, x + job.x.start + j, 1)
                total += (im if part else re) * w[0]
                if imaginary_taps:
                    total += (re if part else -im) * w[n]
            w += 1
    return total


cdef enum:
    # A sum done alone takes some hundred times as long as one of many: with more of them in a
    # tile, the tile is for the direct engine.
    OUTPUTS_PER_SUM = 128


cdef void repair(const Job* job, Work* work, int p) noexcept nogil:
    """Do again those outputs of a tile that are not certain, or give it up."""
    cdef Plane* plane = &work.planes[p]
    cdef Py_ssize_t row, i, y, x, count, uncertain = 0
    cdef const real* s
    cdef real value, limit = <real>(job.least * job.error * plane.norm)
    if job.least <= 0 or plane.zero or not wanted(job, plane):
        return
    for row in range(job.column.n):
        if outputs_of_row(job, plane, row) > 0:
            uncertain += <Py_ssize_t>work.norms[p * job.column.n + row]
    if uncertain > plane.rows * plane.columns // OUTPUTS_PER_SUM:
        job.status[plane.tile] = UNCERTAIN
        return
    for row in range(job.column.n if uncertain else 0):
        count = outputs_of_row(job, plane, row)
        if count <= 0 or work.norms[p * job.column.n + row] == 0:
            continue
        y, x = place_y(job, plane, row), place_x(job, plane, row)
        for i in range(count):
            s = work.tile + row * job.pitch + i // LANES * PAIR + p * LANES + i % LANES
            if fabs(s[0]) < limit:
                value = <real>defining_sum(
                    job, job.images[plane.tile // (job.n_ty * job.n_tx)], y, x + i, plane.part,
                )
                job.type.write(
                    plane.out + y * job.out_row + (x + i) * job.out_pixel, &value, 1, 0,
                )


cdef bint nothing_to_do(const Job* job, const Work* work) noexcept nogil:
    cdef int p
    for p in range(PLANES):
        if wanted(job, &work.planes[p]) and not work.planes[p].zero:
            return False
    return True


cdef void transform(
    const Job* job, Work* work, Py_ssize_t t, real* scratch, int n_threads,
) noexcept nogil:
    """Transform t from gather to scatter, on one thread; its tile stays in that one's cache."""
    cdef Py_ssize_t i
    cdef int p
    cdef real* buffer = scratch + job.row.n * PAIR
    set_planes(job, work, t)
    for i in range(job.column.n):
        gather(job, work, i, buffer)
    settle(job, work)
    if not nothing_to_do(job, work):
        for i in range(input_groups(job, work)):
            columns_forward(job, work.tile, i)
        for i in range(job.column.n // LANES):
            rows(job, work, i, scratch, output_groups(job, work))
        for i in range(output_groups(job, work)):
            columns_inverse(job, work.tile, i)
    for i in range(job.column.n):
        scatter(job, work, i, buffer)
    for p in range(PLANES):
        repair(job, work, p)


cdef void shared_transform(
    const Job* job, Work* work, Py_ssize_t t, real* scratch, Py_ssize_t pitch, int n_threads,
) noexcept nogil:
    """The same, each phase shared out among threads: for few or large tiles."""
    cdef Py_ssize_t i, groups
    cdef int p
    set_planes(job, work, t)
    for i in prange(job.column.n, num_threads=n_threads, schedule="static"):
        gather(job, work, i, scratch + threadid() * pitch + job.row.n * PAIR)
    settle(job, work)
    if not nothing_to_do(job, work):
        groups = output_groups(job, work)
        for i in prange(input_groups(job, work), num_threads=n_threads, schedule="static"):
            columns_forward(job, work.tile, i)
        for i in prange(job.column.n // LANES, num_threads=n_threads, schedule="static"):
            rows(job, work, i, scratch + threadid() * pitch, groups)
        for i in prange(groups, num_threads=n_threads, schedule="static"):
            columns_inverse(job, work.tile, i)
    for i in prange(job.column.n, num_threads=n_threads, schedule="static"):
        scatter(job, work, i, scratch + threadid() * pitch + job.row.n * PAIR)
    for p in range(PLANES):
        repair(job, work, p)


# --- from Python ---------------------------------------------------------------------------------

cdef inline char* aligned(void* p) noexcept nogil:
    return <char*>p + (CACHE_LINE - <size_t>p % CACHE_LINE)


cdef inline size_t whole_lines(double size) noexcept nogil:
    return (<size_t>size + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE


cdef double MAX_BYTES = 1e15


cdef char* allocate(double size) except NULL:
    """What would overflow a size is more than any machine has."""
    cdef char* p = NULL
    if size < MAX_BYTES:
        p = <char*>malloc(<size_t>size + 2 * CACHE_LINE)
    if p == NULL:
        raise MemoryError(f"fastconv could not get {size:.3g} bytes of memory")
    return p


cdef class Spectrum:
    """A kernel, transformed for tiles of one size. Immutable.

    Parameters
    ----------
    taps : float64 array, shape (parts, kh, kw)
        Real and, for a complex kernel, imaginary part; the kernel of a correlation.
    height, width : int
        Points of a tile, multiples of the number of lanes and of no primes but 2, 3 and 5. For a
        line they are the factors of its length.
    line : bool
        Whether the kernel is a row and a tile is a piece of a row.
    workers : int
        Number of threads.
    """

    cdef Job job
    cdef Table column
    cdef Table row
    cdef Table twist
    cdef char* memory
    cdef char* taps_memory
    cdef readonly double norm

    def __cinit__(
        self, const double[:, :, ::1] taps, Py_ssize_t height, Py_ssize_t width, bint line,
        int workers,
    ):
        cdef Job* job = &self.job
        cdef double* w
        cdef Py_ssize_t i, n_taps = taps.shape[0] * taps.shape[1] * taps.shape[2]
        cdef double most = 0, square = 0
        memset(job, 0, sizeof(Job))
        self.column, self.row = line_of(height), line_of(width)
        job.column, job.row = self.column.line, self.row.line
        if line:
            self.twist = twist_of(self.column, self.row)
            job.twist = self.twist.words
        job.taps_parts = taps.shape[0]
        job.kh, job.kw = taps.shape[1], taps.shape[2]
        # An odd number of cache lines, lest the rows of a column compete for the same few sets.
        job.pitch = 2 * width + CACHE_LINE // <Py_ssize_t>sizeof(real)
        self.taps_memory = allocate(<double>n_taps * sizeof(double))
        w = <double*>aligned(self.taps_memory)
        memcpy(w, &taps[0, 0, 0], n_taps * sizeof(double))
        job.taps = w
        for i in range(n_taps):
            most = max(most, fabs(w[i]))
        if most > 0:
            # To about one, so that no square leaves the range; undone where it need not be.
            frexp(most, &job.kernel_exponent)
            job.kernel_exponent = -job.kernel_exponent
            if -30 <= job.kernel_exponent <= 30:
                job.kernel_exponent = 0
        for i in range(n_taps):
            square += scalbn(w[i], job.kernel_exponent) ** 2
        self.norm = sqrt(square)
        self.memory = allocate(2.0 * height * width * sizeof(real))
        self.fill(<real*>aligned(self.memory), workers)
        job.spectrum = <real*>aligned(self.memory)

    def __dealloc__(self):
        free(self.memory)
        free(self.taps_memory)

    cdef int fill(self, real* spectrum, int workers) except -1:
        """Reversed kernel: conj(DFT(conj(W))), over the number of points."""
        cdef Job* job = &self.job
        cdef Py_ssize_t i, j, p, y, x, n_blocks = job.column.n // LANES
        cdef Py_ssize_t width = job.row.n
        cdef Py_ssize_t groups
        cdef const double* w = job.taps
        cdef real* tile
        cdef real* to
        cdef real factor = <real>(1.0 / (<double>job.column.n * width))
        cdef size_t size = whole_lines(<double>job.column.n * job.pitch * sizeof(real))
        cdef int n_threads = <int>min(<Py_ssize_t>workers, n_blocks)
        cdef char* arena = allocate(<double>size)
        tile = <real*>aligned(arena)
        if job.column.n * width < 1 << 15:
            n_threads = 1
        with nogil:
            memset(tile, 0, size)
            for p in range(job.taps_parts):
                for i in range(job.kh):
                    for j in range(job.kw):
                        y, x = (j // width, j % width) if job.twist != NULL else (i, j)
                        to = tile + y * job.pitch + x // LANES * PAIR + p * LANES + x % LANES
                        to[0] = <real>scalbn(-w[0] if p else w[0], job.kernel_exponent)
                        w += 1
            groups = width // LANES
            if job.twist == NULL:
                groups = (job.kw + LANES - 1) // LANES
            for i in prange(groups, num_threads=n_threads, schedule="static"):
                columns_forward(job, tile, i)
            for i in prange(n_blocks, num_threads=n_threads, schedule="static"):
                spectrum_of_rows(job, tile, i, spectrum + i * width * PAIR, factor)
        free(arena)
        return 0

    def run(
        self, image, out, str type, int image_parts, Py_ssize_t start_y, Py_ssize_t start_x,
        int boundary, fill, double error, double least, bint round_whole, int workers,
    ):
        """Solve a problem, but for the tiles returned: (image, y0, y1, x0, x1) of each.

        Parameters
        ----------
        image, out : arrays, shape (..., H, W) and (..., m_y, m_x)
            Real parts where they are complex.
        type : str
            Of a real part, in NumPy's letters.
        image_parts : int
            2 if the image is complex.
        start_y, start_x : int
            Image coordinate under the first tap of the first output.
        boundary : int
        fill : tuple of float
        error : float
            Bound of an output's error over the norms of tile and kernel.
        least : float
            Outputs below this times their error are uncertain; 0: none is.
        round_whole : bool
            Whether outputs are integers: tiles whose error may reach 1/4 are uncertain.
        workers : int
        """
        cdef Job job = self.job
        cdef Py_buffer image_view, out_view
        cdef bytes name = type.encode()
        cdef int i
        for i in range(N_PIXEL_TYPES):
            if name == PIXEL_TYPES[i].name:
                job.type = &PIXEL_TYPES[i]
        job.image_parts = image_parts
        job.out_parts = max(image_parts, job.taps_parts)
        job.fill[0], job.fill[1] = fill
        job.error = error * self.norm
        job.least = least
        job.round_whole = round_whole
        PyObject_GetBuffer(image, &image_view, PyBUF_STRIDES)
        try:
            PyObject_GetBuffer(out, &out_view, PyBUF_STRIDES | PyBUF_WRITABLE)
            try:
                return solve(&job, &image_view, &out_view, start_y, start_x, boundary, workers)
            finally:
                PyBuffer_Release(&out_view)
        finally:
            PyBuffer_Release(&image_view)


cdef void spectrum_of_rows(
    const Job* job, real* tile, Py_ssize_t b, real* to, real factor,
) noexcept nogil:
    cdef Py_ssize_t x, n = job.row.n
    if job.twist != NULL:
        twist_rows(job, tile, b, False)
    transpose_rows(job, tile, b, to, n // LANES, False)
    forward_start(&job.row, to, PAIR)
    untwiddled_pass(to, PAIR, n, False, job.row.radix[job.row.passes - 1])
    for x in range(n):
        store(to + x * PAIR, splat(factor) * load(to + x * PAIR))
        store(to + x * PAIR + LANES, splat(-factor) * load(to + x * PAIR + LANES))


cdef void offsets(Py_buffer* view, Py_ssize_t count, char** to) noexcept:
    """Addresses of the images of a stack, its last axes left out."""
    cdef Py_ssize_t k, rest
    cdef int axis
    cdef char* p
    for k in range(count):
        p = <char*>view.buf
        rest = k
        for axis in range(view.ndim - 3, -1, -1):
            p += rest % view.shape[axis] * view.strides[axis]
            rest //= view.shape[axis]
        to[k] = p


cdef solve(
    Job* job, Py_buffer* image, Py_buffer* out, Py_ssize_t start_y, Py_ssize_t start_x,
    int boundary, int workers,
):
    cdef int y = image.ndim - 2, x = image.ndim - 1, axis
    cdef Py_ssize_t size = sizeof(real), n_images = 1, n_transforms, most, t, n_tables
    cdef Py_ssize_t scratch_pitch
    cdef size_t tables_size, tile_size, norms_size, scratch_size
    cdef int n_threads, n_works
    cdef bint shared
    cdef char* arena
    cdef char* memory
    cdef char* scratch
    cdef Work* works
    cdef bytes status
    for axis in range(image.ndim - 2):
        n_images *= image.shape[axis]
    job.image_row, job.image_pixel = image.strides[y], image.strides[x]
    job.out_row, job.out_pixel = out.strides[y], out.strides[x]
    job.y.n, job.y.m, job.y.k, job.y.start = image.shape[y], out.shape[y], job.kh, start_y
    job.x.n, job.x.m, job.x.k, job.x.start = image.shape[x], out.shape[x], job.kw, start_x
    job.in_place = job.image_pixel == size and job.type.size == size
    job.out_in_place = job.out_pixel == size and job.type.size == size and job.out_row % size == 0
    # As many outputs to each tile, but for one.
    if job.twist != NULL:
        job.n_ty = job.y.m
        most = job.column.n * job.row.n - job.kw + 1
    else:
        most = job.column.n - job.kh + 1
        job.n_ty = (job.y.m + most - 1) // most
        most = job.row.n - job.kw + 1
    job.n_tx = (job.x.m + most - 1) // most
    job.n_tiles = n_images * job.n_ty * job.n_tx
    n_transforms = job.n_tiles
    if job.out_parts == 1:
        n_transforms = (job.n_tiles + PLANES - 1) // PLANES
    n_threads = workers
    if job.column.n * job.row.n * n_transforms < 1 << 15:
        n_threads = 1
    # One transform for each thread, or all threads to each.
    shared = n_threads > 1 and n_transforms < 4 * n_threads and n_transforms % n_threads != 0
    if not shared:
        n_threads = <int>min(<Py_ssize_t>n_threads, n_transforms)
    n_works = 1 if shared else n_threads

    status = bytes(job.n_tiles)
    job.status = <char*>status
    n_tables = n_before(&job.y) + n_after(&job.y) + n_before(&job.x) + n_after(&job.x)
    tables_size = whole_lines(<double>n_tables * sizeof(Py_ssize_t))
    tables_size += whole_lines(2.0 * n_images * sizeof(char*)) + whole_lines(n_works * sizeof(Work))
    tile_size = whole_lines(<double>job.column.n * job.pitch * sizeof(real))
    norms_size = whole_lines(<double>PLANES * job.column.n * sizeof(double))
    scratch_pitch = (PAIR + 1) * job.row.n + CACHE_LINE // size
    scratch_size = whole_lines(<double>scratch_pitch * size)
    scratch_pitch = scratch_size // size
    arena = allocate(
        <double>tables_size + <double>n_works * (tile_size + norms_size)
        + <double>n_threads * scratch_size + 3 * CACHE_LINE
    )
    memory = aligned(arena)
    job.y.before = <Py_ssize_t*>memory
    job.y.after = job.y.before + n_before(&job.y)
    job.x.before = job.y.after + n_after(&job.y)
    job.x.after = job.x.before + n_before(&job.x)
    memory += whole_lines(<double>n_tables * sizeof(Py_ssize_t))
    job.images = <const char**>memory
    job.outs = <char**>memory + n_images
    offsets(image, n_images, <char**>memory)
    offsets(out, n_images, <char**>memory + n_images)
    memory += whole_lines(2.0 * n_images * sizeof(char*))
    works = <Work*>memory
    memory += whole_lines(n_works * sizeof(Work))
    for t in range(n_works):
        works[t].tile = <real*>memory
        memory += tile_size
        works[t].norms = <double*>memory
        memory += norms_size
    scratch = memory
    with nogil:
        fill_tables(&job.y, boundary)
        fill_tables(&job.x, boundary)
        if shared:
            for t in range(n_transforms):
                shared_transform(job, works, t, <real*>scratch, scratch_pitch, n_threads)
        elif n_threads == 1:
            for t in range(n_transforms):
                transform(job, works, t, <real*>scratch, 1)
        else:
            for t in prange(n_transforms, num_threads=n_threads, schedule="dynamic", chunksize=1):
                transform(
                    job, works + threadid(), t, <real*>scratch + threadid() * scratch_pitch, 1,
                )
        free(arena)
    return [
        (
            t // (job.n_ty * job.n_tx),
            first(job.y.m, job.n_ty, t // job.n_tx % job.n_ty),
            first(job.y.m, job.n_ty, t // job.n_tx % job.n_ty + 1),
            first(job.x.m, job.n_tx, t % job.n_tx),
            first(job.x.m, job.n_tx, t % job.n_tx + 1),
        )
        for t in range(job.n_tiles) if job.status[t] != DONE
    ]
