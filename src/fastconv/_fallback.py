"""What fastconv does not do itself and leaves to scipy, and how often that was."""

from __future__ import annotations

import os
from _thread import RLock
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import _runtime

if TYPE_CHECKING:
    from collections.abc import Callable

ORIGINALS: dict[str, Callable[..., Any]] = {}
"""scipy's functions by name, where `fastconv.patch` has put others in their place."""

FELL_BACK: Counter[tuple[str, str]] = Counter()
"""Calls left to scipy, by the name of the function and the reason."""

# Reasons may quote what was given, and a process that runs for months is given a lot.
LONGEST, MOST, OTHER = 200, 1000, "for other reasons"

# A signal handler may call, or fork, while this thread counts. Not of threading, which takes longer
# to import.
_lock = RLock()
if hasattr(os, "register_at_fork"):
    # Else a child forked while another thread counts would wait for that thread for ever.
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


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
    count(FELL_BACK, (name, reason[:LONGEST]))
    return function(*args, **kwargs)


def count(counts: dict[Any, int], key: Any) -> None:
    """Count one more of `key`, or, where it is new and there are too many, of other reasons."""
    _runtime.alone(_lock, _add_one, counts, key)


def _add_one(counts: dict[Any, int], key: Any) -> None:
    if key not in counts and len(counts) >= MOST:
        key = key[0], OTHER
    counts[key] = counts.get(key, 0) + 1


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
