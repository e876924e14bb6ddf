"""How many threads a call may use: scipy.fft's ``workers``, with all processors as the default."""

from __future__ import annotations

import operator
import os
from contextvars import ContextVar
from typing import TYPE_CHECKING

from fastconv import _runtime

if TYPE_CHECKING:
    from types import TracebackType
    from typing import SupportsIndex

# No machine has more processors to give, and a C int holds it.
_MOST = 4096

_default: ContextVar[int | None] = ContextVar("fastconv_workers", default=None)


def _cpu_count() -> int:
    """Processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resolve(workers: SupportsIndex | None) -> int:
    """Turn the argument ``workers`` of a call into a number of threads."""
    if workers is None:
        return _default.get() or _runtime.max_threads()
    n = operator.index(workers)
    if n < 0:
        cpus = _cpu_count()
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
        What `set_workers` chose, else what OpenMP would use: all processors that the process may
        run on, or ``OMP_NUM_THREADS``.

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
    return resolve(None)


class set_workers:  # noqa: N801 - scipy.fft's name
    """
    Choose the number of threads that calls use by default.

    As a context manager it holds inside the ``with`` block, as `scipy.fft.set_workers`; called on
    its own it holds until the next call. Either way it holds for the current thread or task.

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
