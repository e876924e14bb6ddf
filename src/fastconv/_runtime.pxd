# What surrounds the work of a call: its threads, and a look at signals now and then.

cdef extern from "_call.h":
    ctypedef struct Call:
        unsigned long listener
        double due
        bint counted
        bint stop
    bint is_stopped(const Call*) noexcept nogil
    Py_ssize_t count_one(Py_ssize_t*) noexcept nogil    # one more; how many there were before
    Py_ssize_t counted(const Py_ssize_t*) noexcept nogil

cdef enum:
    PATIENCE = 1 << 14          # words, vectors, or taps of blocks between looks: some 100 us

# Before a parallel region; the number of threads it may have, n at most.
cdef int begin(Call*, int n) noexcept nogil

# In its loops, on any thread: whether to leave the rest undone.
cdef bint stopped(Call*) noexcept nogil

cdef inline bint ended(Call* call, Py_ssize_t work, Py_ssize_t* worked) noexcept nogil:
    """Whether to leave a loop that does so much work next; looks for signals in between."""
    worked[0] += work
    if worked[0] < PATIENCE:
        return False
    worked[0] = 0
    return stopped(call)

# At their end, where others may be long about theirs: the thread that looks for signals stays until
# so many things are counted. The barrier that follows would be deaf.
cdef void hear_until(Call*, const Py_ssize_t* done, Py_ssize_t n) noexcept nogil

# After it; raises what a signal handler raised.
cdef int finish(Call*) except -1
