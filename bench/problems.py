"""The problems that are measured: what is convolved with what, the same at every run."""

from dataclasses import dataclass
from math import prod

import numpy as np
from common import Array

Shape = tuple[int, ...]
SEED = 20261123


@dataclass(frozen=True)
class Problem:
    """One convolution, and the number of threads that every candidate is given for it."""

    image: Array
    kernel: Array
    mode: str = "same"
    threads: int = 1

    def __str__(self) -> str:
        """As in f8 512x512 by 3x3 same, 1 thr."""
        sizes = name(self.image.dtype.str, self.image.shape, self.kernel.shape)
        return f"{sizes} {self.mode}, {self.threads} thr"

    @property
    def start(self) -> Shape:
        """Where the result begins in the full convolution."""
        return tuple((k - 1) // 2 if self.mode == "same" else 0 for k in self.kernel.shape)

    @property
    def shape(self) -> Shape:
        """Shape of the result, 'same' or 'full'."""
        sizes = zip(self.image.shape, self.kernel.shape, strict=True)
        return tuple(n if self.mode == "same" else n + k - 1 for n, k in sizes)


def name(dtype: str, shape: Shape, kernel: Shape) -> str:
    """Name a problem: f8 512x512 by 3x3."""
    sizes = ("x".join(map(str, size)) for size in (shape, kernel))
    return f"{np.dtype(dtype).str[1:]} {' by '.join(sizes)}"


def pair(
    shape: Shape,
    kernel: Shape,
    dtype: str,
    *,
    levels: tuple[tuple[int, int], tuple[int, int]] = ((0, 2), (0, 2)),
    seed: int = SEED,
) -> tuple[Array, Array]:
    """
    Random image and kernel.

    Integers are drawn from `levels`, a range for each: by default so small that no sum wraps.
    """
    rng = np.random.default_rng(seed)

    def draw(size: Shape, bounds: tuple[int, int]) -> Array:
        if np.dtype(dtype).kind in "iu":
            return rng.integers(*bounds, size).astype(dtype)
        values = rng.standard_normal(size)
        if np.dtype(dtype).kind == "c":
            values = values + 1j * rng.standard_normal(size)
        return values.astype(dtype)

    return draw(shape, levels[0]), draw(kernel, levels[1])


def smooth_pair(shape: Shape, kernel: Shape, dtype: str) -> tuple[Array, Array]:
    """Random image, and a Gaussian kernel that ends at three standard deviations."""
    factors = []
    for size in kernel:
        position = np.arange(size) - (size - 1) / 2
        weights = np.exp(-0.5 * (6 * position / size) ** 2)
        factors.append((weights / weights.sum()).astype(dtype))
    return pair(shape, kernel, dtype)[0], np.multiply.outer(*factors)


def factors_of(kernel: Array) -> tuple[Array, Array] | None:
    """Column and row whose outer product is the kernel, to rounding; None if there are none."""
    peak = np.unravel_index(np.argmax(np.abs(kernel)), kernel.shape)
    if kernel.dtype.kind not in "fc" or not kernel[peak]:
        return None
    column, row = kernel[:, peak[1]] / kernel[peak], kernel[peak[0]]
    error = np.max(np.abs(np.multiply.outer(column, row) - kernel))
    return (column, row) if error <= 4 * np.finfo(kernel.dtype).eps * abs(kernel[peak]) else None


# Bounds of the random problems. Smaller images measure the call, not the choice; the last bound
# keeps the slowest direct sum below some 0.3 s.
SIDES, KERNEL_SIDES, MOST_PRODUCTS = (16, 4096), (1, 65), 4.5e9
RANDOM_DTYPES = ("float32", "float64", "int16", "uint8", "complex64")


def random_problem(seed: int) -> tuple[Problem, bool]:
    """
    Return a random problem, and whether its kernel is an outer product.

    Sides are log-uniform, so that small and large ones are met equally often.
    """
    rng = np.random.default_rng((SEED, seed))

    def sides(bounds: tuple[int, int]) -> Shape:
        low, high = np.log(bounds[0]), np.log(bounds[1] + 1)
        return tuple(int(side) for side in np.exp(rng.uniform(low, high, 2)) + 1e-9)

    dtype, mode = str(rng.choice(RANDOM_DTYPES)), str(rng.choice(("full", "same", "valid")))
    separable, wide = rng.random() < 0.3, rng.random() < 0.5
    separable &= dtype != "complex64"  # factors of complex kernels are not looked for
    weight = 4 if dtype == "complex64" else 1
    while True:
        shape, size = sides(SIDES), sides(KERNEL_SIDES)
        fits = all(n >= k for n, k in zip(shape, size, strict=True))
        if fits and prod(shape) <= 2**20 and weight * prod(shape) * prod(size) <= MOST_PRODUCTS:
            break
    levels = ((0, 2), (0, 2))
    if np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        everything = (int(limits.min), int(limits.max) + 1)
        levels = (everything if wide else (0, min(1024, limits.max)), everything)
    image, kernel = pair(shape, size, dtype, levels=levels, seed=seed)
    if separable:
        column, row = kernel[:, 0], kernel[0]
        if kernel.dtype.kind in "iu":  # small enough that no product wraps
            column, row = column % 12, row % 12
        kernel = np.multiply.outer(column, row)
    return Problem(image, kernel, mode), separable
