# What surrounds the work of a call: its threads, and a look at signals now and then.

cdef extern from "_call.h":
    ctypedef struct Call:
        unsigned long listener
        double due
        bint counted
        bint stop
    bint is_stopped(const Call*) noexcept nogil

# Before a parallel region; the number of threads it may have, n at most.
cdef int begin(Call*, int n) noexcept nogil

# In its loops, on any thread: whether to leave the rest undone.
cdef bint stopped(Call*) noexcept nogil

# After it; raises what a signal handler raised.
cdef int finish(Call*) except -1
