/* What the processor and the operating system can run: the highest level whose every flag
 * (setup.py, LEVELS) they support. */
#ifndef FASTCONV_CPU_H
#define FASTCONV_CPU_H

#if defined(__x86_64__) && defined(__GNUC__)
/* The compiler's run-time library asks CPUID, and XGETBV for the registers the system saves. */
static const char *cpu_level(void) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return "baseline";
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return "v4";
    return "v3";
}
#elif defined(_M_X64)
#include <immintrin.h>
#include <intrin.h>
static const char *cpu_level(void) {
    int r[4];
    unsigned long long saved;
    __cpuid(r, 0);
    if (r[0] < 7) return "baseline";
    __cpuid(r, 1);
    if (!(r[2] & 1 << 12) || !(r[2] & 1 << 27)) return "baseline"; /* FMA, OSXSAVE */
    saved = _xgetbv(0);
    __cpuidex(r, 7, 0);
    if (!(r[1] & 1 << 5) || (saved & 0x6) != 0x6) return "baseline"; /* AVX2 */
    if ((r[1] & 1 << 16) && (r[1] & 1 << 17) && (r[1] & 1 << 30) && r[1] < 0 &&
        (saved & 0xe6) == 0xe6) /* AVX-512 F, DQ, BW, VL */
        return "v4";
    return "v3";
}
#else
static const char *cpu_level(void) { return "baseline"; }
#endif

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#elif defined(_MSC_VER)
#define COMPILER "msvc"
#else
#define COMPILER "unknown"
#endif

#endif
