/* Transposition of LANES vectors of LANES words, in registers.
 *
 * Two steps, so that each shuffle is one instruction: squares within each 16 bytes, then the
 * 16-byte pieces among the vectors.
 */
#ifndef FASTCONV_TRANSPOSE_H
#define FASTCONV_TRANSPOSE_H

#include "_simd.h"

#if defined(VECTOR_TYPES)
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef __typeof__((vec){0} < (vec){0}) mask;
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (mask){__VA_ARGS__})
#endif

/* Lanes of two vectors of N words: pairs and quadruples of words within 16 bytes, and every other
 * piece of 16 bytes. */
#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)
#define LOW CAT(LOW_, SHAPE)
#define HIGH CAT(HIGH_, SHAPE)
#define LOW2 CAT(LOW2_, SHAPE)
#define HIGH2 CAT(HIGH2_, SHAPE)
#define EVEN CAT(EVEN_, SHAPE)
#define ODD CAT(ODD_, SHAPE)

/* SHAPE is words in 16 bytes, times 100, plus words in a vector. */
#define LOW_202 0, 2
#define HIGH_202 1, 3
#define LOW_204 0, 4, 2, 6
#define HIGH_204 1, 5, 3, 7
#define EVEN_204 0, 1, 4, 5
#define ODD_204 2, 3, 6, 7
#define LOW_208 0, 8, 2, 10, 4, 12, 6, 14
#define HIGH_208 1, 9, 3, 11, 5, 13, 7, 15
#define EVEN_208 0, 1, 4, 5, 8, 9, 12, 13
#define ODD_208 2, 3, 6, 7, 10, 11, 14, 15
#define LOW_404 0, 4, 1, 5
#define HIGH_404 2, 6, 3, 7
#define LOW2_404 0, 1, 4, 5
#define HIGH2_404 2, 3, 6, 7
#define LOW_408 0, 8, 1, 9, 4, 12, 5, 13
#define HIGH_408 2, 10, 3, 11, 6, 14, 7, 15
#define LOW2_408 0, 1, 8, 9, 4, 5, 12, 13
#define HIGH2_408 2, 3, 10, 11, 6, 7, 14, 15
#define EVEN_408 0, 1, 2, 3, 8, 9, 10, 11
#define ODD_408 4, 5, 6, 7, 12, 13, 14, 15
#define LOW_416 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define HIGH_416 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define LOW2_416 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define HIGH2_416 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define EVEN_416 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define ODD_416 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31

#if defined(WORD_f64) && VECTOR_BYTES == 16
#define SHAPE 202
#elif defined(WORD_f64) && VECTOR_BYTES == 32
#define SHAPE 204
#elif defined(WORD_f64)
#define SHAPE 208
#elif VECTOR_BYTES == 16
#define SHAPE 404
#elif VECTOR_BYTES == 32
#define SHAPE 408
#else
#define SHAPE 416
#endif

enum { PIECES = VECTOR_BYTES / 16, IN_PIECE = 16 / sizeof(real) };

/* The pieces of v[0], v[step], v[2 step], ...: PIECES x PIECES of them. */
static inline void transpose_pieces(vec *v, int step) {
#if VECTOR_BYTES >= 32
    vec w[PIECES];
    int pass, i;
    for (pass = 1; pass < PIECES; pass *= 2) {
        for (i = 0; i < PIECES / 2; i++) {
            w[i] = SHUFFLE(v[2 * i * step], v[(2 * i + 1) * step], EVEN);
            w[i + PIECES / 2] = SHUFFLE(v[2 * i * step], v[(2 * i + 1) * step], ODD);
        }
        for (i = 0; i < PIECES; i++) v[i * step] = w[i];
    }
#else
    (void)v, (void)step;
#endif
}

static inline __attribute__((always_inline)) void transpose(vec *v) {
    int i;
    for (i = 0; i < LANES; i += IN_PIECE) {
#if defined(WORD_f64)
        vec a = v[i], b = v[i + 1];
        v[i] = SHUFFLE(a, b, LOW);
        v[i + 1] = SHUFFLE(a, b, HIGH);
#else
        vec a = v[i], b = v[i + 1], c = v[i + 2], d = v[i + 3];
        vec ab = SHUFFLE(a, b, LOW), cd = SHUFFLE(c, d, LOW);
        v[i] = SHUFFLE(ab, cd, LOW2);
        v[i + 1] = SHUFFLE(ab, cd, HIGH2);
        ab = SHUFFLE(a, b, HIGH), cd = SHUFFLE(c, d, HIGH);
        v[i + 2] = SHUFFLE(ab, cd, LOW2);
        v[i + 3] = SHUFFLE(ab, cd, HIGH2);
#endif
    }
    for (i = 0; i < IN_PIECE; i++) transpose_pieces(v + i, IN_PIECE);
}
#else
static inline void transpose(vec *v) { (void)v; }
#endif

#endif
