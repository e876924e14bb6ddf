/* Pixels of any type, read into and written from rows of `real`. */
#ifndef FASTCONV_PIXELS_H
#define FASTCONV_PIXELS_H

#include <stdint.h>
#include <string.h>

#include "_simd.h"

/* A real below 2^51 in size, rounded to a whole number. Adding 3 * 2^51 moves the number into the
 * low bits of a double; what the sum of 0 looks like is taken off again. */
static inline uint64_t whole(real value) {
    double shifted = (double)value + 6755399441055744.0;
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    return bits - UINT64_C(0x4338000000000000);
}

/* count pixels that lie `step` bytes apart, at any address; packed ones in a loop of their own,
 * which the compiler turns into vectors. */
#define PIXELS(T, FROM_REAL)                                                                   \
    static void read_##T(real *dst, const char *src, Py_ssize_t count, Py_ssize_t step) {      \
        Py_ssize_t i;                                                                          \
        T value;                                                                               \
        if (step == sizeof value)                                                              \
            for (i = 0; i < count; i++) {                                                      \
                memcpy(&value, src + i * (Py_ssize_t)sizeof value, sizeof value);              \
                dst[i] = (real)value;                                                          \
            }                                                                                  \
        else                                                                                   \
            for (i = 0; i < count; i++) {                                                      \
                memcpy(&value, src + i * step, sizeof value);                                  \
                dst[i] = (real)value;                                                          \
            }                                                                                  \
    }                                                                                          \
    static void write_##T(char *dst, const real *src, Py_ssize_t count, Py_ssize_t step) {     \
        Py_ssize_t i;                                                                          \
        T value;                                                                               \
        if (step == sizeof value)                                                              \
            for (i = 0; i < count; i++) {                                                      \
                value = (T)FROM_REAL(src[i]);                                                  \
                memcpy(dst + i * (Py_ssize_t)sizeof value, &value, sizeof value);              \
            }                                                                                  \
        else                                                                                   \
            for (i = 0; i < count; i++) {                                                      \
                value = (T)FROM_REAL(src[i]);                                                  \
                memcpy(dst + i * step, &value, sizeof value);                                  \
            }                                                                                  \
    }

PIXELS(int8_t, whole)
PIXELS(uint8_t, whole)
PIXELS(int16_t, whole)
PIXELS(uint16_t, whole)
PIXELS(int32_t, whole)
PIXELS(uint32_t, whole)
PIXELS(int64_t, whole)
PIXELS(uint64_t, whole)
PIXELS(float, )
PIXELS(double, )

typedef void (*reader)(real *, const char *, Py_ssize_t, Py_ssize_t);
typedef void (*writer)(char *, const real *, Py_ssize_t, Py_ssize_t);

typedef struct {
    const char *name; /* NumPy's, without the byte order */
    reader read;
    writer write;
    int size;
} pixel_type;

#define TYPE(T, NAME) {NAME, read_##T, write_##T, sizeof(T)}
static const pixel_type PIXEL_TYPES[] = {
    TYPE(int8_t, "i1"),   TYPE(uint8_t, "u1"),  TYPE(int16_t, "i2"), TYPE(uint16_t, "u2"),
    TYPE(int32_t, "i4"),  TYPE(uint32_t, "u4"), TYPE(int64_t, "i8"), TYPE(uint64_t, "u8"),
    TYPE(float, "f4"),    TYPE(double, "f8"),
};
enum { N_PIXEL_TYPES = sizeof PIXEL_TYPES / sizeof PIXEL_TYPES[0] };

#endif
