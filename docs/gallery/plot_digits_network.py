"""
A network that learns, with convolution and with correlation
============================================================

What deep learning calls convolution is correlation: its layers do not turn the filters. It makes no
difference. A filter that is learned comes out turned by 180 degrees, and all else is the same.

Here one small network is trained twice on scikit-learn's digits: with layers of
`fastconv.correlate2d`, and with layers of `fastconv.convolve2d` that start from the same filters,
turned. The losses are the same to the last digit, because fastconv's results are the same to the
bit, whichever of the two functions a sum is written with.
"""

# %%
# The layers
# ----------
#
# A stack of images has the axes (image, channel, row, column), a layer's filters have
# (filter, channel, row, column). An output channel is the sum over the input channels. The
# functions broadcast all axes but the last two, so a layer is one call and a sum.
#
# The gradients of a layer are convolutions and correlations as well. Those of its input are the
# adjoint: of correlation that is convolution, and of convolution correlation. Those of its filters
# are the correlation of the input with the gradients of the output; turned, if the filters are.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from fastconv import convolve2d, correlate2d

AXES = {"axes": (-2, -1)}


def turned(filters):
    """Rotate each filter by 180 degrees."""
    return filters[..., ::-1, ::-1]


class Correlation:
    """A layer that correlates."""

    def __init__(self, filters):
        self.filters = filters.copy()

    def forward(self, images):
        self.images = images
        return correlate2d(images[:, None], self.filters, "valid", **AXES).sum(axis=2)

    def to_images(self, gradient):
        return convolve2d(gradient[:, :, None], self.filters, "full", **AXES).sum(axis=1)

    def to_filters(self, gradient):
        products = correlate2d(self.images[:, None], gradient[:, :, None], "valid", **AXES)
        return products.sum(axis=0)


class Convolution(Correlation):
    """The same layer with convolution."""

    def forward(self, images):
        self.images = images
        return convolve2d(images[:, None], self.filters, "valid", **AXES).sum(axis=2)

    def to_images(self, gradient):
        return correlate2d(gradient[:, :, None], self.filters, "full", **AXES).sum(axis=1)

    def to_filters(self, gradient):
        return turned(super().to_filters(gradient))


# %%
# The network
# -----------
#
# Two layers, each followed by ``max(x, 0)``, and a matrix that makes ten numbers of 32, one for
# each digit. Training is gradient descent with momentum on the cross entropy, 64 images at a time.

digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.target))
images = digits.images[order, None] / 16 - 0.3
labels = digits.target[order]
learn, test = slice(None, 1408), slice(1408, None)


def forward(layers, matrix, images):
    """Outputs of both layers, and the probability of each digit."""
    first = np.maximum(layers[0].forward(images), 0)
    second = np.maximum(layers[1].forward(first), 0)
    scores = second.reshape(len(images), -1) @ matrix
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return first, second, scores / scores.sum(axis=1, keepdims=True)


def train(layers, matrix, epochs=5, batch=64, rate=0.05, momentum=0.9):
    """Train the layers and the matrix in place; return the loss of each step."""
    losses = []
    speeds = [np.zeros_like(a) for a in (layers[0].filters, layers[1].filters, matrix)]
    for start in list(range(0, learn.stop, batch)) * epochs:
        x, label = images[start : start + batch], labels[start : start + batch]
        first, second, probabilities = forward(layers, matrix, x)
        rows = np.arange(batch)
        losses.append(-np.log(probabilities[rows, label]).mean())

        probabilities[rows, label] -= 1
        scores = probabilities / batch
        at_second = (scores @ matrix.T).reshape(second.shape) * (second > 0)
        at_first = layers[1].to_images(at_second) * (first > 0)
        gradients = (
            layers[0].to_filters(at_first),
            layers[1].to_filters(at_second),
            second.reshape(batch, -1).T @ scores,
        )
        values = (layers[0].filters, layers[1].filters, matrix)
        for value, speed, gradient in zip(values, speeds, gradients, strict=True):
            speed *= momentum
            speed -= rate * gradient
            value += speed
    return losses


# %%
# Trained twice
# -------------
#
# The second network starts from the turned filters of the first.

rng = np.random.default_rng(1)
starts = (
    rng.standard_normal((8, 1, 5, 5)) / 5,
    rng.standard_normal((8, 8, 3, 3)) / 72**0.5,
)
start_matrix = rng.standard_normal((32, 10)) / 32**0.5

correlating = [Correlation(filters) for filters in starts]
convolving = [Convolution(turned(filters)) for filters in starts]
matrices = start_matrix.copy(), start_matrix.copy()

losses = train(correlating, matrices[0]), train(convolving, matrices[1])
print("step   correlation           convolution")
for step in (0, 1, 10, len(losses[0]) - 1):
    print(f"{step + 1:4d}   {losses[0][step]:<20.17g}  {losses[1][step]:<20.17g}")
assert losses[0] == losses[1]

for name, layers, matrix in zip(
    ("correlation", "convolution"), (correlating, convolving), matrices, strict=True
):
    right = forward(layers, matrix, images[test])[2].argmax(axis=1) == labels[test]
    print(f"{name}: {right.mean():.1%} of {right.size} other images are read right")

# %%
# The filters
# -----------
#
# Those of the second network are those of the first, turned by 180 degrees, to the last bit.

for one, other in zip(correlating, convolving, strict=True):
    assert np.array_equal(one.filters, turned(other.filters))

figure, grid = plt.subplots(2, 8, figsize=(9, 2.5), layout="constrained")
figure.suptitle("Filters of the first layer")
limit = abs(correlating[0].filters).max()
for axes, layer in zip(grid, (correlating[0], convolving[0]), strict=True):
    for axis, kernel in zip(axes, layer.filters[:, 0], strict=True):
        axis.imshow(kernel, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axis.set(xticks=[], yticks=[])
grid[0, 0].set_ylabel("correlation")
grid[1, 0].set_ylabel("convolution")
plt.show()

# %%
# The loss of each step. One curve lies on the other.

figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
axis.plot(losses[0], linewidth=4, color="#a9b0b8", label="correlation")
axis.plot(losses[1], linewidth=1, color="#d1490c", label="convolution")
axis.set(xlabel="step", ylabel="loss", ylim=(0, None))
axis.legend()
plt.show()
