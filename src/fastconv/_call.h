/* One call of an engine, for as long as it works without the GIL. */
#ifndef FASTCONV_CALL_H
#define FASTCONV_CALL_H

#include <Python.h>

typedef struct {
    unsigned long listener; /* the thread that looks for signals: Python's main one, or none, 0 */
    double due;             /* when to look for the next time */
    int counted;            /* as one of the calls that keep processors busy */
    int stop;               /* a signal handler raised an exception */
} Call;

/* Read by all threads, written by one. */
#if defined(__GNUC__)
static inline int is_stopped(const Call *call) {
    return __atomic_load_n(&call->stop, __ATOMIC_RELAXED);
}
static inline void stop(Call *call) { __atomic_store_n(&call->stop, 1, __ATOMIC_RELAXED); }

/* Counted by all threads. */
static inline Py_ssize_t count_one(Py_ssize_t *n) {
    return __atomic_fetch_add(n, 1, __ATOMIC_ACQ_REL);
}
static inline Py_ssize_t counted(const Py_ssize_t *n) {
    return __atomic_load_n(n, __ATOMIC_ACQUIRE);
}
#else
#include <intrin.h>
static inline int is_stopped(const Call *call) { return *(volatile const int *)&call->stop; }
static inline void stop(Call *call) { *(volatile int *)&call->stop = 1; }
#if defined(_WIN64)
static inline Py_ssize_t count_one(Py_ssize_t *n) { return _InterlockedIncrement64(n) - 1; }
#else
static inline Py_ssize_t count_one(Py_ssize_t *n) { return _InterlockedIncrement((long *)n) - 1; }
#endif
static inline Py_ssize_t counted(const Py_ssize_t *n) { return *(const volatile Py_ssize_t *)n; }
#endif

#endif
