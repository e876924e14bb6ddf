"""What fastconv does not do itself and leaves to scipy, and how often that was."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import _runtime

if TYPE_CHECKING:
    from collections.abc import Callable

ORIGINALS: dict[str, Callable[..., Any]] = {}
"""scipy's functions by name, where `fastconv.patch` has put others in their place."""

FELL_BACK: dict[tuple[str, str], int] = {}
"""Calls left to scipy, by the name of the function and the reason."""

# Reasons may quote what was given, and a process that runs for months is given a lot.
LONGEST, MOST, OTHER = 200, 1000, "for other reasons"


def to_scipy(name: str, reason: str, /, *args: Any, **kwargs: Any) -> Any:
    """Call scipy's function `name`, and count it under `reason`."""
    function = ORIGINALS.get(name)
    if function is None:
        try:
            # Not at the top: scipy is no dependency, and takes longer to import than fastconv.
            from scipy import signal  # type: ignore[import-untyped]
        except ModuleNotFoundError:
            raise TypeError(
                f"fastconv.{name} leaves this to scipy.signal.{name} ({reason}), and SciPy is not "
                "installed"
            ) from None
        function = getattr(signal, name)
    key = name, reason[:LONGEST]
    if key not in FELL_BACK and len(FELL_BACK) >= MOST:
        key = name, OTHER
    _runtime.add_one(FELL_BACK, key)
    return function(*args, **kwargs)


_OURS = (np.ndarray, np.generic, list, tuple, int, float, complex)


def foreign(*arrays: object) -> bool:
    """Whether scipy would hand one of the arrays to the library that it is from.

    It does so where the environment says SCIPY_ARRAY_API=1. Otherwise it makes NumPy arrays of
    everything, and so does fastconv.
    """
    for array in arrays:
        if not isinstance(array, _OURS):
            return os.environ.get("SCIPY_ARRAY_API", "0").lower() not in ("", "0", "false")
    return False
