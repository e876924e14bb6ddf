/* Scratch memory, and a few blocks of it that are kept for the next call.
 *
 * A fresh block costs a page fault for every 4096 bytes, which for a small transform is as much as
 * the transform. A slot is emptied and filled by one atomic exchange each, so any thread may.
 */
#ifndef FASTCONV_MEMORY_H
#define FASTCONV_MEMORY_H

#include <stdlib.h>

enum { KEPT_BLOCKS = 3, LARGEST_KEPT = 1 << 24, HEADER = 64 };

#if defined(__GNUC__)
static char *kept[KEPT_BLOCKS];

static char *exchange(int slot, char *block) {
    return __atomic_exchange_n(&kept[slot], block, __ATOMIC_ACQ_REL);
}
#else
static char *exchange(int slot, char *block) {
    (void)slot;
    return block;
}
#endif

/* The size of a block stands in its header. */
static size_t *size_of(char *block) { return (size_t *)block; }

#if defined(__linux__)
#include <sys/mman.h>

/* Large blocks in large pages: a column of a large tile touches as many pages as it has rows, and
 * there are not so many entries in the table that translates their addresses. */
static char *fresh(size_t size) {
    const size_t page = 1 << 21;
    void *p;
    if (size < 2 * page) return malloc(size);
    if (posix_memalign(&p, page, size)) return NULL;
    madvise(p, size, MADV_HUGEPAGE); /* a wish: nothing depends on it */
    return p;
}
#else
static char *fresh(size_t size) { return malloc(size); }
#endif

/* size bytes, or NULL. */
static void *scratch(size_t size) {
    char *block;
    int slot;
    for (slot = 0; slot < KEPT_BLOCKS; slot++) {
        block = exchange(slot, NULL);
        if (block == NULL) continue;
        if (*size_of(block) >= size && *size_of(block) / 4 <= size) return block + HEADER;
        block = exchange(slot, block);
        free(block); /* another thread's, put there in between */
    }
    block = fresh(size + HEADER);
    if (block == NULL) return NULL;
    *size_of(block) = size;
    return block + HEADER;
}

static void give_back(void *memory) {
    char *block;
    int slot;
    if (memory == NULL) return;
    block = (char *)memory - HEADER;
    for (slot = 0; slot < KEPT_BLOCKS && block != NULL; slot++)
        if (*size_of(block) <= LARGEST_KEPT) block = exchange(slot, block);
    free(block);
}

#endif
