"""
Run calls on arrays that lie against pages which may not be touched.

A process of its own: reading or writing one byte too far is a segmentation fault. Every array ends
just before a forbidden page, or begins just after one.
"""

import ctypes
import itertools
import mmap
import sys

import numpy as np
from cases import BOUNDARIES, DTYPES, FUNCTIONS, fits, same_bits, whole_numbers

import fastconv

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
FORBIDDEN = 0  # PROT_NONE


class Guarded:
    """Memory for one array, at most `size` bytes, with a forbidden page on both sides."""

    def __init__(self, size):
        self.size = -(-size // PAGE) * PAGE
        self.memory = mmap.mmap(-1, self.size + 2 * PAGE)
        self.bytes = np.frombuffer(self.memory, np.uint8)
        for start in (0, PAGE + self.size):
            address = self.bytes.ctypes.data + start
            if libc.mprotect(address, PAGE, FORBIDDEN):
                raise OSError(ctypes.get_errno(), "mprotect")

    def array(self, shape, dtype, at_end):
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        assert nbytes <= self.size
        start = PAGE + (self.size - nbytes if at_end else 0)
        return self.bytes[start : start + nbytes].view(dtype).reshape(shape)


def check(guarded, method, image, kernel, at_end, modes):
    """Every call of a method, of arrays in guarded memory and with an `out` there."""
    for function, boundary, mode in itertools.product(FUNCTIONS, BOUNDARIES, modes):
        call = getattr(fastconv, function)
        if mode == "valid" and not fits(image.shape, kernel.shape, mode):
            continue
        if mode == "valid" and image.shape[0] < kernel.shape[0]:
            continue
        try:
            expected = call(image.copy(), kernel.copy(), mode, boundary, 3, method=method)
        except ValueError:
            assert method == "separable"  # of exchanged operands
            continue
        out = guarded.array(expected.shape, expected.dtype, at_end)
        call(image, kernel, mode, boundary, 3, out=out, method=method)
        assert same_bits(out, expected)
        assert same_bits(call(image, kernel, mode, boundary, 3, method=method), expected)


def main():
    rng = np.random.default_rng(1)
    guarded = [Guarded(1 << 18) for _ in range(3)]
    shapes = [
        *itertools.product([(1, 1), (1, 31), (5, 97), (9, 17), (33, 8)], [(1, 1), (3, 2), (2, 9)]),
        ((1, 2100), (1, 7)),
        ((2100, 1), (7, 1)),
        ((2, 2100), (2, 3)),
        ((3, 4), (8, 9)),
    ]
    for dtype, (image_shape, kernel_shape), at_end in itertools.product(
        DTYPES, shapes, (True, False)
    ):
        image = guarded[0].array(image_shape, dtype, at_end)
        kernel = guarded[1].array(kernel_shape, dtype, at_end)
        image[...] = whole_numbers(rng, image_shape, dtype)
        kernel[...] = whole_numbers(rng, kernel_shape, dtype)
        check(guarded[2], "direct", image, kernel, at_end, ("full", "same", "valid"))

    # Tiles in the middle of an image and at its edges, lines, and narrow images.
    shapes = [
        ((5, 97), (2, 9)),
        ((33, 8), (3, 3)),
        ((70, 3), (4, 1)),
        ((1, 900), (1, 40)),
        ((2, 900), (2, 3)),
        ((90, 121), (5, 6)),
        ((64, 64), (1, 9)),
    ]
    engines = [("fft", "fdFDBlq"), ("certified", "fFHi"), ("separable", "BHILfdgFD")]
    for (method, dtypes), (image_shape, kernel_shape), at_end in itertools.product(
        engines, shapes, (True, False)
    ):
        for dtype in dtypes:
            image = guarded[0].array(image_shape, dtype, at_end)
            image[...] = rng.integers(0, 9, image_shape)
            real = np.empty(0, dtype).real.dtype if method == "separable" else dtype
            kernel = guarded[1].array(kernel_shape, real, at_end)
            kernel[...] = np.multiply.outer(*(2 ** rng.integers(0, 3, n) for n in kernel_shape))
            check(guarded[2], method, image, kernel, at_end, ("same", "valid"))


if __name__ == "__main__":
    sys.exit(main())
