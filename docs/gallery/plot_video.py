"""
A video, and a plan
===================

One kernel, many images of one shape and dtype: `fastconv.plan` chooses the engine and prepares the
kernel once. A call of the plan does the image's work alone. It takes one frame, or a stack of them.

The video is made here: 60 frames of 240 x 320 pixels, in which five spots move through noise that
is as strong as they are.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastconv

rng = np.random.default_rng(11)
frames, height, width = 60, 240, 320
y, x = np.mgrid[:height, :width].astype(np.float32)

video = rng.normal(0, 1, (frames, height, width)).astype(np.float32)
start = rng.uniform((20, 20), (height - 20, width - 20), (5, 2))
speed = rng.uniform(-1, 1, (5, 2))
for t, frame in enumerate(video):
    for cy, cx in start + t * speed:
        frame += np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 18, dtype=np.float32)

# %%
# The kernel finds spots: a Gaussian of their size less a wider one, 33 x 33 taps.

line = np.arange(33) - 16
squares = line[:, None] ** 2 + line**2
narrow, wide = np.exp(-squares / 18), np.exp(-squares / 72)
kernel = (narrow / narrow.sum() - wide / wide.sum()).astype(np.float32)

find = fastconv.plan(kernel, (height, width), np.float32, mode="same", boundary="symm")
print(find)
print(find.explanation)

# %%
# Frame by frame, as they come, into one array that is used again.

found = np.empty(find.out_shape, find.out_dtype)
for frame in video:
    find(frame, out=found)

# %%
# Or all at once: the last two axes are the image.

all_found = find(video)
print(all_found.shape)
assert np.array_equal(all_found[-1], found)

# %%
# A single frame does not show the spots; the maximum over all filtered frames shows their paths.

figure, grid = plt.subplots(1, 3, figsize=(9.6, 2.7), layout="constrained")
grid[0].imshow(video[30], cmap="gray", vmin=-3, vmax=3)
grid[0].set_title("frame 30", loc="left")
grid[1].imshow(all_found[30], cmap="gray", vmin=-0.1, vmax=0.4)
grid[1].set_title("frame 30, filtered", loc="left")
grid[2].imshow(all_found.max(axis=0), cmap="gray", vmin=0, vmax=0.5)
grid[2].set_title("maximum over the frames", loc="left")
for axis in grid:
    axis.axis("off")
plt.show()
