"""What this build is and what it picked on this machine."""

from __future__ import annotations

import sys
from typing import Any, Literal, overload

import numpy as np

from fastconv import _dispatch, _runtime
from fastconv._workers import get_workers

__version__ = "0.1.0"


@overload
def show_config(mode: Literal["stdout"] = ...) -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...
def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """
    Show how fastconv was built, and what it uses on this machine.

    Parameters
    ----------
    mode : {'stdout', 'dicts'}, optional
        Print it, the default, or return it.

    Returns
    -------
    dict or None
        With `mode` 'dicts': version, Python and NumPy version, compiler, OpenMP (the date of its
        specification, 0 for a serial build), instruction-set levels built, the processor's and
        the one in use, and the number of threads.

    Raises
    ------
    ValueError
        If `mode` is neither.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.show_config("dicts")["fastconv"] == fastconv.__version__
    True
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError("Acceptable mode flags are 'stdout' or 'dicts'.")
    config = {
        "fastconv": __version__,
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "compiler": _runtime.BUILD["compiler"],
        "openmp": _runtime.BUILD["openmp"],
        "levels built": list(_dispatch.BUILT),
        "level of the processor": _runtime.level(),
        "level in use": _dispatch.LEVEL,
        "threads": get_workers(),
    }
    if mode == "dicts":
        return config
    for name, value in config.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        print(f"{name + ':':24}{shown}")
    return None
