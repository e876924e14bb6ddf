"""Calls that only SciPy can answer: how they reach it, and how many did.

There is no engine for objects, strings and dates, and none for arrays of other libraries. SciPy,
where it is installed, answers such a call or refuses it.
"""

from __future__ import annotations

import os
from collections import Counter
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

FELL_BACK: Counter[tuple[str, str]] = Counter()
"""How many calls went to SciPy, by name of the function and reason."""

ORIGINALS: dict[str, Callable[..., Any]] = {}
"""SciPy's functions, for whoever puts fastconv's in their place in `scipy.signal`."""


def to_scipy(name: str, reason: str, *args: Any, **kwargs: Any) -> Any:
    """Call `scipy.signal`'s function `name`, the original one, and count it."""
    original = ORIGINALS.get(name)
    if original is None:
        try:
            original = getattr(import_module("scipy.signal"), name)
        except ModuleNotFoundError:
            raise TypeError(f"{name} has no engine for {reason}; SciPy is not installed") from None
    FELL_BACK[name, reason] += 1
    return original(*args, **kwargs)


def foreign(*arrays: object) -> bool:
    """Whether SciPy would hand one of the arrays to the library that it is from.

    SciPy does so where the environment says SCIPY_ARRAY_API=1. Otherwise it makes NumPy arrays of
    everything, and so does fastconv.
    """
    ours = (np.ndarray, np.generic, list, tuple, int, float, complex)
    if all(isinstance(array, ours) for array in arrays):
        return False
    return os.environ.get("SCIPY_ARRAY_API", "0").lower() not in ("", "0", "false")
