/* Counts allocations of at least LEAST bytes, and makes one of them fail: for LD_PRELOAD.
 *
 * What the OpenMP runtime and the interpreter ask for is not counted. The one ends the process if
 * it gets nothing; test_memory.py has other means for the other.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <string.h>

enum { LEAST = 512 };

static int armed; /* the number of the allocation that fails, 0: none */
static int count;
static int live; /* blocks, of anyone's */

void no_memory_arm(int n) {
    count = 0;
    __atomic_store_n(&armed, n, __ATOMIC_SEQ_CST);
}

/* How many were counted. */
int no_memory_disarm(void) {
    __atomic_store_n(&armed, 0, __ATOMIC_SEQ_CST);
    return count;
}

int no_memory_live(void) { return live; }

static int fails(size_t size, const void *caller) {
    int n = __atomic_load_n(&armed, __ATOMIC_SEQ_CST);
    Dl_info info;
    const char *name;
    if (n == 0 || size < LEAST) return 0;
    if (!dladdr(caller, &info) || info.dli_fname == NULL) return 0;
    name = strrchr(info.dli_fname, '/');
    name = name ? name + 1 : info.dli_fname;
    if (strstr(name, "omp") || strncmp(name, "python", 6) == 0 || strstr(name, "libpython") ||
        strncmp(name, "ld-", 3) == 0 || strncmp(name, "libc.", 5) == 0)
        return 0;
    return __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) == n;
}

static void *counted(void *p) {
    if (p != NULL && malloc_usable_size(p) >= LEAST)
        __atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
    return p;
}

static void forget(void *p) {
    if (p != NULL && malloc_usable_size(p) >= LEAST)
        __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
}

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

#define CALLER __builtin_return_address(0)

static void *none(void) {
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t size) {
    return fails(size, CALLER) ? none() : counted(__libc_malloc(size));
}

void *calloc(size_t n, size_t size) {
    return fails(n * size, CALLER) ? none() : counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t size) {
    if (fails(size, CALLER)) return none();
    forget(p);
    return counted(__libc_realloc(p, size));
}

void *memalign(size_t alignment, size_t size) {
    return fails(size, CALLER) ? none() : counted(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) {
    return fails(size, CALLER) ? none() : counted(__libc_memalign(alignment, size));
}

int posix_memalign(void **p, size_t alignment, size_t size) {
    if (fails(size, CALLER)) return ENOMEM;
    *p = counted(__libc_memalign(alignment, size));
    return *p == NULL ? ENOMEM : 0;
}

void free(void *p) {
    forget(p);
    __libc_free(p);
}
