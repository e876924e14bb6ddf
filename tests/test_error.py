"""The constant K of a transform's error bound, counted again by hand from docs/accuracy.md.

Observed errors are far below the bound, so none shows that a term of it is missing.
"""

from math import cos, log2, pi, sin, sqrt
from types import SimpleNamespace

import pytest

from fastconv import _dispatch, _error, _plan

# A twiddle: Brent, Percival and Zimmermann's product, and a root of unity.
ROUNDED = sqrt(5) + 1
COMPUTED = sqrt(5) + 5

# (outer, column, row), real and a line or not, what its passes and twiddles add up to: radices
# forward, radices back, twiddles of all passes, twiddles of a real tile, twists of a line.
TILES = [
    ((1, (8,), (8,)), False, False, 12, 12, 0, 0, 0),
    ((1, (4,), (2,)), True, False, 3, 3, 0, 3, 0),
    ((4, (4, 4), (4, 4, 8)), True, False, 2 + 4 + 10, 2 + 4 + 10, 2 + 2, 3, 0),
    ((5, (4, 4), (5, 4, 8)), True, True, 2 * 18.8 + 12, 2 * 8.4 + 12, 2 + 2, 3, 3),
    ((2, (3, 8), (3, 4)), False, True, 1 + 19 + 8, 1 + 11 + 8, 2 + 1, 0, 3),
    ((8, (), (2, 2)), False, False, 8, 8, 1, 0, 0),
    ((1, (), (8, 8)), False, False, 12, 12, 1, 0, 0),
    ((1, (8, 8), (2,)), False, False, 13, 13, 1, 0, 0),
]


@pytest.fixture
def tile(monkeypatch):
    """Let tiles go through other passes than the engine's."""

    def let(passes, rounded):
        engine = SimpleNamespace(
            passes=lambda height, width: passes, BUILD={"rounded_twiddles": rounded}
        )
        monkeypatch.setattr(_error, "engine_for", lambda engine_name, word: engine)
        _error.growth.cache_clear()

    yield let
    _error.growth.cache_clear()


@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize(
    ("passes", "real", "line", "forward", "back", "twiddles", "turns", "twists"), TILES
)
def test_k_counts_every_rounding(
    passes, real, line, forward, back, twiddles, turns, twists, rounded, tile
):
    tile(passes, rounded)
    twiddle = ROUNDED if rounded else COMPUTED
    # Of two computed roots, multiplied; or rounded from more digits.
    twist = sqrt(5) + (1 if rounded else 5 + sqrt(5) + 5)
    one_way = forward + twiddles * twiddle
    expected = 2 * one_way + (back + twiddles * twiddle) + turns * twiddle + twists * twist
    expected = 1.02 * (expected + sqrt(5) + 2)
    assert _error.growth("f64", 0, 0, line, real) == pytest.approx(expected, rel=1e-12)
    for word, roundoff in ("f32", 2.0**-24), ("f64", 2.0**-53):
        assert _error.error(word, 0, 0, line, real) == pytest.approx(expected * roundoff, rel=1e-12)


def test_butterflies_of_radix_3_and_5_are_off_by_what_their_matrices_say():
    for radix, sums in (3, 4), (5, 6):
        angles = [2 * pi * k / radix for k in range(1, radix)]
        constant = max(abs(cos(angle)) + abs(sin(angle)) for angle in angles)
        assert 0.99 < sums * constant / _error.BACK[radix] <= 1.001
        assert 0.99 < sums * constant * sqrt(radix) / _error.FORWARD[radix] <= 1.001
    for radix in 1, 2, 4, 8:
        assert _error.FORWARD[radix] == _error.BACK[radix] == {1: 0, 2: 1, 4: 2, 8: 6}[radix]


@pytest.mark.parametrize("word", ["f32", "f64"])
def test_c_log_n_bounds_k_for_every_tile(word):
    lanes = _dispatch.engine_for("fft", word).BUILD["lanes"]
    lengths = [int(n) for n in _plan.lengths(max(lanes, 8)) if n <= 1 << 13]
    largest = 0.0
    for height in lengths:
        for width in lengths:
            if height * width <= 1 << 22:
                k = _error.growth(word, height, width, False, True)
                line = _error.growth(word, height, width, True, True)
                largest = max(largest, k / log2(height * width))
                if height <= width <= 8 * height:
                    largest = max(largest, line / log2(height * width))
    assert 0.8 * _error.C < largest <= _error.C
    assert _error.guess(1 << 14) == _error.C * 14 * 2.0**-53
