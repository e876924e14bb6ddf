/* The vector of the instruction set this file is compiled for.
 *
 * Expects `elem` (a word as arrays store it) and `real` (a word as the arithmetic has it) to be
 * defined, and defines vec, LANES, the register block ROWS x VECS, load, store, splat and LEVEL.
 * Everything comes from the compiler's own macros, so a module cannot claim another level than
 * its flags gave it.
 */
#ifndef FASTCONV_SIMD_H
#define FASTCONV_SIMD_H

#include <string.h>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define LEVEL "v4"
#define VECTOR_BYTES 64
#elif defined(__AVX2__) && defined(__FMA__)
#define LEVEL "v3"
#define VECTOR_BYTES 32
#else
#define LEVEL "baseline"
#define VECTOR_BYTES 16
#endif

/* ROWS * VECS accumulators, VECS inputs and one tap must fit the register file: 32 registers for
 * AVX-512 and AArch64, 16 for the other x86-64 levels. */
#if defined(__AVX512F__) || defined(__aarch64__)
enum { ROWS = 4, VECS = 6 };
#else
enum { ROWS = 4, VECS = 3 };
#endif

#if defined(__GNUC__) && !defined(FASTCONV_SCALAR)
#define VECTOR_TYPES
typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
typedef real unaligned_vec __attribute__((vector_size(VECTOR_BYTES), aligned(1), may_alias));
#else
typedef real vec;
#endif

enum { LANES = sizeof(vec) / sizeof(real), BLOCK = ROWS * VECS * LANES, CACHE_LINE = 64 };
/* Enumerators may be made of integers only, to compilers that keep to the standard. */
#define IS_FLOAT ((real)0.5 != 0)

/* `block` in _direct.pyx spells out the ranges of four rows. */
typedef char four_rows[ROWS == 4 ? 1 : -1];

#if defined(VECTOR_TYPES)
/* A compiler that sees where a vector was loaded from folds the load into each multiply that
 * uses it: four loads where one would do. PIN hides the origin. */
#if defined(__AVX512F__)
#define PIN(v) __asm__("" : "+v"(v))
#elif defined(__x86_64__)
#define PIN(v) __asm__("" : "+x"(v))
#elif defined(__aarch64__)
#define PIN(v) __asm__("" : "+w"(v))
#else
#define PIN(v) ((void)0)
#endif

static inline vec load(const real *p) {
    vec v = *(const unaligned_vec *)p;
    PIN(v);
    return v;
}
static inline void store(real *p, vec v) { *(unaligned_vec *)p = v; }
static inline vec splat(real k) { return k - (vec){0}; }
static inline void prefetch(const real *p, Py_ssize_t vectors) {
    const char *line = (const char *)p, *end = (const char *)(p + vectors * (Py_ssize_t)LANES);
    for (; line < end; line += CACHE_LINE) __builtin_prefetch(line);
}
#else
static inline vec load(const real *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void store(real *p, vec v) { memcpy(p, &v, sizeof v); }
static inline vec splat(real k) { return k; }
static inline void prefetch(const real *p, Py_ssize_t vectors) { (void)p, (void)vectors; }
#endif

/* Array words may lie at any address. */
static inline real fetch(const char *p) {
    elem word;
    memcpy(&word, p, sizeof word);
    return (real)word;
}
static inline void put(char *p, real value) {
    elem word = (elem)value;
    memcpy(p, &word, sizeof word);
}

#endif
