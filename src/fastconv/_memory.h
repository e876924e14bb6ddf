/* Scratch memory, to be freed with free(). */
#ifndef FASTCONV_MEMORY_H
#define FASTCONV_MEMORY_H

#include <stdlib.h>

#if defined(__linux__)
#include <sys/mman.h>

/* Large blocks in large pages: a column of a large tile touches as many pages as it has rows, and
 * there are not so many entries in the table that translates their addresses. */
enum { LARGE_PAGE = 1 << 21 };

static void *scratch(size_t size) {
    void *p;
    if (size < 2 * LARGE_PAGE) return malloc(size);
    if (posix_memalign(&p, LARGE_PAGE, size)) return NULL;
    madvise(p, size, MADV_HUGEPAGE); /* a wish: nothing depends on it */
    return p;
}
#else
static void *scratch(size_t size) { return malloc(size); }
#endif

#endif
