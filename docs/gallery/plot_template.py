"""
Template matching
=================

Where in an image is a small picture? Correlate the image with the picture: the result is large
where they agree. Divided by the size of both, it is the normalised correlation, which is between
-1 and 1 and depends neither on brightness nor on contrast.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from sklearn.datasets import load_sample_image

import fastconv

image = load_sample_image("china.jpg").astype(np.float32).mean(axis=2) / 255
top, left, height, width = 212, 286, 41, 61
template = image[top : top + height, left : left + width].copy()

# %%
# The image is made harder: half the contrast, and noise.

rng = np.random.default_rng(3)
search = 0.5 * image + 0.2 + rng.normal(0, 0.08, image.shape).astype(np.float32)

# %%
# Three correlations: one with the template less its mean, and two with a kernel of ones, for the
# mean and the variance under the template.

pattern = template - template.mean()
box = np.full_like(template, 1 / template.size)

agreement = fastconv.correlate2d(search, pattern, "valid")
mean = fastconv.correlate2d(search, box, "valid")
square = fastconv.correlate2d(search * search, box, "valid")
deviation = np.sqrt(np.maximum(square - mean * mean, 1e-12))
score = agreement / (deviation * pattern.std() * template.size)

found = np.unravel_index(score.argmax(), score.shape)
print("cut out at   ", (top, left))
print("found at     ", tuple(int(i) for i in found))
print(f"score there   {score[found]:.3f}")
assert found == (top, left)

# %%
# The box is the outer product of two vectors, the template is not.

print(fastconv.explain(search, box, "valid", function="correlate2d").engine)
print(fastconv.explain(search, pattern, "valid", function="correlate2d").engine)

figure, axes = plt.subplot_mosaic(
    [["template", "search", "score"]],
    figsize=(9.6, 2.9),
    width_ratios=[0.5, 2, 2],
    layout="constrained",
)
axes["template"].imshow(template, cmap="gray", vmin=0, vmax=1)
axes["search"].imshow(search, cmap="gray", vmin=0, vmax=1)
axes["search"].add_patch(
    Rectangle(found[::-1], width, height, fill=False, edgecolor="#d1490c", linewidth=2)
)
shown = axes["score"].imshow(score, cmap="RdBu_r", vmin=-0.7, vmax=0.7)
for name, axis in axes.items():
    axis.set_title(name, loc="left")
    axis.axis("off")
figure.colorbar(shown, ax=axes["score"], shrink=0.8)
plt.show()
