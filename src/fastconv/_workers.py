"""How many threads a call may use: scipy.fft's ``workers``, with all processors as the default."""

from __future__ import annotations

import operator
import os
import sys
from contextlib import suppress
from contextvars import ContextVar
from math import ceil, inf
from pathlib import Path
from typing import TYPE_CHECKING

from fastconv import _runtime

if TYPE_CHECKING:
    from types import TracebackType
    from typing import SupportsIndex

# No machine has more processors to give, and a C int holds it.
_MOST = 4096

_default: ContextVar[int | None] = ContextVar("fastconv_workers", default=None)


def _limit(*files: Path) -> float:
    """Processors that a control group has time for: the quota over the period in its files."""
    try:
        quota, period = map(float, " ".join(file.read_text() for file in files).split())
        return quota / period if quota > 0 and period > 0 else inf
    except (OSError, ValueError):  # no such group, or "max" of a period
        return inf


def _quota(root: str = "/", groups: str = "/proc/self/cgroup") -> int:
    """Processors that Linux's control groups, version 1 or 2, give time for; 0: all."""
    least = inf
    with suppress(OSError, ValueError):
        for line in Path(groups).read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
            top = Path(root, "sys/fs/cgroup", controllers)
            folder = top.joinpath(path.lstrip("/"))
            # A group has no more time than those it is part of. In a container the topmost is its
            # own, whatever the path says.
            for group in (folder, *folder.parents):
                if group.is_relative_to(top):
                    least = min(least, _limit(*(group / name for name in names)))
    return 0 if least == inf else ceil(min(least, _MOST))


def look_at_machine() -> None:
    """Find out how many processors there are: as many as Python says, 3.13 on."""
    told = os.environ.get("PYTHON_CPU_COUNT", "").lstrip("0")
    if told.isdecimal():
        _runtime.set_processors(min(int(told[:9]), _MOST), 0)
    elif sys.platform == "linux":
        _runtime.set_processors(0, _quota())
    else:
        _runtime.set_processors(os.cpu_count() or 1, 0)


look_at_machine()


def resolve(workers: SupportsIndex | None) -> int:
    """Turn the argument ``workers`` of a call into a number of threads."""
    if workers is None:
        return _default.get() or _runtime.max_threads()
    n = operator.index(workers)
    if n < 0:
        cpus = _runtime.processors()
        if n < -cpus:
            raise ValueError(f"workers value out of range; got {n}, must not be less than {-cpus}")
        n += 1 + cpus
    elif n == 0:
        raise ValueError("workers must not be zero")
    return min(n, _MOST)


def get_workers() -> int:
    """
    Return the number of threads that calls use by default in this context.

    Returns
    -------
    int
        What `set_workers` chose, else all processors that the process may keep busy: those it may
        run on, as far as the quota of its control group goes. ``PYTHON_CPU_COUNT``,
        ``OMP_NUM_THREADS`` and threadpoolctl can make it less.

    Notes
    -----
    A call uses no more threads than there are processors, whatever number it is given, and less
    while other threads' calls keep them busy, or if the system refuses to start as many. The result
    is the same to the bit.

    See Also
    --------
    set_workers : Choose the number.

    Examples
    --------
    >>> import fastconv
    >>> with fastconv.set_workers(2):
    ...     fastconv.get_workers()
    2
    """
    return _default.get() or min(_runtime.max_threads(), _runtime.processors())


class set_workers:  # noqa: N801 - scipy.fft's name
    """
    Choose the number of threads that calls use by default.

    As a context manager it holds inside the ``with`` block, as `scipy.fft.set_workers`; called on
    its own it holds until it is called again. Either way it holds for the current thread or task,
    and tasks that it makes; other threads start from the default. ``OMP_NUM_THREADS`` limits a
    whole process.

    Parameters
    ----------
    workers : int
        Number of threads. Negative numbers count back from the number of processors: -1 uses all.

    Raises
    ------
    ValueError
        If `workers` is zero, or negative beyond the number of processors.

    See Also
    --------
    get_workers : Tell the number.

    Examples
    --------
    >>> import fastconv
    >>> with fastconv.set_workers(1):
    ...     y = fastconv.convolve2d([[1, 2]], [[1, 1]])
    """

    def __init__(self, workers: SupportsIndex) -> None:
        self._token = _default.set(resolve(operator.index(workers)))

    def __enter__(self) -> None:
        """Nothing is left to do: the number holds already."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Restore the number that held before."""
        _default.reset(self._token)
