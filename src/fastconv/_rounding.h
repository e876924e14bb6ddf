/* The floating-point environment that results are promised for: rounding to nearest, and subnormal
 * numbers as they are. A library built with -ffast-math may have left another to the thread. */
#ifndef FASTCONV_ROUNDING_H
#define FASTCONV_ROUNDING_H

#if defined(__SSE2__) || defined(_M_X64)
#include <immintrin.h>

typedef struct {
    unsigned vectors;
    unsigned short x87;
} environment;

static inline environment usual_environment(void) {
    const unsigned flags = 0x3f, usual = 0x1f80; /* exceptions masked; neither FTZ nor DAZ */
    environment e = {_mm_getcsr(), 0x37f};
    if ((e.vectors & ~flags) != usual) _mm_setcsr(usual);
#if defined(WORD_ld) && defined(__GNUC__)
    const unsigned short extended = 0x37f; /* all 64 bits of a long double */
    __asm__ volatile("fnstcw %0" : "=m"(e.x87));
    if (e.x87 != extended) __asm__ volatile("fldcw %0" : : "m"(extended) : "memory");
#endif
    return e;
}

static inline void restore_environment(environment e) {
    if ((e.vectors & ~0x3fu) != 0x1f80) _mm_setcsr(e.vectors);
#if defined(WORD_ld) && defined(__GNUC__)
    if (e.x87 != 0x37f) __asm__ volatile("fldcw %0" : : "m"(e.x87) : "memory");
#endif
}

#elif defined(__aarch64__) && defined(__GNUC__)

typedef unsigned long environment;

static inline environment usual_environment(void) {
    environment e;
    __asm__ volatile("mrs %0, fpcr" : "=r"(e));
    if (e) __asm__ volatile("msr fpcr, %0" : : "r"(0ul) : "memory");
    return e;
}

static inline void restore_environment(environment e) {
    if (e) __asm__ volatile("msr fpcr, %0" : : "r"(e) : "memory");
}

#else
#include <fenv.h>

typedef fenv_t environment;

static inline environment usual_environment(void) {
    fenv_t e;
    fegetenv(&e);
    fesetenv(FE_DFL_ENV);
    return e;
}

static inline void restore_environment(environment e) { fesetenv(&e); }

#endif

#endif
