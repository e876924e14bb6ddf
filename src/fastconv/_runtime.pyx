# The machine: instruction sets and threads. Compiled with baseline instructions only, because it
# decides whether any others may run.

cdef extern from "_cpu.h":
    const char* cpu_level()
    const char* COMPILER
    const char* LEVELS
    const int OPENMP
    int openmp_threads()
    void release_threads() noexcept

BUILD = {
    "compiler": COMPILER.decode(),
    "levels": tuple(LEVELS.decode().split()),
    "openmp": OPENMP,
}


def level():
    """Highest instruction-set level that processor and operating system support."""
    return cpu_level().decode()


def max_threads():
    """Threads OpenMP would use: OMP_NUM_THREADS and threadpoolctl have their say here."""
    return openmp_threads()


def before_fork():
    """Let OpenMP's idle threads go, so that a child process can start its own."""
    release_threads()
