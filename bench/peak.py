"""
The processor's peak: multiply-add operations per second that one thread can do from registers.

``python bench/peak.py`` prints it for float32 and float64, at the instruction set in use. The loop
is compiled into fastconv's own engines, with their flags, so the two are compared like for like.
"""

from time import perf_counter

import numpy as np

from fastconv import _dispatch

# Runs of the loop per sample. One run takes some hundred microseconds, about as long as a cell's
# other candidates, so that it is interleaved as finely.
REPEATS = 1
# No core does this many: above it, the compiler has removed the loop.
IMPOSSIBLE = 2e12


class Peak:
    """The best flop/s seen so far, by width of the real part. Never falls during a run."""

    def __init__(self) -> None:
        self._best: dict[str, float] = {}

    def sample(self, dtype: str) -> None:
        """Run the loop once; keep the result if it is the best."""
        word = self._word(dtype)
        seen = _dispatch.engine_for("direct", word).fma_peak(REPEATS)
        if seen > IMPOSSIBLE:
            raise SystemExit(f"fma_peak of {word} gives {seen:.3g} flop/s: nothing was computed")
        self._best[word] = max(self._best.get(word, 0.0), seen)

    def settle(self, dtype: str, seconds: float) -> None:
        """Sample for `seconds`, so that the clock has reached its full rate."""
        end = perf_counter() + seconds
        while perf_counter() < end:
            self.sample(dtype)

    def of(self, dtype: str) -> float:
        """Return the best flop/s for `dtype`."""
        return self._best[self._word(dtype)]

    def as_dict(self) -> dict[str, float]:
        """Return the best flop/s by engine word."""
        return dict(self._best)

    @staticmethod
    def _word(dtype: str) -> str:
        return "f32" if np.dtype(dtype).char in "fF" else "f64"


def main() -> None:
    peak = Peak()
    for dtype in ("float32", "float64"):
        peak.settle(dtype, 1.0)
        print(f"{dtype}: {peak.of(dtype) / 1e9:.1f} Gflop/s on one thread")


if __name__ == "__main__":
    main()
