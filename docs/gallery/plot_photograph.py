"""
Filters for a photograph
========================

A colour photograph is a stack of three images, whose axes are (row, column, colour). ``axes`` tells
which two are rows and columns; the kernel is broadcast along the third.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

import fastconv

photograph = load_sample_image("china.jpg").astype(np.float32) / 255
print(photograph.shape, photograph.dtype)


def gaussian(size, sigma):
    """Gaussian whose taps sum to one."""
    line = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
    kernel = np.outer(line, line)
    return (kernel / kernel.sum()).astype(np.float32)


def filtered(image, kernel):
    """Convolve every colour with a kernel; beyond its borders the photograph is mirrored."""
    return fastconv.convolve2d(image, kernel, "same", "symm", axes=(0, 1))


# %%
# Blur and sharpen
# ----------------
#
# A blur with a Gaussian of 31 x 31 taps, and one with a disk of 15 x 15, as of a lens out of focus.
# Unsharp masking adds what a small Gaussian takes away: with the identity it is one kernel.

line = np.arange(15) - 7
disk = (np.hypot(line[:, None], line) <= 7.5).astype(np.float32)
disk /= disk.sum()

sharpen = -1.5 * gaussian(7, 1.2)
sharpen[3, 3] += 2.5

pictures = {
    "photograph": photograph,
    "Gaussian, 31 x 31": filtered(photograph, gaussian(31, 5)),
    "disk, 15 x 15": filtered(photograph, disk),
    "unsharp mask, 7 x 7": filtered(photograph, sharpen),
}
figure, grid = plt.subplots(2, 2, figsize=(9, 6.4), layout="constrained")
for axis, (title, picture) in zip(grid.flat, pictures.items(), strict=True):
    axis.imshow(np.clip(picture, 0, 1))
    axis.set_title(title, loc="left")
    axis.axis("off")
plt.show()

# %%
# The Gaussian is the outer product of two vectors, and so is done in two steps. The disk is not.

grey = photograph.mean(axis=2)
print(fastconv.explain(grey, gaussian(31, 5), "same", "symm").engine)
print(fastconv.explain(grey, disk, "same", "symm").engine)

# %%
# Edges
# -----
#
# Scharr's kernel holds both derivatives, one as the real and one as the imaginary part. The size of
# the complex result is the length of the gradient, its angle the direction.

scharr = np.array([[-3 - 3j, -10j, 3 - 3j], [-10, 0, 10], [-3 + 3j, 10j, 3 + 3j]], np.complex64)
gradient = fastconv.convolve2d(grey, scharr, "same", "symm")

figure, grid = plt.subplots(1, 2, figsize=(9, 3.3), layout="constrained")
grid[0].imshow(-abs(gradient), cmap="gray", vmin=-6, vmax=0)
grid[0].set_title("length of the gradient", loc="left")
weight = np.minimum(abs(gradient) / 6, 1)
grid[1].imshow(np.angle(gradient), cmap="twilight", alpha=weight)
grid[1].set_title("direction of the gradient", loc="left")
for axis in grid:
    axis.axis("off")
plt.show()
