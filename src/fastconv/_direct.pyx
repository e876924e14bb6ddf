# The direct engine: the defining sum, in registers.
#
#     out[y, x] = sum_i sum_j  P[y + i, x + j] * W[i, j]
#
# P is the image extended through the index tables of _tiles.pxd, W the packed taps. The loop nest,
# from the outside in:
#
#     tile (image, y, x, part) a fixed grid: work is shared out, results do not depend on by whom
#       block                 ROWS output rows by up to VECS vectors, held in accumulators
#         pass                one operand plane times one tap plane
#           i                 input row: loaded once for every output row that needs it
#             j               tap column
#               r, b          acc[r][b] += W[i - r, j] * P[y + i, x + j + b * LANES]
#
# Every output adds its products in the order (pass, i, j) whichever block it falls in, so no bit
# depends on threads, tiles, alignment or strides.
#
# A kernel of rank one, W[i, j] = u[i] v[j], is two kernels: a tile's rows are summed with v into
# scratch, and the scratch with u into the output. A tile with an Inf or a NaN in such a sum is done
# again with W.
#
# This file does not know its word (_word.pxd) nor its instruction set (_simd.h).
#
# Complex arrays come as their real parts; the imaginary part is the next word. Words of complex
# pixels are words all the same: with taps two words apart, a complex image times a real tap is a
# real problem, and the imaginary tap wi multiplies the image turned by i, (-im, re). A real image
# times complex taps makes two real problems, one for each part of the output.

import time

from cython.parallel cimport prange, threadid
from libc.stdlib cimport free, malloc

from _word cimport NAME, elem, real

from fastconv._runtime cimport (
    PATIENCE, Call, begin, count_one, ended, finish, hear_until, is_stopped, stopped,
)
from fastconv._tiles cimport (
    Axis,
    fetch,
    fill_tables,
    gather_row,
    n_after,
    n_before,
    put,
    share,
    source,
)

cdef extern from "_simd.h":
    ctypedef real vec
    const char* LEVEL
    enum: ROWS, VECS, LANES, BLOCK, CACHE_LINE, IS_FLOAT
    vec load(const real*) noexcept nogil
    void store(real*, vec) noexcept nogil
    vec splat(real) noexcept nogil
    void prefetch(const real*, Py_ssize_t) noexcept nogil

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
}

# Sizes of work, in words and multiply-adds; none changes a result.
cdef enum:
    TILE_WORKLOAD = 1 << 22     # multiply-adds a tile aims at: some 100 us
    TILE_MAX_ROWS = 64
    TILE_MIN_ROWS = 8 * ROWS
    TILE_BYTES = 1 << 17        # input under ROWS output rows of a tile: stays in the L2 cache
    IN_PLACE = 12               # vectors between its margins for which a row is not gathered
    THREAD_WORKLOAD = 1 << 20   # multiply-adds that are worth another thread: some 30 us
    PIECE = 1 << 17             # taps of a block at a time: less than a ms

cdef double MAX_BYTES = 1e15


cdef struct Pass:
    const real** rows           # of the operand plane, from the first row of the tile
    const real* taps            # kh x kw
    Py_ssize_t kh
    Py_ssize_t kw


cdef struct Job:
    Call* call
    const Py_ssize_t* image_offsets     # bytes from the first image of a stack; NULL: it is alone
    const Py_ssize_t* out_offsets
    const char* image
    Py_ssize_t image_row        # bytes between rows
    Py_ssize_t image_pixel      # bytes between pixels
    char* out
    Py_ssize_t out_row
    Py_ssize_t out_pixel
    Axis y
    Axis x
    real* taps[2]               # real and imaginary plane
    real* factors[2]            # of a rank-one kernel: v, u
    bint separable
    real* fill[2]               # rows of fill pixels, straight and turned
    int words                   # of a pixel that a pass works on: 2 where the image is complex
    int planes                  # image planes: straight, turned
    int most_planes             # that there is scratch for
    int parts                   # of the output that are problems of their own
    bint in_place               # rows of the image may be read where they are
    bint direct                 # rows of the output may be written where they are
    Py_ssize_t lo               # output columns lo ... hi - 1 need no column outside the image
    Py_ssize_t hi
    Py_ssize_t fold             # words in a folded row, 0: no folding
    Py_ssize_t tile_rows
    Py_ssize_t n_ty
    Py_ssize_t n_tx
    Py_ssize_t span             # words of the widest row that is read
    Py_ssize_t pitch            # words between scratch rows
    Py_ssize_t half_pitch       # words between rows that are summed with v
    bint* spoilt                # whether such a sum is Inf or NaN
    Py_ssize_t n_rows           # scratch rows of one plane
    Py_ssize_t n_pointers       # row pointers of one plane


cdef inline Py_ssize_t round_up(Py_ssize_t n, Py_ssize_t to) noexcept nogil:
    return (n + to - 1) // to * to


cdef inline void taps_of_row(
    vec[VECS]* acc, const real* p, const real* w, Py_ssize_t kw, Py_ssize_t dx,
    Py_ssize_t r0, Py_ssize_t r1, Py_ssize_t nv,
) noexcept nogil:
    """One input row into the output rows r0 ... r1 - 1, all constants once inlined."""
    cdef vec v[VECS]
    cdef vec k
    cdef Py_ssize_t j, r, b
    for j in range(kw):
        for b in range(nv):
            v[b] = load(p + b * LANES)
        for r in range(r0, r1):
            k = splat(w[j - r * kw])
            for b in range(nv):
                acc[r][b] = acc[r][b] + k * v[b]
        p += dx


cdef inline void taps_of_rows(
    vec[VECS]* acc, const real** rows, Py_ssize_t x, const real* w, Py_ssize_t kw, Py_ssize_t dx,
    Py_ssize_t nr, Py_ssize_t nv,
) noexcept nogil:
    """A single kernel row: every output row has an input row of its own."""
    cdef vec k
    cdef Py_ssize_t j, r, b
    for j in range(kw):
        k = splat(w[j])
        for r in range(nr):
            for b in range(nv):
                acc[r][b] = acc[r][b] + k * load(rows[r] + x + b * LANES)
        x += dx


cdef inline void block(
    const Pass* passes, Py_ssize_t n_passes, Py_ssize_t y, Py_ssize_t x, Py_ssize_t dx,
    real* dst, Py_ssize_t stride, bint more, Py_ssize_t nr, Py_ssize_t nv,
) noexcept nogil:
    """nr <= ROWS rows by nv vectors of output at (y, x); nv is a constant once inlined.

    With `more` the sums go on from what is in dst.
    """
    cdef vec acc[ROWS][VECS]
    cdef Py_ssize_t q, i, r, b, kh, kw, r0, r1
    cdef const real** rows
    cdef const real* p
    cdef const real* w
    for r in range(ROWS):
        for b in range(nv):
            acc[r][b] = splat(0)
    if more:
        for r in range(ROWS):
            if r < nr:
                for b in range(nv):
                    acc[r][b] = load(dst + r * stride + b * LANES)
    for q in range(n_passes):
        kh, kw, w = passes[q].kh, passes[q].kw, passes[q].taps
        rows = passes[q].rows + y
        if kh == 1 and nr == ROWS:
            taps_of_rows(acc, rows, x, w, kw, dx, ROWS, nv)
            continue
        for i in range(nr + kh - 1):
            p = rows[i] + x
            r0 = i - kh + 1 if i >= kh else 0
            r1 = i + 1 if i < nr else nr
            # Accumulators stay in registers only if their index is a constant: one case for each
            # range of rows that an input row can reach.
            r = r0 * (ROWS + 1) + r1
            if r == 4:
                taps_of_row(acc, p, w, kw, dx, 0, 4, nv)
            elif r == 1:
                taps_of_row(acc, p, w, kw, dx, 0, 1, nv)
            elif r == 2:
                taps_of_row(acc, p, w, kw, dx, 0, 2, nv)
            elif r == 3:
                taps_of_row(acc, p, w, kw, dx, 0, 3, nv)
            elif r == 7:
                taps_of_row(acc, p, w, kw, dx, 1, 2, nv)
            elif r == 8:
                taps_of_row(acc, p, w, kw, dx, 1, 3, nv)
            elif r == 9:
                taps_of_row(acc, p, w, kw, dx, 1, 4, nv)
            elif r == 13:
                taps_of_row(acc, p, w, kw, dx, 2, 3, nv)
            elif r == 14:
                taps_of_row(acc, p, w, kw, dx, 2, 4, nv)
            elif r == 19:
                taps_of_row(acc, p, w, kw, dx, 3, 4, nv)
            w += kw
    for r in range(ROWS):
        if r < nr:
            for b in range(nv):
                store(dst + r * stride + b * LANES, acc[r][b])


cdef inline void dispatch(
    const Pass* passes, Py_ssize_t n_passes, Py_ssize_t y, Py_ssize_t x, Py_ssize_t dx,
    real* dst, Py_ssize_t stride, bint more, Py_ssize_t nr, Py_ssize_t nv,
) noexcept nogil:
    """Makes nv a constant.

    To be inlined into a loop: gcc unrolls no outermost loops in time, and would keep the
    accumulators of `block` in memory.
    """
    if nv == 1:
        block(passes, n_passes, y, x, dx, dst, stride, more, nr, 1)
    elif nv == 2:
        block(passes, n_passes, y, x, dx, dst, stride, more, nr, 2)
    elif nv == 3:
        block(passes, n_passes, y, x, dx, dst, stride, more, nr, 3)
    elif VECS > 3:
        if nv == 4:
            block(passes, n_passes, y, x, dx, dst, stride, more, nr, min(4, VECS))
        elif nv == 5:
            block(passes, n_passes, y, x, dx, dst, stride, more, nr, min(5, VECS))
        else:
            block(passes, n_passes, y, x, dx, dst, stride, more, nr, VECS)


cdef struct Cut:
    Py_ssize_t q                # the pass
    Py_ssize_t row              # of its taps
    Py_ssize_t column


cdef Py_ssize_t cut_piece(const Pass* passes, Cut* at, Pass* piece) noexcept nogil:
    """PIECE taps at most, in the order in which a block adds them; returns their first column."""
    cdef const Pass* p = passes + at.q
    cdef Py_ssize_t column = at.column
    piece.rows = p.rows + at.row
    piece.taps = p.taps + at.row * p.kw + column
    if p.kw <= PIECE:
        piece.kh, piece.kw = min(PIECE // p.kw, p.kh - at.row), p.kw
        at.row += piece.kh
    else:
        piece.kh, piece.kw = 1, min(PIECE, p.kw - column)
        at.column += piece.kw
        if at.column == p.kw:
            at.column = 0
            at.row += 1
    if at.row == p.kh:
        at.row = 0
        at.q += 1
    return column


cdef void in_pieces(
    const Job* job, const Pass* passes, Py_ssize_t n_passes, Py_ssize_t y, Py_ssize_t x,
    real* dst, Py_ssize_t stride, Py_ssize_t nr, Py_ssize_t nv,
) noexcept nogil:
    """A block of so many taps that signals are looked for in between."""
    cdef Cut at
    cdef Pass piece
    cdef Py_ssize_t column
    cdef bint more = False
    at.q = at.row = at.column = 0
    while at.q < n_passes and not stopped(job.call):
        column = x + cut_piece(passes, &at, &piece) * job.words
        dispatch(&piece, 1, y, column, job.words, dst, stride, more, nr, nv)
        more = True


cdef void scatter(
    const Job* job, char* dst, const real* src, Py_ssize_t word, Py_ssize_t count,
) noexcept nogil:
    """Words word ... word + count - 1 of an output row."""
    cdef Py_ssize_t i
    if job.words == 1:
        for i in range(count):
            put(dst + (word + i) * job.out_pixel, src[i])
    else:
        for i in range(count):
            put(dst + ((word + i) >> 1) * job.out_pixel + ((word + i) & 1) * sizeof(elem), src[i])


cdef void region(
    const Job* job, const Pass* passes, Py_ssize_t n_passes, char* out, Py_ssize_t out_row,
    Py_ssize_t height, Py_ssize_t first, Py_ssize_t width, bint overrun, bint in_place,
) noexcept nogil:
    """Output words first ... width - 1 of height rows; in_place: they are packed reals.

    Without overrun, no word beyond the window of output width - 1 may be read: the last block is
    moved back onto outputs that were done before, which get the same bits again.
    """
    cdef real spill[BLOCK]
    cdef Py_ssize_t y = 0, x, r, nr, nv, left, n_blocks
    cdef Py_ssize_t stride, taps = 0, worked = 0
    cdef real* dst
    cdef bint direct
    for r in range(n_passes):
        taps += passes[r].kh * passes[r].kw
    while y < height:
        nr = min(ROWS, height - y)
        x = first
        while x < width:
            left = (width - x + LANES - 1) // LANES
            n_blocks = (left + VECS - 1) // VECS
            nv = (left + n_blocks - 1) // n_blocks
            direct = in_place
            if x + nv * LANES > width:
                if overrun:
                    direct = False
                else:
                    nv = min(nv, width // LANES)
                    x = min(x, width - nv * LANES)
            if direct:
                dst = <real*>(out + y * out_row) + x
                stride = out_row // <Py_ssize_t>sizeof(real)
            else:
                dst = spill
                stride = nv * LANES
            # What the next ROWS rows will need for the first time.
            for r in range(y + nr, min(y + nr + ROWS, height)):
                prefetch(passes[0].rows[r + passes[0].kh - 1] + x, nv)
            if ended(job.call, taps, &worked):
                return
            if taps > PIECE:
                in_pieces(job, passes, n_passes, y, x, dst, stride, nr, nv)
            else:
                dispatch(passes, n_passes, y, x, job.words, dst, stride, False, nr, nv)
            if not direct:
                for r in range(nr):
                    scatter(
                        job, out + (y + r) * out_row, spill + r * stride, x,
                        min(stride, width - x),
                    )
            x += nv * LANES
        y += nr


cdef void folded_row(
    const Job* job, const Pass* passes, Py_ssize_t n_passes, Py_ssize_t y, char* dst,
    Py_ssize_t width, const real** pointers, bint overrun,
) noexcept nogil:
    """One output row of a single kernel row.

    A row alone has no second row to share its loads with. Cut into rows of S words, P'[y, x] =
    P[S y + x], it has: tap a * S + b becomes tap (a, b) of a kernel of S columns. The taps left
    over are a pass of their own.
    """
    cdef Pass folded[4]
    cdef Pass plain[2]
    cdef Py_ssize_t fold = job.fold
    cdef Py_ssize_t kw = fold // job.words
    cdef Py_ssize_t kh = job.x.k // kw
    cdef Py_ssize_t rest = job.x.k % kw
    cdef Py_ssize_t height = width // fold
    cdef Py_ssize_t q, i, n = 0
    cdef Py_ssize_t count = height + kh - 1 + (rest > 0)
    for q in range(n_passes):
        plain[q] = passes[q]
        plain[q].rows += y
        for i in range(count):
            pointers[q * count + i] = plain[q].rows[0] + i * fold
        folded[n].rows = pointers + q * count
        folded[n].taps = plain[q].taps
        folded[n].kh = kh
        folded[n].kw = kw
        n += 1
        if rest:
            folded[n].rows = folded[n - 1].rows + kh
            folded[n].taps = plain[q].taps + kh * kw
            folded[n].kh = 1
            folded[n].kw = rest
            n += 1
    region(
        job, folded, n, dst, fold // job.words * job.out_pixel, height, 0, fold, False, job.direct,
    )
    region(job, plain, n_passes, dst, 0, 1, height * fold, width, overrun, job.direct)


cdef void sum_rows(
    const Job* job, Pass* rows, Py_ssize_t n_rows, Py_ssize_t width, bint in_place,
    const real** pointers, real* scratch,
) noexcept nogil:
    """Sum the input rows of a tile with v; what is left to do is a column of taps."""
    cdef Py_ssize_t i, x, whole = width if in_place else round_up(width, LANES)
    cdef vec zero = splat(0), zeros = splat(0)
    cdef real total = 0
    cdef real words[LANES]
    rows.taps = job.factors[0]
    rows.kh = 1
    region(
        job, rows, 1, <char*>scratch, job.half_pitch * sizeof(real), n_rows, 0, whole, False, True,
    )
    for i in range(n_rows):
        pointers[i] = scratch + i * job.half_pitch
        if IS_FLOAT:
            # A sum may leave the range whose product with a small u would not. Lanes beyond the
            # outputs may, too, and are not asked: there are none where rows are read in place.
            for x in range(width // LANES):
                zeros = zeros + zero * load(pointers[i] + x * LANES)
            for x in range(width // LANES * LANES, width):
                total = total + 0 * pointers[i][x]
    store(words, zeros)
    for x in range(LANES):
        total = total + words[x]
    if total != 0:
        job.spoilt[0] = True
    rows.rows = pointers
    rows.taps = job.factors[1]
    rows.kh, rows.kw = job.y.k, 1


cdef void segment(
    const Job* job, Py_ssize_t part, Py_ssize_t y0, Py_ssize_t y1, Py_ssize_t x0, Py_ssize_t x1,
    bint in_place, const real** pointers, real* scratch,
) noexcept nogil:
    """Output pixels y0 ... y1 - 1 by x0 ... x1 - 1."""
    cdef Pass passes[2]
    cdef Py_ssize_t plane, i, s
    cdef Py_ssize_t n_rows = y1 - y0 + job.y.k - 1
    cdef Py_ssize_t width = (x1 - x0) * job.words
    cdef Py_ssize_t left = x0 + job.x.start
    cdef Py_ssize_t count = x1 - x0 + job.x.k - 1
    cdef Py_ssize_t first, some, worked = 0
    cdef const char* row
    cdef char* dst
    cdef real* gathered
    if x0 >= x1:
        return
    in_place = in_place and width >= LANES
    for plane in range(job.planes):
        passes[plane].rows = pointers
        passes[plane].taps = job.taps[part + plane]
        passes[plane].kh = job.y.k
        passes[plane].kw = job.x.k
        for i in range(n_rows):
            s = source(&job.y, y0 + job.y.start + i)
            row = job.image + s * job.image_row
            if s < 0:
                pointers[i] = job.fill[plane]
            elif in_place and plane == 0:
                pointers[i] = <const real*>(row + left * job.image_pixel)
            else:
                gathered = scratch + i * job.pitch
                first = 0
                while first < count:
                    some = min(PATIENCE, count - first)
                    gather_row(
                        gathered + first * job.words, row, job.image_pixel, &job.x, left + first,
                        some, job.words, plane, job.fill[plane],
                    )
                    first += some
                    if ended(job.call, some, &worked):
                        return
                pointers[i] = gathered
                # Read, if at all, into lanes that go nowhere; but denormals would be slow.
                store(gathered + count * job.words, splat(0))
        pointers += n_rows
        scratch += job.n_rows * job.pitch
    dst = job.out + y0 * job.out_row + x0 * job.out_pixel + part * <Py_ssize_t>sizeof(elem)
    if job.fold and width >= job.fold:
        for i in range(y1 - y0):
            folded_row(
                job, passes, job.planes, i, dst + i * job.out_row, width, pointers, not in_place,
            )
    else:
        if job.separable:
            # `scratch` has moved past the gathered rows, `pointers` past theirs.
            sum_rows(job, passes, n_rows, width, in_place, pointers, scratch)
        region(
            job, passes, job.planes, dst, job.out_row, y1 - y0, 0, width, not in_place, job.direct,
        )


cdef void segments(
    const Job* job, Py_ssize_t part, Py_ssize_t y0, Py_ssize_t y1, Py_ssize_t x0, Py_ssize_t x1,
    const real** pointers, real* scratch,
) noexcept nogil:
    segment(job, part, y0, y1, x0, min(x1, job.lo), False, pointers, scratch)
    segment(job, part, y0, y1, max(x0, job.lo), min(x1, job.hi), job.in_place, pointers, scratch)
    segment(job, part, y0, y1, max(x0, job.hi), x1, False, pointers, scratch)


cdef void tile(const Job* stack, Py_ssize_t t, char* memory) noexcept nogil:
    cdef Job job = stack[0]
    cdef Py_ssize_t part = t % job.parts
    cdef Py_ssize_t tx = t // job.parts % job.n_tx
    cdef Py_ssize_t ty = t // job.parts // job.n_tx % job.n_ty
    cdef Py_ssize_t k = t // job.parts // job.n_tx // job.n_ty
    cdef Py_ssize_t y0 = ty * job.tile_rows
    cdef Py_ssize_t y1 = min(y0 + job.tile_rows, job.y.m)
    cdef Py_ssize_t x0 = share(job.x.m, job.n_tx, tx), x1 = share(job.x.m, job.n_tx, tx + 1)
    cdef real* scratch = <real*>memory
    cdef const real** pointers = <const real**>(
        scratch + job.most_planes * job.n_rows * job.pitch + job.n_rows * job.half_pitch
    )
    cdef bint spoilt = False
    cdef environment before
    if t > 0 and stopped(job.call):
        return
    before = usual_environment()
    job.spoilt = &spoilt
    if job.image_offsets != NULL:
        job.image += job.image_offsets[k]
        job.out += job.out_offsets[k]
    segments(&job, part, y0, y1, x0, x1, pointers, scratch)
    if spoilt:
        job.separable = False
        job.planes = job.most_planes
        segments(&job, part, y0, y1, x0, x1, pointers, scratch)
    restore_environment(before)


cdef void lay_out(Job* job) noexcept nogil:
    """Interior, folding and the grid of tiles: functions of the shapes and strides alone."""
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t nv, width, rows
    cdef double workload
    # The gathered margins are whole vectors, so that no lane is wasted twice.
    job.lo = min(job.x.m, round_up(max(0, -job.x.start), LANES))
    job.hi = min(job.x.m, job.x.n - job.x.k + 1 - job.x.start)
    job.hi = max(job.lo, job.x.m - round_up(job.x.m - job.hi, LANES))
    job.in_place = job.image_pixel == job.words * size and sizeof(elem) == sizeof(real)
    # The margins' blocks of one vector cost more than it takes to gather short rows whole.
    if not job.in_place or (job.hi - job.lo) * job.words < IN_PLACE * LANES:
        job.in_place = False
        job.lo = job.hi = 0
    job.direct = (
        sizeof(elem) == sizeof(real)
        and job.out_pixel == job.words * size
        and job.out_row % size == 0
    )
    job.fold = 0
    if job.y.k == 1 and LANES > 1 and job.y.m < ROWS and not job.separable:
        nv = min(VECS, job.x.k * job.words // (2 * LANES))
        job.fold = nv * LANES
    # Columns: what ROWS output rows need of the input stays in cache.
    rows = ROWS + job.y.k - 1
    if job.separable:
        # Rows are summed with v for one tile alone, so its height should be several halos.
        rows = round_up(max(TILE_MAX_ROWS, 4 * job.y.k), ROWS)
    width = max(
        TILE_BYTES // (size * rows) - job.x.k * job.words, 4 * VECS * LANES, 8 * job.fold,
    )
    job.n_tx = max(1, job.x.m * job.words // width)
    width = (job.x.m + job.n_tx - 1) // job.n_tx
    workload = <double>width * job.words * job.y.k * job.x.k
    job.tile_rows = <Py_ssize_t>min(<double>TILE_MAX_ROWS, TILE_WORKLOAD / workload)
    job.tile_rows = round_up(max(job.tile_rows, TILE_MIN_ROWS), ROWS)
    if job.separable:
        job.tile_rows = rows
    job.tile_rows = min(job.tile_rows, job.y.m)
    job.n_ty = (job.y.m + job.tile_rows - 1) // job.tile_rows
    # Blocks of whole vectors are read up to LANES - 1 words past the last column.
    job.span = (width + job.x.k - 1) * job.words + LANES
    if job.in_place and job.most_planes == 1:
        width = min(width, max(job.lo, job.x.m - job.hi, LANES))
    # An odd number of cache lines, lest the rows of a tile compete for the same few sets.
    job.pitch = ((width + job.x.k - 1) * job.words + LANES) * size
    job.pitch = (round_up(job.pitch, CACHE_LINE) // CACHE_LINE | 1) * CACHE_LINE // size
    job.n_rows = job.tile_rows + job.y.k - 1
    job.n_pointers = job.n_rows
    job.half_pitch = 0
    if job.separable:
        job.n_pointers *= 2
        job.half_pitch = round_up(job.span * size, CACHE_LINE) // CACHE_LINE | 1
        job.half_pitch *= CACHE_LINE // size
    if job.fold:
        job.n_pointers += (job.span + job.x.k * job.words) // job.fold + 1


cdef void transpose(Job* job) noexcept nogil:
    job.y, job.x = job.x, job.y
    job.image_row, job.image_pixel = job.image_pixel, job.image_row
    job.out_row, job.out_pixel = job.out_pixel, job.out_row


cdef void take_tiles(
    const Job* job, Py_ssize_t n_tiles, char* scratch, Py_ssize_t* taken, Py_ssize_t* done,
) noexcept nogil:
    """What a thread does of all tiles; where they take long, one stays to the end."""
    cdef Py_ssize_t t = count_one(taken)
    while t < n_tiles:
        tile(job, t, scratch)
        count_one(done)
        t = count_one(taken)
    if job.y.k * job.x.k > PIECE:
        hear_until(job.call, done, n_tiles)


cpdef bint columns_first(Py_ssize_t m_y, Py_ssize_t m_x, int words) noexcept:
    """Whether rows and columns change places: outputs that are narrower than a vector, and high.

    A kernel's factors do so, too: the columns are summed with u, and the rows of sums with v.
    """
    return m_x * words < LANES and m_y > m_x


cdef struct Taps:
    const char* first           # of the array they are packed from
    Py_ssize_t row              # bytes between rows
    Py_ssize_t column
    Py_ssize_t kh
    Py_ssize_t kw


cdef Taps taps_of(const elem[:, :] kernel, bint rotate, bint transposed):
    cdef Taps t
    t.first = <const char*>&kernel[0, 0]
    t.row, t.column = kernel.strides[0], kernel.strides[1]
    t.kh, t.kw = kernel.shape[0], kernel.shape[1]
    if rotate:
        t.first += (t.kh - 1) * t.row + (t.kw - 1) * t.column
        t.row, t.column = -t.row, -t.column
    if transposed:
        t.row, t.column = t.column, t.row
        t.kh, t.kw = t.kw, t.kh
    return t


cdef void pack_taps(
    Call* call, real* to, const Taps* taps, Py_ssize_t offset, bint negative,
) noexcept nogil:
    cdef Py_ssize_t i, j, first, end, worked = 0
    cdef real w
    for i in range(taps.kh):
        first = 0
        while first < taps.kw:
            end = min(first + PATIENCE, taps.kw)
            if ended(call, end - first, &worked):
                return
            for j in range(first, end):
                w = fetch(taps.first + i * taps.row + j * taps.column + offset)
                to[i * taps.kw + j] = -w if negative else w
            first = end


cdef void fill_words(
    Call* call, real* to, Py_ssize_t count, int words, real re, real im,
) noexcept nogil:
    """The same pixel, of so many words, over and over."""
    cdef Py_ssize_t i, first = 0, end, worked = 0
    while first < count:
        end = min(first + PATIENCE, count)
        if ended(call, end - first, &worked):
            return
        for i in range(first, end):
            to[i] = im if words == 2 and i & 1 else re
        first = end


def run(
    const elem[:, :] image,
    const elem[:, :] kernel,
    const elem[:, :] row,       # IN: of a rank-one kernel u v: v; else None
    const elem[:, :] column,    # IN: and u
    elem[:, :] out,
    int words,                  # IN: 2 if the image is complex
    int planes,                 # IN: 2 if the kernel is complex
    Py_ssize_t start_y,         # IN: image coordinate under the first tap of out[0, 0]
    Py_ssize_t start_x,
    int boundary,
    const elem[:, :] fill,      # IN: the fill value; None: zero
    bint rotate,                # IN: rotate the kernel by 180 degrees
    bint conjugate,             # IN: conjugate the kernel
    int workers,
    const Py_ssize_t[::1] image_offsets=None,   # IN: of the images of a stack, in bytes
    const Py_ssize_t[::1] out_offsets=None,
):
    """Solve a problem."""
    cdef Job job
    cdef Call call
    cdef elem[2] outside = [0, 0]
    cdef Taps taps, v, u
    cdef bint transposed
    cdef Py_ssize_t t, _, n_images = 1, n_tiles, n_tables, n_taps, n_factors, n_scratch
    cdef Py_ssize_t taken = 0, done = 0
    cdef int n_threads
    cdef double workload, n_bytes
    cdef char* arena
    cdef char* memory
    job.call = &call
    job.image_offsets = job.out_offsets = NULL
    if image_offsets is not None:
        n_images = image_offsets.shape[0]
        job.image_offsets, job.out_offsets = &image_offsets[0], &out_offsets[0]
    job.image = <const char*>&image[0, 0]
    job.image_row, job.image_pixel = image.strides[0], image.strides[1]
    job.out = <char*>&out[0, 0]
    job.out_row, job.out_pixel = out.strides[0], out.strides[1]
    job.y.n, job.y.m, job.y.k, job.y.start = image.shape[0], out.shape[0], kernel.shape[0], start_y
    job.x.n, job.x.m, job.x.k, job.x.start = image.shape[1], out.shape[1], kernel.shape[1], start_x
    if fill is not None:
        outside[0] = (&fill[0, 0])[0]
        if words == 2:
            outside[1] = (&fill[0, 0])[1]
    job.words = words
    job.separable = column is not None
    job.planes = planes if words == 2 else 1
    # A complex tile done again: where the image is not finite, an imaginary part of zero counts.
    job.most_planes = words if job.separable else job.planes
    job.parts = planes if words == 1 else 1
    transposed = columns_first(job.y.m, job.x.m, words)
    if transposed:
        transpose(&job)
    taps = v = u = taps_of(kernel, rotate, transposed)
    if job.separable:
        v, u = taps_of(row, rotate, transposed), taps_of(column, rotate, transposed)
        if transposed:
            v, u = u, v
    if <double>max(job.y.m, job.y.k, job.x.m, job.x.k) > MAX_BYTES:
        raise MemoryError("fastconv has no room for arrays of such a length")
    lay_out(&job)

    n_tiles = n_images * job.n_ty * job.n_tx * job.parts
    workload = <double>job.y.k + job.x.k if job.separable else <double>job.y.k * job.x.k
    workload *= <double>n_images * job.y.m * job.x.m * job.planes * job.parts
    n_threads = <int>min(<double>min(workers, n_tiles), 1 + workload / THREAD_WORKLOAD)
    # Everything is allocated at once, before a word is written; what would overflow a size is
    # more than any machine has. The index tables are shorter than the taps and the span.
    n_bytes = <double>sizeof(real) * (
        2.0 * (<double>job.y.k * job.x.k + job.y.k + job.x.k)
        + 2.0 * job.span
        + <double>n_threads * (
            <double>job.most_planes * job.n_rows * job.pitch
            + <double>job.n_rows * job.half_pitch
        )
    ) + <double>n_threads * job.most_planes * job.n_pointers * sizeof(void*)
    if n_bytes > MAX_BYTES:
        raise MemoryError(f"fastconv needs {n_bytes:.3g} bytes of scratch memory")
    n_tables = n_before(&job.y) + n_after(&job.y) + n_before(&job.x) + n_after(&job.x)
    n_tables = round_up(n_tables * sizeof(Py_ssize_t), CACHE_LINE)
    n_taps = round_up(job.y.k * job.x.k * sizeof(real), CACHE_LINE)
    n_factors = round_up((job.y.k + job.x.k) * sizeof(real), CACHE_LINE)
    n_scratch = job.most_planes * job.n_rows * job.pitch + job.n_rows * job.half_pitch
    n_scratch = round_up(n_scratch * sizeof(real), CACHE_LINE)
    n_scratch += round_up(job.most_planes * job.n_pointers * sizeof(void*), CACHE_LINE)
    arena = <char*>malloc(
        CACHE_LINE + n_tables + 2 * n_taps + n_factors
        + 2 * round_up(job.span * sizeof(real), CACHE_LINE) + n_threads * n_scratch
    )
    if arena == NULL:
        raise MemoryError("fastconv could not get its scratch memory")
    memory = arena + (CACHE_LINE - <size_t>arena % CACHE_LINE)
    job.y.before = <Py_ssize_t*>memory
    job.y.after = job.y.before + n_before(&job.y)
    job.x.before = job.y.after + n_after(&job.y)
    job.x.after = job.x.before + n_before(&job.x)
    memory += n_tables
    job.taps[0] = <real*>memory
    job.taps[1] = <real*>(memory + n_taps)
    memory += 2 * n_taps
    job.factors[0] = <real*>memory
    job.factors[1] = job.factors[0] + job.x.k
    memory += n_factors
    job.fill[0] = <real*>memory
    memory += round_up(job.span * sizeof(real), CACHE_LINE)
    job.fill[1] = <real*>memory
    memory += round_up(job.span * sizeof(real), CACHE_LINE)
    with nogil:
        n_threads = begin(&call, n_threads)
        fill_tables(&call, &job.y, boundary)
        fill_tables(&call, &job.x, boundary)
        pack_taps(&call, job.taps[0], &taps, 0, False)
        if job.separable:
            pack_taps(&call, job.factors[0], &v, 0, False)
            pack_taps(&call, job.factors[1], &u, 0, False)
            if job.most_planes == 2:
                fill_words(&call, job.taps[1], job.y.k * job.x.k, 1, 0, 0)
        elif planes == 2:
            pack_taps(&call, job.taps[1], &taps, sizeof(elem), conjugate)
        fill_words(&call, job.fill[0], job.span, words, outside[0], outside[1])
        if job.most_planes == 2:
            fill_words(&call, job.fill[1], job.span, 2, -<real>outside[1], outside[0])
        if is_stopped(&call):
            pass
        elif n_threads == 1:
            for t in range(n_tiles):
                tile(&job, t, memory)
        else:
            for _ in prange(n_threads, num_threads=n_threads, schedule="static", chunksize=1):
                take_tiles(&job, n_tiles, memory + threadid() * n_scratch, &taken, &done)
        free(arena)
    finish(&call)


def _multiply_adds(Py_ssize_t n):
    """ROWS * VECS * LANES * n multiply-adds in registers alone."""
    cdef vec acc[ROWS][VECS]
    cdef real word[LANES]
    cdef vec a, b
    cdef Py_ssize_t _t, r, v
    for r in range(LANES):
        word[r] = 1
    a = load(word)
    b = load(word)
    for r in range(ROWS):
        for v in range(VECS):
            acc[r][v] = splat(0)
    with nogil:
        for _t in range(n):
            for r in range(ROWS):
                for v in range(VECS):
                    acc[r][v] = acc[r][v] * a + b
    for r in range(1, ROWS * VECS):
        acc[0][0] = acc[0][0] + acc[r // VECS][r % VECS]
    store(word, acc[0][0])
    return word[0]  # the compiler need not compute what nobody gets


def fma_peak(int repeats):
    """Rate of multiply-adds in registers, the best of `repeats` runs on one thread, in flop/s."""
    cdef Py_ssize_t n = 200_000
    best = 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        _multiply_adds(n)
        best = max(best, 2 * n * ROWS * VECS * LANES / (time.perf_counter() - start))
    return best
