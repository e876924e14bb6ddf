/* Threads: how many the machine has room for, whether as many can be started, and what time it is
 * for the one that looks for signals. */
#ifndef FASTCONV_THREADS_H
#define FASTCONV_THREADS_H

#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include <stdlib.h>
#include <time.h>

#if defined(_OPENMP)
#include <omp.h>
#define OPENMP _OPENMP
static int openmp_threads(void) { return omp_get_max_threads(); }
#else
#define OPENMP 0
static int openmp_threads(void) { return 1; }
#endif

/* Seconds since some time. */
static double seconds(void) {
#if defined(_OPENMP)
    return omp_get_wtime();
#else
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return t.tv_sec + 1e-9 * t.tv_nsec;
#endif
}

/* Leave the processor to others, for some 100 us or until they leave it. */
#if defined(_WIN32)
__declspec(dllimport) void __stdcall Sleep(unsigned long);
static void nap(void) { Sleep(0); }
#else
static void nap(void) {
    struct timespec t = {0, 100000};
    nanosleep(&t, NULL);
}
#endif

/* Processors this thread may run on; 0: no telling. Where OpenMP binds threads to places
 * (OMP_PROC_BIND, OMP_PLACES), this one has but one, and the runtime knows of the others. */
#if defined(__linux__)
#include <sched.h>
static int allowed_processors(void) {
    cpu_set_t set;
#if defined(_OPENMP)
    int places = omp_get_num_places(), n = 0, i;
    for (i = 0; i < places; i++) n += omp_get_place_num_procs(i);
    if (n > 0) return n < omp_get_num_procs() ? n : omp_get_num_procs();
#endif
    return sched_getaffinity(0, sizeof(set), &set) ? 0 : CPU_COUNT(&set);
}
#else
static int allowed_processors(void) { return 0; }
#endif

/* Calls that are under way. */
#if defined(__GNUC__)
static int calls;
static int enter(void) { return __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED); }
static void leave(void) { __atomic_sub_fetch(&calls, 1, __ATOMIC_RELAXED); }
#else
#include <intrin.h>
static long volatile calls;
static int enter(void) { return _InterlockedIncrement(&calls); }
static void leave(void) { _InterlockedDecrement(&calls); }
#endif

/* An OpenMP runtime that is refused a thread, or memory for one, ends the process. So threads are
 * asked for before: as many as it would start are started, with stacks as large as its own, and
 * let go when all are there. */
#if defined(_OPENMP) && (defined(__unix__) || defined(__APPLE__))
#include <ctype.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif

enum { ITS_MEMORY = 1 << 16 };

typedef struct {
    pthread_mutex_t *gate;
    pthread_t thread;
    long id;
} candidate;

static void *stand(void *self) {
    candidate *c = self;
#if defined(__linux__)
    c->id = syscall(SYS_gettid);
#endif
    pthread_mutex_lock(c->gate);
    pthread_mutex_unlock(c->gate);
    return NULL;
}

/* OMP_STACKSIZE in bytes; 0: the default. */
static size_t stack_size(void) {
    const char *text = getenv("OMP_STACKSIZE");
    char *end;
    unsigned long long n;
    int shift = 10;
    if (text == NULL) text = getenv("GOMP_STACKSIZE");
    if (text == NULL) return 0;
    n = strtoull(text, &end, 10);
    if (end == text) return 0;
    while (isspace((unsigned char)*end)) end++;
    switch (toupper((unsigned char)*end)) {
        case 'B': shift = 0; break;
        case 'M': shift = 20; break;
        case 'G': shift = 30; break;
    }
    return n << shift >> shift == n ? (size_t)(n << shift) : 0;
}

/* How many of n more threads there is room for. */
static int room_for(int n) {
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_attr_t attributes;
    sigset_t all, before;
    size_t stack = stack_size();
    int started, i;
    candidate *c = malloc(ITS_MEMORY + n * sizeof(candidate));
    if (c == NULL) return 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are not for them */
    pthread_attr_init(&attributes);
    if (stack) pthread_attr_setstacksize(&attributes, stack);
    pthread_mutex_lock(&gate);
    for (started = 0; started < n; started++) {
        c[started].gate = &gate;
        if (pthread_create(&c[started].thread, &attributes, stand, &c[started])) break;
    }
    pthread_mutex_unlock(&gate);
    for (i = 0; i < started; i++) {
        pthread_join(c[i].thread, NULL);
#if defined(__linux__)
        /* Until the kernel has forgotten it, a thread that was joined counts. */
        while (syscall(SYS_tgkill, (long)getpid(), c[i].id, 0) == 0) sched_yield();
#endif
    }
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    free(c);
    return started;
}

/* Threads of this thread's last region, which wait for its next. */
static __thread int team = 1;
static pthread_mutex_t growing = PTHREAD_MUTEX_INITIALIZER;

/* A child of fork() has none of its parent's threads, and GCC's runtime waits for them for ever
 * unless it let them go before. LLVM's runtime looks after forks itself, and must not be paused. */
static void before_fork(void) {
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 9
    omp_pause_resource_all(omp_pause_hard);
    team = 1;
#endif
}

static void after_fork(void) {
    calls = 0;
    team = 1;
    pthread_mutex_init(&growing, NULL); /* who held it is not here */
}

/* A region of n threads, which the compiler must not take for nothing. */
static void gather(int n) {
#pragma omp parallel num_threads(n)
    { __asm__ volatile("" ::: "memory"); }
}

/* Have n threads wait for this thread's next region, or as many as there is room for. The next
 * region of as many asks for no memory: the runtime keeps that of the last. */
static int with_team(int n) {
    void *memory;
    if (omp_in_parallel()) return 1;
    if (n == team) return n;
    pthread_mutex_lock(&growing);
    if (n > team) n = team + room_for(n - team);
    memory = malloc(ITS_MEMORY);
    free(memory);
    if (memory != NULL && n > 1) {
        gather(n);
        team = n;
    } else {
        n = 1;
    }
    pthread_mutex_unlock(&growing);
    return n;
}
#else
static void before_fork(void) {}
static void after_fork(void) {}
static int with_team(int n) { return n; }
#endif

#endif
