# The machine: instruction sets, threads and signals. Compiled with baseline instructions only,
# because it decides whether any others may run.

import sys

cdef extern from "_cpu.h":
    const char* cpu_level()
    const char* COMPILER
    const char* LEVELS

cdef extern from "_threads.h":
    const int OPENMP
    int openmp_threads()
    double seconds() nogil
    int allowed_processors() nogil
    void nap() nogil
    int enter() nogil
    void leave() nogil
    int with_team(int) nogil
    void let_threads_go "before_fork"()
    void start_anew "after_fork"()

cdef extern from "Python.h":
    int PyErr_CheckSignals() noexcept   # the exception stays for finish()

cdef extern from "_call.h":
    void stop(Call*) nogil

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident() nogil

BUILD = {
    "compiler": COMPILER.decode(),
    "levels": tuple(LEVELS.decode().split()),
    "openmp": OPENMP,
}

# Seconds between looks for signals.
cdef double INTERVAL = 0.02

# How many processors there are, 0: ask the system; how many of them to keep busy, 0: all.
cdef int told = 0
cdef int quota = 0

# Of Python's main thread, in which signal handlers run. Without the module there is no other.
cdef unsigned long main_ident = (
    sys.modules["threading"].main_thread().ident if "threading" in sys.modules
    else PyThread_get_thread_ident()
)


def level():
    """Highest instruction-set level that processor and operating system support."""
    return cpu_level().decode()


def max_threads():
    """Threads OpenMP would use: OMP_NUM_THREADS and threadpoolctl have their say here."""
    return openmp_threads()


def set_processors(int number, int limit):
    """Say how many processors there are, 0: ask the system; and how many to keep busy, 0: all."""
    global told, quota
    told, quota = number, limit


def processors():
    """Processors that the process may keep busy."""
    return count_processors()


cdef int count_processors() noexcept nogil:
    cdef int n = max(1, told if told else allowed_processors())
    return min(n, quota) if quota else n


def alone(lock, function, *args):
    """Call `function` while `lock` is held.

    From 3.13 on, `with lock:` in Python may leave it held: a signal handler can raise after the
    lock is taken, or in a loop of the block, where the interpreter does not know that it is to let
    it go. What is compiled hears no signal between the lock and the call, nor after that.
    """
    lock.acquire()
    try:
        return function(*args)
    finally:
        lock.release()


def before_fork():
    """Let OpenMP's idle threads go, so that a child process can start its own."""
    let_threads_go()


def after_fork():
    """In the child: no call is under way, and this is its main thread."""
    global main_ident
    start_anew()
    main_ident = PyThread_get_thread_ident()


cdef int begin(Call* call, int n) noexcept nogil:
    """Threads for a call: n, or less where processors are fewer, busy, or refused."""
    call.stop = False
    call.counted = n > 1
    call.due = 0
    call.listener = PyThread_get_thread_ident()
    if call.listener != main_ident:
        call.listener = 0
    if n > 1:
        n = max(1, min(n, count_processors() // enter()))
    if n > 1:
        n = with_team(n)
    return n


cdef int look() noexcept with gil:
    """Run signal handlers; -1 and an exception if one raised."""
    return PyErr_CheckSignals()


cdef inline bint listens(const Call* call) noexcept nogil:
    return call.listener != 0 and call.listener == PyThread_get_thread_ident()


cdef bint stopped(Call* call) noexcept nogil:
    cdef double now
    if listens(call) and not is_stopped(call):
        now = seconds()
        if call.due == 0:
            call.due = now + INTERVAL
        elif now >= call.due:
            if look() < 0:
                stop(call)
            call.due = seconds() + INTERVAL
    return is_stopped(call)


cdef void hear_until(Call* call, const Py_ssize_t* done, Py_ssize_t n) noexcept nogil:
    while listens(call) and counted(done) < n:
        nap()
        stopped(call)


cdef int finish(Call* call) except -1:
    if call.counted:
        leave()
    return -1 if call.stop else 0
