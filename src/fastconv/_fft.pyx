# The Fourier engine: overlap-save tiles that stay in cache.
#
#     tile:   Z = DFT2(A),   Z[k] *= H[k],   out = IDFT2(Z)
#
# H is the spectrum of the kernel, reversed. Every output of a tile that needs no wrapped input is
# the defining sum; an axis of n points serves n - k + 1 outputs. What wraps around may also be zero
# on both sides: then a tile serves as many as there are.
#
# A real tile has twice as many rows as its transform: the lower half rides as the imaginary part.
# With z[y] = a[y] + i a[y + n] and w = exp(i pi / (2 n)), the transform of z[y] w^y evaluates the
# polynomial of 2 n coefficients a modulo t^n - i, at n points; the product of two such is that of
# the polynomials modulo t^(2 n) + 1: what wraps around is negated, and not wanted anyway. There is
# nothing to disentangle (right-angle convolution: Crandall and Pomerance, "Prime Numbers", 9.5.3).
# A complex tile rides as it is.
#
# With n = R m rows, forward, the inverse the other way round:
#
#     spread                  first pass along y: R rows, m apart, become R rows of R blocks
#     blocks                  m rows, which stay in cache, to the end and back:
#       columns               transforms of m points along y, LANES columns at a time
#       rows                  LANES rows at a time: transpose, transform along x, times H, back
#       columns_back
#     collect                 last pass along y, into rows of the output
#
# Forward transforms decimate in frequency, inverse ones in time: the product is taken in the order
# the forward ones leave, so nothing is ever reordered.
#
# A line (1-D) is the same tile. With index X y + x and frequency k + n l, a transform of n X points
# is one along y, a multiplication by exp(-2 pi i x k / (n X)), the twist, and one along x.
#
# This file does not know its word (_word.pxd) nor its instruction set (_simd.h). Images and outputs
# may be of another type than the word it computes in: they are converted as they are read and
# written.

from cpython.buffer cimport (
    PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.math cimport fabs, frexp, scalbn, sqrt
from libc.string cimport memcpy, memset

from _word cimport NAME, elem, real

from fastconv._butterflies cimport LANES, MAX_RADIX, PAIR, load, splat, store, vec
from fastconv._lines cimport (
    Line, final_pass, first_pass, forward, frequency, inverse, middle, radices, root,
)
from fastconv._runtime cimport (
    PATIENCE, Call, begin, count_one, ended, finish, hear_until, is_stopped, stopped,
)
from fastconv._tiles cimport FILL, Axis, fill_tables, n_after, n_before, share, source

cdef extern from "_simd.h":
    const char* LEVEL
    enum: CACHE_LINE

cdef extern from "_memory.h":
    void* scratch(size_t) nogil
    void give_back(void*) nogil

cdef extern from "_transpose.h":
    void transpose(vec*) noexcept nogil

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

cdef extern from "_rounding.h":
    ctypedef struct environment:
        pass
    environment usual_environment() noexcept nogil
    void restore_environment(environment) noexcept nogil

BUILD = {
    "level": LEVEL.decode(),
    "word": NAME.decode(),
    "itemsize": sizeof(elem),
    "lanes": LANES,
    "rounded_twiddles": sizeof(long double) > sizeof(real),    # from more digits than they keep
}

ctypedef const real* source_row
ctypedef real* target_row

cdef enum:
    PARTS = 2                   # real and imaginary
    GROUPS_AT_ONCE = PATIENCE // (PARTS * LANES)    # of LANES columns, between looks for signals
    CACHE_BYTES = 1 << 18       # of a block, which shares the L2 cache with its spectrum

# What became of a tile.
cdef enum:
    DONE                        # as promised
    NOT_FINITE                  # an Inf or a NaN in its input: not computed
    UNCERTAIN                   # the error bound does not prove the promise

# Squares of norms outside these are looked at more closely: products could leave the range.
cdef double LEAST_SQUARE = 2.0 ** (-600 if sizeof(real) == 8 else -60)
cdef double MOST_SQUARE = 2.0 ** (600 if sizeof(real) == 8 else 60)
cdef double MAX_BYTES = 1e15


# --- memory and tables ---------------------------------------------------------------------------

cdef inline char* aligned(void* p) noexcept nogil:
    return <char*>p + (CACHE_LINE - <size_t>p % CACHE_LINE)


cdef inline size_t whole_lines(double size) noexcept nogil:
    return (<size_t>size + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE


cdef char* allocate(double size) except NULL:
    """Memory with room to align it. What would overflow a size is more than any machine has."""
    cdef char* p = NULL
    if size < MAX_BYTES:
        p = <char*>scratch(<size_t>size + 2 * CACHE_LINE)
    if p == NULL:
        raise MemoryError(f"fastconv could not get {size:.3g} bytes of memory")
    return p


cdef class Memory:
    """Words that are freed with their owner."""

    cdef char* block
    cdef real* words

    def __cinit__(self, double size):
        self.block = NULL
        self.block = allocate(size * sizeof(real))
        self.words = <real*>aligned(self.block)

    def __dealloc__(self):
        give_back(self.block)


cdef struct Grid:
    # Tiles of one size.
    Py_ssize_t n                # rows of points
    Py_ssize_t m                # of a block
    int radix                   # blocks
    Line column                 # transforms of m points along y
    Line row                    # along x
    bint line
    bint folded                 # real: the lower half of its rows rides as the imaginary part
    const real* turn            # [m][radix]: w^y of the rows of a first pass
    const real* first           # [m][radix - 1]: its twiddles
    const real* twist           # [n][row.n], NULL if this is no line


cdef int outer_radix(Py_ssize_t n, Py_ssize_t row_bytes) noexcept:
    """Blocks of n rows: as few as it takes for one to stay in cache."""
    cdef int best = 1, r
    for r in (2, 3, 5, 4):
        if n % (r * LANES) == 0 and n > r:
            best = r
    if n % (8 * LANES) == 0 and n // best * row_bytes > CACHE_BYTES:
        best = 8
    return best


cdef enum:
    ROOTS = PATIENCE // 8       # of unity, or so many times the radix, between looks for signals


cdef object line_tables(Line* line, Py_ssize_t n):
    """Factors and twiddles of a line; returns the owner of their memory."""
    cdef tuple factors = radices(n)
    cdef Py_ssize_t m = n, j, q, words = 0
    cdef int s, r
    cdef long double[2] exact
    cdef real* w
    cdef Memory memory
    if not factors:
        raise ValueError(f"no transform of {n} points")
    for r in factors:
        m //= r
        words += m * (2 * r - 2)
    memory = Memory(words)
    line.n = n
    line.passes = len(factors)
    w = memory.words
    m = n
    for s, r in enumerate(factors):
        line.radix[s] = r
        line.w[s] = w
        m //= r
        for j in range(m):
            if j % ROOTS == 0:
                PyErr_CheckSignals()
            for q in range(1, r):
                root(exact, j * q, m * r)
                w[0], w[1] = <real>exact[0], <real>exact[1]
                w += 2
    return memory


cdef Py_ssize_t frequency_of_row(const Grid* grid, Py_ssize_t y) noexcept:
    return y // grid.m + grid.radix * frequency(&grid.column, y % grid.m)


cdef enum:
    FINE = 256


cdef Memory twist_table(const Grid* grid):
    """exp(-2 pi i x k / (n X)), times w^(x / X) of a folded line.

    In parts of a circle 4 n X: x (4 k - 1) or 4 x k. Each is the product of the roots of a multiple
    of FINE and of a rest, for sines take their time.
    """
    cdef Py_ssize_t y, x, k, e, width = grid.row.n
    cdef Py_ssize_t circle = 4 * grid.n * width
    cdef Py_ssize_t coarse = circle // FINE + 1
    cdef Memory memory = Memory(2.0 * grid.n * width)
    cdef real* w
    cdef long double* a
    cdef long double* b
    cdef Memory owner = Memory(2.0 * (coarse + FINE) * sizeof(long double) / sizeof(real))
    cdef long double* roots = <long double*>owner.words
    for e in range(coarse):
        if e % ROOTS == 0:
            PyErr_CheckSignals()
        root(roots + 2 * e, FINE * e, circle)
    for e in range(FINE):
        root(roots + 2 * (coarse + e), e, circle)
    for y in range(grid.n):
        PyErr_CheckSignals()
        k = 4 * frequency_of_row(grid, y) - grid.folded
        for x in range(width):
            e = x * k
            if e < 0:
                e += circle
            a = roots + 2 * (e // FINE)
            b = roots + 2 * (coarse + e % FINE)
            w = memory.words + y * 2 * width + x // LANES * PAIR + x % LANES
            w[0] = <real>(a[0] * b[0] - a[1] * b[1])
            w[LANES] = <real>(a[0] * b[1] + a[1] * b[0])
    return memory


cdef class Tables:
    """A grid and what it points to. Immutable."""

    cdef Grid grid
    cdef list owners

    def __cinit__(self, Py_ssize_t height, Py_ssize_t width, bint line, bint folded):
        cdef Grid* grid = &self.grid
        cdef Py_ssize_t y, q, r
        cdef long double[2] exact
        cdef Memory turn, first, twist
        cdef real* w
        if height % LANES or width % LANES:
            raise ValueError(f"no tiles of {height} x {width} points")
        memset(grid, 0, sizeof(Grid))
        grid.line, grid.folded = line, folded
        grid.radix = r = outer_radix(height, width * 2 * sizeof(real))
        grid.n, grid.m = height, height // r
        self.owners = [line_tables(&grid.column, grid.m), line_tables(&grid.row, width)]
        turn, first = Memory(2 * height), Memory(2 * height)
        w = turn.words
        for y in range(grid.m):
            if y % ROOTS == 0:
                PyErr_CheckSignals()
            for q in range(r):
                root(exact, -(y + q * grid.m) if folded else 0, 4 * height)
                w[0], w[1] = <real>exact[0], <real>exact[1]
                w += 2
        w = first.words
        for y in range(grid.m):
            if y % ROOTS == 0:
                PyErr_CheckSignals()
            for q in range(1, r):
                root(exact, y * q, height)
                w[0], w[1] = <real>exact[0], <real>exact[1]
                w += 2
        grid.turn, grid.first = turn.words, first.words
        self.owners += [turn, first]
        if line:
            twist = twist_table(grid)
            grid.twist = twist.words
            self.owners.append(twist)


def passes(Py_ssize_t height, Py_ssize_t width):
    """Radices of the passes that a tile goes through: blocks, columns, rows."""
    r = outer_radix(height, width * 2 * <Py_ssize_t>sizeof(real))
    return r, radices(height // r), radices(width)


# Tables are the same for all kernels. Two threads may both make one; either will do.
cdef dict tables = {}

cdef enum:
    MAX_TABLES = 16             # that are kept
    LARGEST_TWIST = 1 << 18     # points: a twist is as large as a tile


cdef Tables tables_of(tuple key):
    cdef Tables found = tables.get(key)
    cdef environment before
    if found is None:
        before = usual_environment()    # tables outlive that of the call
        try:
            found = Tables(*key)
        finally:
            restore_environment(before)
        if found.grid.twist != NULL and found.grid.n * found.grid.row.n > LARGEST_TWIST:
            return found
        if len(tables) >= MAX_TABLES:
            tables.clear()
        tables[key] = found
    return found


# --- one tile ------------------------------------------------------------------------------------

cdef struct Job:
    Call* call
    Grid grid
    const real* spectrum
    const double* taps          # [part][kh][kw]: to do single outputs again
    int taps_parts
    Py_ssize_t kh
    Py_ssize_t kw
    int kernel_exponent         # the kernel was multiplied by two to this power
    # The call: image and output.
    const char** images
    char** outs
    Axis y
    Axis x
    Py_ssize_t image_row        # bytes between rows
    Py_ssize_t image_pixel
    Py_ssize_t out_row
    Py_ssize_t out_pixel
    const pixel_type* type
    bint native                 # it is the word's
    bint in_place               # pixels are packed words: rows are read where they are
    bint out_in_place           # and written
    int image_parts
    real fill[PARTS]
    Py_ssize_t n_ty
    Py_ssize_t n_tx
    Py_ssize_t n_tiles
    double error                # of an output, over the norm of its tile
    double least                # relative to that error: outputs above it are certain
    bint round_whole            # certain if the error is below 1/4
    char* status                # [tile]
    const real* zeros           # a row
    Py_ssize_t pitch            # words between rows of a tile


cdef struct Work:
    real* tile                  # grid.n rows of row.n complex points
    double* squares             # [grid.m]: of the norms of what each first pass read
    Py_ssize_t t
    Py_ssize_t image
    Py_ssize_t y                # first output
    Py_ssize_t x
    Py_ssize_t rows             # outputs
    Py_ssize_t columns
    bint zero                   # all of the input is
    int exponent                # the input is multiplied by two to this power
    double norm                 # of the input, so multiplied


cdef void place(const Job* job, Work* work, Py_ssize_t t) noexcept nogil:
    """Which outputs are tile t's."""
    cdef Py_ssize_t ty = t // job.n_tx % job.n_ty, tx = t % job.n_tx
    work.t = t
    work.image = t // job.n_tx // job.n_ty
    work.y, work.x = share(job.y.m, job.n_ty, ty), share(job.x.m, job.n_tx, tx)
    work.rows = share(job.y.m, job.n_ty, ty + 1) - work.y
    work.columns = share(job.x.m, job.n_tx, tx + 1) - work.x
    work.zero = False
    work.exponent = 0


# Row `row` of part `part` of a tile's points is a row of its input, and of its output: in a folded
# tile, of the upper or the lower half.

cdef inline Py_ssize_t row_of(const Job* job, Py_ssize_t row, int part) noexcept nogil:
    return row + part * job.grid.n if job.grid.folded else row


cdef inline int part_of(const Job* job, int part) noexcept nogil:
    return 0 if job.grid.folded else part


cdef const real* input_row(
    const Job* job, const Work* work, Py_ssize_t row, int part, real* buffer, Py_ssize_t* worked,
) noexcept nogil:
    """A row of a tile's input, row.n words: in the image itself, or in the buffer."""
    cdef Py_ssize_t width = job.grid.row.n
    cdef Py_ssize_t y = work.y + job.y.start, p = work.x + job.x.start
    cdef Py_ssize_t end = p + work.columns + job.x.k - 1, s, q, n, i
    cdef const char* src
    cdef real* dst = buffer
    row = row_of(job, row, part)
    part = part_of(job, part)
    if job.grid.line:
        p += row * width
    else:
        y += row
    if part >= job.image_parts or p >= end or (
        not job.grid.line and row >= work.rows + job.y.k - 1
    ):
        return job.zeros
    s = source(&job.y, y)
    src = job.images[work.image] + s * job.image_row + part * job.type.size
    if s >= 0 and p >= 0 and p + width <= job.x.n:
        # What lies beyond the input reaches no output that is wanted, but their last bits: it is
        # read whether the row is copied or not.
        if job.in_place and work.exponent == 0:
            return <const real*>(src + p * job.image_pixel)
        end = p + width
    end = min(end, p + width)
    while p < end:
        n = 1
        if s >= 0 and 0 <= p < job.x.n:
            n = min(end, job.x.n) - p
            job.type.read(dst, src + p * job.image_pixel, n, job.image_pixel)
        else:
            q = source(&job.x, p) if s >= 0 else -1
            if q < 0:
                dst[0] = job.fill[part]
            else:
                job.type.read(dst, src + q * job.image_pixel, 1, job.image_pixel)
        p += n
        dst += n
    memset(dst, 0, (width - (dst - buffer)) * sizeof(real))
    if work.exponent:
        for i in range(width):
            if ended(job.call, 1, worked):
                break
            buffer[i] = <real>scalbn(buffer[i], work.exponent)
    return buffer


cdef double sum_of_lanes(vec v) noexcept nogil:
    cdef real[LANES] words
    cdef double total = 0
    cdef int i
    store(words, v)
    for i in range(LANES):
        total += words[i]
    return total


cdef inline Py_ssize_t all_groups(const Job* job) noexcept nogil:
    """Of LANES columns."""
    return job.grid.row.n // LANES


# Steps of a tile's transform: loops, from `start` to before `end`, over what may be done in any
# order. A buffer has a thread's own words.
ctypedef void (*step)(
    const Job* job, Work* work, Py_ssize_t start, Py_ssize_t end, real* buffer,
) noexcept nogil


cdef inline double spread_rows(
    const Job* job, const Work* work, Py_ssize_t y, const real** src, Py_ssize_t* worked,
) noexcept nogil:
    """First pass along y of the rows y, y + m, y + 2 m, ...; the sum of their squares."""
    cdef const Grid* grid = &job.grid
    cdef int r = grid.radix
    cdef double squares = 0
    cdef Py_ssize_t g, end = 0
    while end < all_groups(job):
        g, end = end, min(end + GROUPS_AT_ONCE, all_groups(job))
        if ended(job.call, (end - g) * PARTS * r, worked):
            break
        squares += sum_of_lanes(
            first_pass(
                src, work.tile + y * job.pitch, grid.m * job.pitch, g, end,
                grid.turn + 2 * r * y, grid.first + (2 * r - 2) * y, r,
            ),
        )
    return squares


cdef void spread(
    const Job* job, Work* work, Py_ssize_t start, Py_ssize_t end, real* buffer,
) noexcept nogil:
    """First pass along y, of the input: for each y < m."""
    cdef const Grid* grid = &job.grid
    cdef environment before = usual_environment()
    cdef source_row[PARTS * MAX_RADIX] src
    cdef Py_ssize_t y, worked = 0
    cdef int p, q, r = grid.radix
    for y in range(start, end):
        for p in range(PARTS):
            for q in range(r):
                if ended(job.call, all_groups(job), &worked):
                    break
                src[p * r + q] = input_row(
                    job, work, y + q * grid.m, p, buffer + (p * r + q) * grid.row.n, &worked,
                )
        if is_stopped(job.call):
            break
        work.squares[y] = spread_rows(job, work, y, src, &worked)
    restore_environment(before)


cdef double largest_input(const Job* job, const Work* work, real* buffer) noexcept nogil:
    """Largest size of an input; NaN or Inf if there is one."""
    cdef Py_ssize_t y, x, worked = 0
    cdef int p
    cdef double value, most = 0
    cdef const real* src
    for y in range(job.grid.n):
        for p in range(PARTS):
            if ended(job.call, job.grid.row.n, &worked):
                return most
            src = input_row(job, work, y, p, buffer, &worked)
            for x in range(job.grid.row.n):
                value = fabs(src[x])
                if not value <= most:
                    most = value
                if most != most:
                    return most
    return most


cdef double norm(const Job* job, const Work* work) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t y
    for y in range(job.grid.m):
        total += work.squares[y]
    return sqrt(total)


cdef bint settle(const Job* job, Work* work, real* buffer) noexcept nogil:
    """Look at the norm of the input; whether it has to be read again, scaled."""
    cdef double most
    cdef environment before
    work.norm = norm(job, work)
    if LEAST_SQUARE < work.norm * work.norm < MOST_SQUARE:
        return False
    before = usual_environment()
    most = largest_input(job, work, buffer)
    restore_environment(before)
    if most == 0:
        work.zero = True
    elif most - most != 0:
        job.status[work.t] = NOT_FINITE
    else:
        frexp(most, &work.exponent)
        work.exponent = -work.exponent
    return work.exponent != 0


cdef void certify_whole(const Job* job, const Work* work) noexcept nogil:
    cdef double error = job.error * work.norm
    if job.round_whole and not scalbn(error, -work.exponent - job.kernel_exponent) < 0.25:
        job.status[work.t] = UNCERTAIN


cdef inline bint to_compute(const Job* job, const Work* work) noexcept nogil:
    return job.status[work.t] == DONE and not work.zero


cdef void twist_rows(const Job* job, real* x, const real* w, bint back) noexcept nogil:
    """Multiply LANES rows by the twist, or by its conjugate."""
    cdef Py_ssize_t _, g
    cdef vec wr, wi, xr, xi
    for _ in range(LANES):
        for g in range(job.grid.row.n // LANES):
            wr, wi = load(w), load(w + LANES)
            if back:
                wi = -wi
            xr, xi = load(x + g * PAIR), load(x + g * PAIR + LANES)
            store(x + g * PAIR, xr * wr - xi * wi)
            store(x + g * PAIR + LANES, xr * wi + xi * wr)
            w += PAIR
        x += job.pitch


cdef void transpose_rows(
    const Job* job, real* x, real* lines, Py_ssize_t groups, bint back, Py_ssize_t* worked,
) noexcept nogil:
    """LANES rows of a tile <-> as many lines side by side."""
    cdef Py_ssize_t g, end = 0
    while end < groups:
        g, end = end, min(end + GROUPS_AT_ONCE, groups)
        if ended(job.call, (end - g) * PARTS * LANES, worked):
            return
        transpose_some(job, x, lines, g, end, back)


cdef inline void transpose_some(
    const Job* job, real* x, real* lines, Py_ssize_t first, Py_ssize_t end, bint back,
) noexcept nogil:
    cdef vec[LANES] v
    cdef Py_ssize_t g, r
    cdef int p
    cdef real* a
    cdef real* b
    for g in range(first, end):
        for p in range(PARTS):
            a = x + g * PAIR + p * LANES
            b = lines + g * LANES * PAIR + p * LANES
            if back:
                for r in range(LANES):
                    v[r] = load(b + r * PAIR)
                transpose(v)
                for r in range(LANES):
                    store(a + r * job.pitch, v[r])
            else:
                for r in range(LANES):
                    v[r] = load(a + r * job.pitch)
                transpose(v)
                for r in range(LANES):
                    store(b + r * PAIR, v[r])


# Once, not inlined wherever they are called.

cdef void transform(
    Call* call, Py_ssize_t* worked, const Line* line, real* x, Py_ssize_t stride, bint all_passes,
) noexcept nogil:
    if not ended(call, PARTS * line.n, worked):
        forward(call, worked, line, x, stride, all_passes)


cdef void transform_back(
    Call* call, Py_ssize_t* worked, const Line* line, real* x, Py_ssize_t stride, bint all_passes,
) noexcept nogil:
    if not ended(call, PARTS * line.n, worked):
        inverse(call, worked, line, x, stride, all_passes)


cdef inline Py_ssize_t output_groups(const Job* job, const Work* work) noexcept nogil:
    """Those that any output is taken from."""
    return all_groups(job) if job.grid.line else (work.columns + LANES - 1) // LANES


cdef void each_group(
    const Job* job, Work* work, Py_ssize_t start, Py_ssize_t end, Py_ssize_t groups,
    void (*transform_of)(Call*, Py_ssize_t*, const Line*, real*, Py_ssize_t, bint) noexcept nogil,
) noexcept nogil:
    """Transforms of m points along y: `groups` times LANES columns of one block after the other."""
    cdef environment before = usual_environment()
    cdef Py_ssize_t i, worked = 0
    cdef real* x
    for i in range(start, end):
        if is_stopped(job.call):
            break
        x = work.tile + i // groups * job.grid.m * job.pitch + i % groups * PAIR
        transform_of(job.call, &worked, &job.grid.column, x, job.pitch, True)
    restore_environment(before)


cdef void columns(
    const Job* job, Work* work, Py_ssize_t start, Py_ssize_t end, real* buffer,
) noexcept nogil:
    each_group(job, work, start, end, all_groups(job), transform)


cdef void columns_back(
    const Job* job, Work* work, Py_ssize_t start, Py_ssize_t end, real* buffer,
) noexcept nogil:
    each_group(job, work, start, end, output_groups(job, work), transform_back)


cdef void rows(
    const Job* job, Work* work, Py_ssize_t start, Py_ssize_t end, real* buffer,
) noexcept nogil:
    """LANES rows to the end of their transform, times the spectrum, and back."""
    cdef environment before = usual_environment()
    cdef const Grid* grid = &job.grid
    cdef Py_ssize_t i, after, groups = output_groups(job, work), worked = 0
    cdef real* x
    for i in range(start, end):
        if is_stopped(job.call):
            break
        x = work.tile + i * LANES * job.pitch
        after = i * LANES * 2 * grid.row.n
        if grid.line:
            twist_rows(job, x, grid.twist + after, False)
        transpose_rows(job, x, buffer, all_groups(job), False, &worked)
        transform(job.call, &worked, &grid.row, buffer, PAIR, False)
        middle(job.call, &worked, &grid.row, buffer, job.spectrum + after)
        transform_back(job.call, &worked, &grid.row, buffer, PAIR, False)
        transpose_rows(job, x, buffer, groups, True, &worked)
        if grid.line:
            twist_rows(job, x, grid.twist + after, True)
    restore_environment(before)


cdef inline Py_ssize_t outputs_of_row(
    const Job* job, const Work* work, Py_ssize_t row, int part,
) noexcept nogil:
    row = row_of(job, row, part)
    if job.grid.line:
        return max(0, min(job.grid.row.n, work.columns - row * job.grid.row.n))
    return work.columns if row < work.rows else 0


cdef char* output_row(
    const Job* job, const Work* work, Py_ssize_t row, int part,
) noexcept nogil:
    cdef Py_ssize_t y = work.y, x = work.x
    row = row_of(job, row, part)
    if job.grid.line:
        x += row * job.grid.row.n
    else:
        y += row
    return (
        job.outs[work.image] + y * job.out_row + x * job.out_pixel
        + part_of(job, part) * job.type.size
    )


cdef void blocks(
    const Job* job, Work* work, Py_ssize_t start, Py_ssize_t end, real* buffer,
) noexcept nogil:
    """All of m rows between the first and the last pass."""
    cdef Py_ssize_t q, n = all_groups(job), height = job.grid.m // LANES
    cdef Py_ssize_t n_back = output_groups(job, work)
    for q in range(start, end):
        columns(job, work, q * n, (q + 1) * n, buffer)
        rows(job, work, q * height, (q + 1) * height, buffer)
        columns_back(job, work, q * n_back, (q + 1) * n_back, buffer)


cdef void collect(
    const Job* job, Work* work, Py_ssize_t start, Py_ssize_t end, real* buffer,
) noexcept nogil:
    """Last pass along y, and what it takes to make outputs of it."""
    cdef environment before = usual_environment()
    cdef Py_ssize_t y, worked = 0
    for y in range(start, end):
        if is_stopped(job.call):
            break
        collect_rows(job, work, y, buffer, &worked)
    restore_environment(before)


cdef void last_pass(
    const Job* job, real** dst, const Work* work, Py_ssize_t y, Py_ssize_t first, Py_ssize_t end,
    Py_ssize_t* worked,
) noexcept nogil:
    """Of the rows y, y + m, ..., the groups first ... end - 1."""
    cdef const Grid* grid = &job.grid
    cdef int r = grid.radix
    cdef Py_ssize_t g
    while first < end:
        g, first = first, min(first + GROUPS_AT_ONCE, end)
        if ended(job.call, (first - g) * PARTS * r, worked):
            return
        final_pass(
            dst, work.tile + y * job.pitch, grid.m * job.pitch, g, first,
            grid.turn + 2 * r * y, grid.first + (2 * r - 2) * y, r,
        )


cdef void collect_rows(
    const Job* job, Work* work, Py_ssize_t y, real* buffer, Py_ssize_t* worked,
) noexcept nogil:
    """The rows y, y + m, y + 2 m, ... of the output."""
    cdef const Grid* grid = &job.grid
    cdef target_row[PARTS * MAX_RADIX] dst
    cdef target_row[PARTS * MAX_RADIX] buffers
    cdef Py_ssize_t[PARTS * MAX_RADIX] counts
    cdef Py_ssize_t groups = output_groups(job, work), whole = groups, any_outputs = 0
    cdef bint straight = job.out_in_place and job.least == 0
    cdef int p, q, k, r = grid.radix
    cdef char* out
    straight = straight and work.exponent + job.kernel_exponent == 0
    if not grid.line:
        whole = work.columns // LANES
    for p in range(PARTS):
        for q in range(r):
            k = p * r + q
            counts[k] = outputs_of_row(job, work, y + q * grid.m, p)
            any_outputs += counts[k]
            dst[k] = buffers[k] = buffer + k * grid.row.n
            if straight and counts[k] >= whole * LANES:
                dst[k] = <real*>output_row(job, work, y + q * grid.m, p)
    if any_outputs == 0:
        return
    last_pass(job, dst, work, y, 0, whole, worked)
    # The last vector of a row is not all the row's.
    last_pass(job, buffers, work, y, whole, groups, worked)
    work.squares[y] = 0
    for p in range(PARTS):
        for q in range(r):
            k = p * r + q
            if counts[k] == 0:
                continue
            if ended(job.call, counts[k], worked):
                return
            out = output_row(job, work, y + q * grid.m, p)
            if dst[k] == <real*>out:
                memcpy(
                    dst[k] + whole * LANES, buffers[k] + whole * LANES,
                    (counts[k] - whole * LANES) * sizeof(real),
                )
            else:
                finish_row(job, work, y, y + q * grid.m, p, buffers[k], out, counts[k], worked)


cdef void finish_row(
    const Job* job, Work* work, Py_ssize_t y, Py_ssize_t row, int part, real* buffer, char* out,
    Py_ssize_t count, Py_ssize_t* worked,
) noexcept nogil:
    """Scale outputs, do those again that are not certain, convert and write them."""
    cdef Py_ssize_t i, uncertain = 0
    cdef double limit = job.least * job.error * work.norm
    cdef int exponent = -work.exponent - job.kernel_exponent
    if limit > 0:
        for i in range(count):
            uncertain += fabs(buffer[i]) < limit
        if uncertain > 1 + count // OUTPUTS_PER_SUM:
            work.squares[y] = -1
            return
    if exponent:
        limit = scalbn(limit, exponent)
        for i in range(count):
            if ended(job.call, 1, worked):
                return
            buffer[i] = <real>scalbn(buffer[i], exponent)
    if uncertain:
        for i in range(count):
            if fabs(buffer[i]) < limit:
                buffer[i] = <real>defining_sum(job, work, row, part, i, worked)
    job.type.write(out, buffer, count, job.out_pixel)


cdef enum:
    # A sum done alone takes some hundred times as long as one of many: with more of them in a row,
    # the tile is for the direct engine.
    OUTPUTS_PER_SUM = 128


cdef double pixel_at(
    const Job* job, const Work* work, Py_ssize_t y, Py_ssize_t x, int part,
) noexcept nogil:
    cdef Py_ssize_t s = source(&job.y, y), q = source(&job.x, x)
    cdef const char* image = job.images[work.image] + part * job.type.size
    cdef real value
    if s < 0 or q < 0:
        return job.fill[part]
    job.type.read(&value, image + s * job.image_row + q * job.image_pixel, 1, 0)
    return value


cdef double defining_sum(
    const Job* job, const Work* work, Py_ssize_t row, int part, Py_ssize_t i, Py_ssize_t* worked,
) noexcept nogil:
    """Output i of a row, as it is defined."""
    cdef Py_ssize_t y = work.y + job.y.start, x = work.x + job.x.start + i
    cdef Py_ssize_t a, b, n = job.kh * job.kw
    cdef const double* w = job.taps
    cdef bint complex_taps = job.taps_parts == 2
    cdef double total = 0, re, im
    row = row_of(job, row, part)
    part = part_of(job, part)
    if job.grid.line:
        x += row * job.grid.row.n
    else:
        y += row
    for a in range(job.kh):
        for b in range(job.kw):
            if ended(job.call, 1, worked):
                return total
            re = pixel_at(job, work, y + a, x + b, 0)
            if job.image_parts == 1:
                total += re * w[part * complex_taps * n]
            else:
                im = pixel_at(job, work, y + a, x + b, 1)
                total += (im if part else re) * w[0]
                if complex_taps:
                    total += (re if part else -im) * w[n]
            w += 1
    return total


cdef void write_zeros(const Job* job, const Work* work) noexcept nogil:
    cdef Py_ssize_t y, count, worked = 0
    cdef int p
    for y in range(job.grid.n):
        for p in range(PARTS):
            count = outputs_of_row(job, work, y, p)
            if ended(job.call, count, &worked):
                return
            if count:
                job.type.write(output_row(job, work, y, p), job.zeros, count, job.out_pixel)


cdef void conclude(const Job* job, const Work* work) noexcept nogil:
    """Give a tile up if a row had too many outputs that are not certain."""
    cdef Py_ssize_t y
    for y in range(job.grid.m if job.least > 0 else 0):
        if work.squares[y] < 0:
            job.status[work.t] = UNCERTAIN


# --- threads -------------------------------------------------------------------------------------

cdef struct Team:
    int n_threads
    real* buffers
    Py_ssize_t pitch            # words from one to the next


cdef enum:
    PAGE = 1 << 12
    LARGE_TILE = 1 << 25        # points: for all threads
    LONG_STEP = 1 << 22         # points of a tile whose steps take tens of milliseconds
    PART = 1 << 18              # points of such a tile: milliseconds
    LONG_TILE = 1 << 20         # points, where each thread has a tile: it takes as long


cdef inline Py_ssize_t buffer_words(const Grid* grid) noexcept nogil:
    """LANES rows, or the rows of a first or last pass.

    A page is left between those of two threads: what a processor fetches ahead ends there. And an
    odd number of cache lines, lest they compete for the same few sets.
    """
    cdef Py_ssize_t gap = (PAGE + CACHE_LINE) // <Py_ssize_t>sizeof(real)
    return max(PAIR, PARTS * grid.radix) * grid.row.n + gap


cdef inline bint is_large(Py_ssize_t points) noexcept nogil:
    return points > LARGE_TILE


cdef void take_turns(
    step what, const Job* job, Work* work, Py_ssize_t n, Py_ssize_t parts, real* buffer,
    Py_ssize_t* taken, Py_ssize_t* done,
) noexcept nogil:
    """What a thread does of a step in parts; the one that looks for signals stays to the end."""
    cdef Py_ssize_t i = count_one(taken)
    while i < parts:
        what(job, work, share(n, parts, i), share(n, parts, i + 1), buffer)
        count_one(done)
        i = count_one(taken)
    if job.grid.n * job.grid.row.n > LONG_STEP:
        hear_until(job.call, done, parts)


cdef void take(
    step what, const Job* job, Work* work, Py_ssize_t n, const Team* team,
) noexcept nogil:
    """A step, from 0 to before n, by one thread or shared out."""
    cdef Py_ssize_t i, _, parts, points = job.grid.n * job.grid.row.n, taken = 0, done = 0
    if is_stopped(job.call):
        return
    if team.n_threads == 1:
        what(job, work, 0, n, team.buffers)
    elif n <= MAX_RADIX or points > LONG_STEP:
        # Nobody waits long for one that is late.
        parts = min(n, max(MAX_RADIX, points // PART))
        for _ in prange(
            team.n_threads, num_threads=team.n_threads, schedule="static", chunksize=1,
        ):
            take_turns(
                what, job, work, n, parts, team.buffers + threadid() * team.pitch, &taken, &done,
            )
    else:
        # A thread finds what it had before.
        parts = team.n_threads
        for i in prange(parts, num_threads=team.n_threads, schedule="static", chunksize=1):
            what(
                job, work, share(n, parts, i), share(n, parts, i + 1),
                team.buffers + threadid() * team.pitch,
            )


cdef inline bint by_blocks(const Job* job, const Team* team) noexcept nogil:
    """Whether one thread does all of a block, which stays in cache."""
    return team.n_threads == 1 or (
        team.n_threads <= job.grid.radix and not is_large(job.grid.n * job.grid.row.n)
    )


cdef void solve_tile(const Job* job, Work* work, Py_ssize_t t, const Team* team) noexcept nogil:
    cdef const Grid* grid = &job.grid
    if stopped(job.call):
        return
    place(job, work, t)
    take(spread, job, work, grid.m, team)
    if settle(job, work, team.buffers):
        take(spread, job, work, grid.m, team)
        work.norm = norm(job, work)
    certify_whole(job, work)
    if to_compute(job, work):
        if by_blocks(job, team):
            take(blocks, job, work, grid.radix, team)
        else:
            take(columns, job, work, grid.radix * all_groups(job), team)
            take(rows, job, work, grid.n // LANES, team)
            take(columns_back, job, work, grid.radix * output_groups(job, work), team)
        take(collect, job, work, grid.m, team)
        conclude(job, work)
    elif work.zero:
        write_zeros(job, work)


cdef void solve_tiles_alone(
    const Job* job, Work* work, const Team* team, int thread, Py_ssize_t* taken, Py_ssize_t* done,
) noexcept nogil:
    """What a thread does of all tiles, as in take_turns."""
    cdef Py_ssize_t t = count_one(taken)
    cdef Team alone
    alone.n_threads, alone.pitch = 1, team.pitch
    alone.buffers = team.buffers + thread * team.pitch
    while t < job.n_tiles:
        solve_tile(job, work, t, &alone)
        count_one(done)
        t = count_one(taken)
    if job.grid.n * job.grid.row.n > LONG_TILE:
        hear_until(job.call, done, job.n_tiles)


# --- from Python ---------------------------------------------------------------------------------

# Norms of kernels that are taken as they are.
cdef double LEAST_NORM = 2.0 ** -30
cdef double MOST_NORM = 2.0 ** 30


cdef double sum_of_squares(const double* w, Py_ssize_t n) noexcept nogil:
    """In eight sums, for one would wait for itself."""
    cdef double[8] sums
    cdef double total = 0
    cdef Py_ssize_t i, j, whole = n - n % 8
    for j in range(8):
        sums[j] = 0
    for i in range(0, whole, 8):
        for j in range(8):
            sums[j] += w[i + j] * w[i + j]
    for i in range(whole, n):
        total += w[i] * w[i]
    for j in range(8):
        total += sums[j]
    return total


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
    folded : bool
        Whether kernel and images are real: the tile has 2 * height rows, or twice the length.
    workers : int
        Number of threads.
    """

    cdef Job job
    cdef Tables tables
    cdef char* memory
    cdef char* taps_memory
    cdef readonly double norm

    def __cinit__(
        self, const double[:, :, ::1] taps, Py_ssize_t height, Py_ssize_t width, bint line,
        bint folded, int workers,
    ):
        cdef Job* job = &self.job
        cdef double* w
        cdef Py_ssize_t n_taps = taps.shape[0] * taps.shape[1] * taps.shape[2]
        cdef environment before
        cdef Py_ssize_t rows = 2 * height if folded else height
        memset(job, 0, sizeof(Job))
        self.tables = tables_of((height, width, line, folded))
        job.grid = self.tables.grid
        job.taps_parts = taps.shape[0]
        job.kh, job.kw = taps.shape[1], taps.shape[2]
        if (
            n_taps == 0
            or job.taps_parts > (1 if folded else PARTS)
            or job.kh > (1 if line else rows)
            or job.kw > (rows * width if line else width)
        ):
            raise ValueError(f"no room for {job.kh} x {job.kw} taps in {rows} x {width} points")
        # An odd number of cache lines, lest the rows of a column compete for the same few sets.
        job.pitch = 2 * width + CACHE_LINE // <Py_ssize_t>sizeof(real)
        self.taps_memory = allocate(<double>n_taps * sizeof(double))
        w = <double*>aligned(self.taps_memory)
        job.taps = w
        before = usual_environment()
        try:
            self.take_taps(&taps[0, 0, 0], w, n_taps)
        finally:
            restore_environment(before)
        self.memory = allocate(2.0 * height * width * sizeof(real))
        job.spectrum = <real*>aligned(self.memory)
        self.fill(workers)

    def __dealloc__(self):
        give_back(self.memory)
        give_back(self.taps_memory)

    cdef int take_taps(self, const double* taps, double* w, Py_ssize_t n_taps) except -1:
        """Copy the taps; their norm, and the power of two that they are to be multiplied by."""
        cdef Job* job = &self.job
        cdef Py_ssize_t i = 0, n
        cdef double most = 0, square = 0, tap
        while i < n_taps:
            PyErr_CheckSignals()
            n = min(PATIENCE, n_taps - i)
            memcpy(w + i, taps + i, n * sizeof(double))
            square += sum_of_squares(w + i, n)
            i += n
        self.norm = sqrt(square)
        if LEAST_NORM < self.norm < MOST_NORM:
            return 0
        for i in range(n_taps):
            if i % PATIENCE == 0:
                PyErr_CheckSignals()
            most = max(most, fabs(w[i]))
        if most == 0:
            return 0
        # To about one, so that no product leaves the range.
        frexp(most, &job.kernel_exponent)
        job.kernel_exponent = -job.kernel_exponent
        square = 0
        for i in range(n_taps):
            if i % PATIENCE == 0:
                PyErr_CheckSignals()
            tap = scalbn(w[i], job.kernel_exponent)
            square += tap * tap
        self.norm = sqrt(square)
        return 0

    cdef int fill(self, int workers) except -1:
        """Transform of the reversed kernel, conj(DFT(conj(W))), over the number of points."""
        cdef Job* job = &self.job
        cdef Grid* grid = &job.grid
        cdef Call call
        cdef size_t tile_size = whole_lines(<double>grid.n * job.pitch * sizeof(real))
        cdef int n_threads = 1 if grid.n * grid.row.n < SMALL_TILE else workers
        cdef Team team
        cdef Work work
        cdef char* arena
        team.pitch = buffer_words(grid)
        arena = allocate(<double>tile_size + <double>n_threads * team.pitch * sizeof(real))
        work.tile = <real*>aligned(arena)
        team.buffers = <real*>(<char*>work.tile + tile_size)
        job.call = &call
        with nogil:
            team.n_threads = begin(&call, n_threads)
            take(spread_kernel, job, &work, grid.m, &team)
            if by_blocks(job, &team):
                take(blocks_of_spectrum, job, &work, grid.radix, &team)
            else:
                take(columns, job, &work, grid.radix * all_groups(job), &team)
                take(rows_of_spectrum, job, &work, grid.n // LANES, &team)
            give_back(arena)
        finish(&call)
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
        job.native = name == b"f%d" % sizeof(real)
        job.image_parts = image_parts
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


cdef void kernel_row(
    const Job* job, Py_ssize_t row, int part, real* to, Py_ssize_t* worked,
) noexcept nogil:
    """A row of the kernel's tile, conjugated."""
    cdef Py_ssize_t width = job.grid.row.n, first, count = job.kw, i
    cdef const double* w = job.taps
    cdef double tap
    row = row_of(job, row, part)
    part = part_of(job, part)
    if job.grid.line:
        first = row * width
        count = min(job.kw - first, width)
    else:
        first = row * job.kw
        if row >= job.kh:
            count = 0
    if part >= job.taps_parts:
        count = 0
    w += part * job.kh * job.kw + first
    for i in range(count):
        to[i] = <real>(-w[i] if part else w[i])
    if job.kernel_exponent:
        for i in range(count):
            if ended(job.call, 1, worked):
                break
            tap = scalbn(w[i], job.kernel_exponent)
            to[i] = <real>(-tap if part else tap)
    for i in range(max(count, 0), width):
        to[i] = 0


cdef void spread_kernel(
    const Job* job, Work* work, Py_ssize_t start, Py_ssize_t end, real* buffer,
) noexcept nogil:
    """As spread."""
    cdef const Grid* grid = &job.grid
    cdef environment before = usual_environment()
    cdef source_row[PARTS * MAX_RADIX] src
    cdef Py_ssize_t y, worked = 0
    cdef int p, q, r = grid.radix
    for y in range(start, end):
        for p in range(PARTS):
            for q in range(r):
                if ended(job.call, all_groups(job), &worked):
                    break
                kernel_row(job, y + q * grid.m, p, buffer + (p * r + q) * grid.row.n, &worked)
                src[p * r + q] = buffer + (p * r + q) * grid.row.n
        if is_stopped(job.call):
            break
        spread_rows(job, work, y, src, &worked)
    restore_environment(before)


cdef void rows_of_spectrum(
    const Job* job, Work* work, Py_ssize_t start, Py_ssize_t end, real* buffer,
) noexcept nogil:
    """LANES rows to the end of their transform, conjugated, over the number of points."""
    cdef environment before = usual_environment()
    cdef const Grid* grid = &job.grid
    cdef Py_ssize_t i, x, after, width = grid.row.n, worked = 0
    cdef vec factor = splat(<real>(1.0 / (<double>grid.n * width)))
    cdef real* row
    cdef real* to
    for i in range(start, end):
        if is_stopped(job.call):
            break
        row = work.tile + i * LANES * job.pitch
        after = i * LANES * 2 * width
        to = <real*>job.spectrum + after
        if grid.line:
            twist_rows(job, row, grid.twist + after, False)
        transpose_rows(job, row, to, all_groups(job), False, &worked)
        transform(job.call, &worked, &grid.row, to, PAIR, True)
        for x in range(width):
            if ended(job.call, PARTS, &worked):
                break
            store(to + x * PAIR, factor * load(to + x * PAIR))
            store(to + x * PAIR + LANES, -factor * load(to + x * PAIR + LANES))
    restore_environment(before)


cdef void blocks_of_spectrum(
    const Job* job, Work* work, Py_ssize_t start, Py_ssize_t end, real* buffer,
) noexcept nogil:
    cdef Py_ssize_t q, n = all_groups(job), height = job.grid.m // LANES
    for q in range(start, end):
        columns(job, work, q * n, (q + 1) * n, buffer)
        rows_of_spectrum(job, work, q * height, (q + 1) * height, buffer)


cdef void addresses(const Py_buffer* view, Py_ssize_t count, char** to) noexcept:
    """Of the images of a stack: the last two axes are left out."""
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


cdef Py_ssize_t tiles_along(const Axis* a, Py_ssize_t points, bint zeros) noexcept nogil:
    """How many tiles of so many points an axis takes; the kernel is no longer.

    A tile that wraps around is right where what it wraps onto is zero on both sides.
    """
    cdef Py_ssize_t slack = min(n_before(a), n_after(a)) if zeros else 0
    if a.m + a.k - 1 - slack <= points:
        return 1
    return (a.m + points - a.k) // (points - a.k + 1)


cdef enum:
    SMALL_TILE = 1 << 14        # points: half of what is worth another thread


cpdef Py_ssize_t tiles_at_once(Py_ssize_t n_tiles, Py_ssize_t points, int n_threads) noexcept:
    """How many tiles are worked on: one by each thread, or one by all of them.

    All of them, if some would have nothing to do at the end, or the tile is large: it takes less
    memory, and nobody waits for a thread that is late with one.
    """
    if n_tiles < n_threads or (n_tiles < 4 * n_threads and n_tiles % n_threads != 0):
        return 1
    return 1 if is_large(points) else n_threads


cdef solve(
    Job* job, Py_buffer* image, Py_buffer* out, Py_ssize_t start_y, Py_ssize_t start_x,
    int boundary, int workers,
):
    cdef Grid* grid = &job.grid
    cdef int y = image.ndim - 2, x = image.ndim - 1, axis
    cdef Py_ssize_t size = sizeof(real), n_images = 1, t, _, n_tables, taken = 0, done = 0
    cdef Py_ssize_t height = grid.n * 2 if grid.folded else grid.n
    cdef size_t tables_size, pointers_size, works_size, tile_size, squares_size
    cdef size_t zeros_size = whole_lines(<double>grid.row.n * size)
    cdef int n_threads, n_works
    cdef bint zeros
    cdef Team team
    cdef Call call
    cdef list left = []
    cdef char* arena
    cdef char* memory
    cdef Work* works
    cdef bytearray status
    for axis in range(image.ndim - 2):
        n_images *= image.shape[axis]
    job.image_row, job.image_pixel = image.strides[y], image.strides[x]
    job.out_row, job.out_pixel = out.strides[y], out.strides[x]
    job.y.n, job.y.m, job.y.k, job.y.start = image.shape[y], out.shape[y], job.kh, start_y
    job.x.n, job.x.m, job.x.k, job.x.start = image.shape[x], out.shape[x], job.kw, start_x
    job.in_place = job.native and job.image_pixel == size
    job.out_in_place = job.native and job.out_pixel == size and not job.out_row % size
    # All tiles have as many outputs, but for one row or column.
    zeros = boundary == FILL and job.fill[0] == 0 and job.fill[1] == 0
    if grid.line:
        job.n_ty = job.y.m
        job.n_tx = tiles_along(&job.x, height * grid.row.n, zeros)
    else:
        job.n_ty = tiles_along(&job.y, height, zeros)
        job.n_tx = tiles_along(&job.x, grid.row.n, zeros)
    job.n_tiles = n_images * job.n_ty * job.n_tx
    n_threads = <int>min(
        <double>workers, 1 + <double>grid.n * grid.row.n * job.n_tiles / (2 * SMALL_TILE),
    )
    n_works = <int>tiles_at_once(job.n_tiles, grid.n * grid.row.n, n_threads)

    status = bytearray(job.n_tiles)
    job.status = <char*>status
    n_tables = n_before(&job.y) + n_after(&job.y) + n_before(&job.x) + n_after(&job.x)
    tables_size = whole_lines(<double>n_tables * sizeof(Py_ssize_t))
    pointers_size = whole_lines(2.0 * n_images * sizeof(char*))
    works_size = whole_lines(<double>n_works * sizeof(Work))
    tile_size = whole_lines(<double>grid.n * job.pitch * size)
    squares_size = whole_lines(<double>grid.m * sizeof(double))
    team.pitch = buffer_words(grid)
    arena = allocate(
        <double>tables_size + pointers_size + works_size + zeros_size
        + <double>n_works * (tile_size + squares_size) + <double>n_threads * team.pitch * size
    )
    memory = aligned(arena)
    job.zeros = <real*>memory
    memset(memory, 0, zeros_size)
    memory += zeros_size
    job.y.before = <Py_ssize_t*>memory
    job.y.after = job.y.before + n_before(&job.y)
    job.x.before = job.y.after + n_after(&job.y)
    job.x.after = job.x.before + n_before(&job.x)
    memory += tables_size
    job.images = <const char**>memory
    job.outs = <char**>memory + n_images
    addresses(image, n_images, <char**>memory)
    addresses(out, n_images, <char**>memory + n_images)
    memory += pointers_size
    works = <Work*>memory
    memory += works_size
    for t in range(n_works):
        works[t].tile = <real*>memory
        works[t].squares = <double*>(memory + tile_size)
        memory += tile_size + squares_size
    team.buffers = <real*>memory
    job.call = &call
    with nogil:
        team.n_threads = n_threads = begin(&call, n_threads)
        fill_tables(&call, &job.y, boundary)
        fill_tables(&call, &job.x, boundary)
        if is_stopped(&call):
            pass
        elif n_works == 1 or n_threads == 1:
            for t in range(job.n_tiles):
                solve_tile(job, works, t, &team)
        else:
            for _ in prange(n_threads, num_threads=n_threads, schedule="static", chunksize=1):
                solve_tiles_alone(job, works + threadid(), &team, threadid(), &taken, &done)
        give_back(arena)
    finish(&call)
    for t in range(job.n_tiles):
        if job.status[t] != DONE:
            left.append((
                t // (job.n_ty * job.n_tx),
                share(job.y.m, job.n_ty, t // job.n_tx % job.n_ty),
                share(job.y.m, job.n_ty, t // job.n_tx % job.n_ty + 1),
                share(job.x.m, job.n_tx, t % job.n_tx),
                share(job.x.m, job.n_tx, t % job.n_tx + 1),
            ))
    return left
