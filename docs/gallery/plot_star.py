"""
A field of stars, and one that is bright
========================================

A telescope spreads each point of the sky over many pixels: the image is the sky convolved with a
point-spread function. One star in the field is a billion times as bright as the galaxies.

The rounding errors of a Fourier transform are in proportion to the norm of all that it transforms.
If that is the whole image, the star's errors are everywhere. If it is one tile, they are in that
tile. The errors of a sum are in proportion to its own terms.
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.signal

import fastconv

rng = np.random.default_rng(7)
size = 1024

# %%
# The sky, in float32: 400 faint stars and galaxies of 1 to 10 units, and a star of 3e9.

sky = np.zeros((size, size), np.float32)
faint = rng.integers(0, size, (2, 400))
sky[tuple(faint)] = rng.uniform(1, 10, 400)
star = 250, 770
sky[star] = 3e9

# %%
# The point-spread function, of Moffat's form, 65 x 65, cut to a disk.

line = np.arange(65) - 32
radius = np.hypot(line[:, None], line)
spread = np.where(radius <= 32, (1 + (radius / 3) ** 2) ** -2.5, 0)
spread = (spread / spread.sum()).astype(np.float32)

# %%
# The same convolution in three ways, all with float32 inputs and a float32 result:
#
# - `scipy.signal.fftconvolve` transforms the whole image,
# - `fastconv.fftconvolve` transforms tiles,
# - `fastconv.convolve2d` keeps the bound of the defining sum for each pixel.
#
# The exact result is the defining sum in float64, whose errors are 5e8 times smaller.

exact = fastconv.convolve2d(
    sky.astype(np.float64), spread.astype(np.float64), "same", method="direct"
)
results = {
    "scipy.signal.fftconvolve": scipy.signal.fftconvolve(sky, spread, "same"),
    "fastconv.fftconvolve": fastconv.fftconvolve(sky, spread, "same"),
    "fastconv.convolve2d": fastconv.convolve2d(sky, spread, "same"),
}

far = np.ones((size, size), bool)
far[star[0] - 33 : star[0] + 34, star[1] - 33 : star[1] + 34] = False
print("largest error where the star's light does not reach, the galaxies being 1 to 10 units")
for name, result in results.items():
    error = abs(result - exact)
    print(f"{name:<26} {error[far].max():8.1e},  pixels with an error above 1e-3: ", end="")
    print(f"{(error[far] > 1e-3).mean():.1%}")

# %%
# What is seen
# ------------
#
# Above the images, on a scale that shows the faint sources; below the errors, on a logarithmic one.
# In the transform of the whole image the star's rounding errors are as large as the galaxies,
# everywhere. In the transform of tiles they are in one tile. In the last image they are where the
# star's own light is.

figure, grid = plt.subplots(2, 3, figsize=(9.6, 6.0), layout="constrained")
for (name, result), (above, below) in zip(results.items(), grid.T, strict=True):
    above.imshow(result, cmap="gray", vmin=-0.2, vmax=0.6)
    above.set_title(name, loc="left", fontsize=10)
    error = np.log10(np.maximum(abs(result - exact), 1e-12))
    shown = below.imshow(error, cmap="magma", vmin=-9, vmax=1)
for axis in grid.flat:
    axis.set(xticks=[], yticks=[])
grid[0, 0].set_ylabel("image")
grid[1, 0].set_ylabel("error")
figure.colorbar(shown, ax=grid[1], label="log10 of the error", shrink=0.9)
plt.show()

# %%
# Which bound holds for a call is what `fastconv.explain` prints; `fastconv.error_bound` computes it
# for each pixel.

print(fastconv.explain(sky, spread, "same"))
print()
print(fastconv.explain(sky, spread, "same", function="fftconvolve"))
bound = fastconv.error_bound(sky, spread, "same")
assert (abs(results["fastconv.convolve2d"] - exact) <= bound).all()
