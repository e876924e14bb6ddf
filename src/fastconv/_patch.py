"""The drop-in: fastconv's functions under scipy's names, in scipy's own modules.

A name stands in more than one module: scipy.signal, the private module that defines it, and those
that did ``from ... import``. All of them get one and the same replacement, which

    leaves to scipy    what scipy would hand on to another array library, see `_foreign`
    calls fastconv     and counts the call as accelerated
    asks scipy         about what fastconv refuses, unless scipy must not see it, see `_is_final`

so that an error is always scipy's own. Pickle refers to a function by module and name, which the
replacement has from the original: in a process without the patch it is loaded as the original.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
import threading
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastconv import _runtime, signal
from fastconv._fallback import FELL_BACK, ORIGINALS, count, to_scipy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    Function = Callable[..., Any]
    Namespace = dict[str, Any]
    _Pairs = dict[str, tuple[Function, Function]]

NAMES = tuple(
    name
    for name in (
        "convolve2d",
        "correlate2d",
        "convolve",
        "correlate",
        "fftconvolve",
        "oaconvolve",
        "choose_conv_method",
        "correlation_lags",
        "sepfir2d",
    )
    if hasattr(signal, name)
)
"""What can be replaced: scipy.signal's functions that fastconv has."""

ACCELERATED = dict.fromkeys(NAMES, 0)
"""Calls through a name of scipy's that fastconv did itself."""

# What a function raises for arguments that it does not take; a warning, if warnings are errors.
_REFUSALS = (TypeError, ValueError, ArithmeticError, Warning)

# What scipy does not hand on to another array library; an ndarray only if it is not of a subclass.
_OWN_TYPES = (np.generic, bool, int, float, complex, str, bytes, list, tuple, type(None))


class _Place(NamedTuple):
    """An attribute of a module that holds a function with one of the names."""

    module: str
    namespace: Namespace
    attribute: str
    value: Function
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.attribute}"


_replacements: dict[str, Function] = {}
"""The replacement made last for each name, in use or not."""

_in_use: dict[str, Function] = {}
"""The replacement for each name that is replaced now."""

_places: dict[str, list[_Place]] = {}
"""Where each name in use was replaced, and what was there."""

_lock = threading.RLock()
if hasattr(os, "register_at_fork"):
    # As in _fallback.
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


class _Thread(threading.local):
    """How many calls this thread has left to scipy: tells whether one of fastconv's own was."""

    fallbacks = 0


_this_thread = _Thread()


# --- the replacement -----------------------------------------------------------------------------


def _noting(original: Function) -> Function:
    """Make `original` tell this thread that scipy was called."""

    @functools.wraps(original)
    def noted(*args: Any, **kwargs: Any) -> Any:
        try:
            return original(*args, **kwargs)
        finally:
            _this_thread.fallbacks += 1

    return noted


def _replacement(name: str, original: Function, dispatches: bool) -> Function:
    """Make the function that stands in the place of `original`, scipy's `name`."""
    accelerated = getattr(signal, name)
    parameters = inspect.signature(accelerated).parameters.values()
    # fastconv's further arguments, which scipy's functions do not have.
    further = frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)

    @functools.wraps(original)
    def replacement(*args: Any, **kwargs: Any) -> Any:
        # Someone may hold on to this after unpatch().
        if _in_use.get(name) is not replacement or not further.isdisjoint(kwargs):
            return original(*args, **kwargs)
        values = *args, *kwargs.values()
        if dispatches and (foreign := _foreign(values)):
            if any(map(_is_empty, values)):
                _refuse_what_is_final(accelerated, args, kwargs)
            return to_scipy(name, foreign, *args, **kwargs)
        before = _this_thread.fallbacks
        try:
            result = accelerated(*args, **kwargs)
        except _REFUSALS as refusal:
            if _this_thread.fallbacks != before or _is_final(refusal):
                raise
            reason = _reason(refusal)
        else:
            if _this_thread.fallbacks == before:
                count(ACCELERATED, name)
            return result
        # Outside of the handler, so that scipy's exception does not mention fastconv's.
        return to_scipy(name, reason, *args, **kwargs)

    return replacement


def _foreign(values: Iterable[Any]) -> str | None:
    """Name the first value that scipy may hand on to another array library, if there is one."""
    for value in values:
        if type(value) is not np.ndarray and not isinstance(value, _OWN_TYPES):
            return f"{type(value).__module__}.{type(value).__qualname__}"
    return None


def _is_empty(value: Any) -> bool:
    try:
        return 0 in np.shape(value)
    except Exception:  # whatever it is, it is scipy's affair
        return False


def _refuse_what_is_final(accelerated: Function, args: Any, kwargs: Any) -> None:
    try:
        accelerated(*args, **kwargs)
    except _REFUSALS as refusal:
        if _is_final(refusal):
            raise


def _is_final(refusal: Exception) -> bool:
    """Whether scipy must not be asked about what fastconv refused."""
    # Both have warned of the cast by then, and go on to raise the same; at the other, scipy 1.17
    # ends the process.
    finals = "could not cast `fillvalue` directly", "an empty image cannot be extended"
    return str(refusal).startswith(finals)


def _reason(refusal: Exception) -> str:
    """Say why fastconv refused, without the numbers, of which there are too many to count by."""
    words = re.sub(r"\b\d+\b", "#", str(refusal).partition("\n")[0])
    return f"{type(refusal).__name__}: {words}"


# --- where the names are -------------------------------------------------------------------------


def _modules() -> dict[str, Namespace]:
    """Return the namespaces of all modules, without waking one that loads itself when looked at."""
    return {
        name: object.__getattribute__(module, "__dict__")
        for name, module in sys.modules.copy().items()
        if issubclass(type(module), ModuleType)
    }


def _holders(functions: Mapping[str, Collection[Function]]) -> list[_Place]:
    """Find where in all modules the functions of each name are held."""
    names = {id(function): name for name, its in functions.items() for function in its}
    # By the namespace, for a module may have two names, and a namespace no hash.
    namespaces = {id(namespace): (module, namespace) for module, namespace in _modules().items()}
    return [
        _Place(module, namespace, attribute, value, names[id(value)])
        for module, namespace in namespaces.values()
        for attribute, value in namespace.copy().items()
        if id(value) in names
    ]


def _is_scipys(module: str) -> bool:
    return module.partition(".")[0] == "scipy"


def _layers(function: Function) -> list[Function]:
    """Return `function` and what it wraps: with SCIPY_ARRAY_API, public ones wrap private ones."""
    layers = []
    inner: Function | None = function
    while inner is not None:
        layers.append(inner)
        inner = getattr(inner, "__wrapped__", None)
    return layers


def _array_api() -> ModuleType | None:
    """Import scipy's private module of what concerns other array libraries, if there is one."""
    try:
        from scipy._lib import _array_api  # type: ignore[import-untyped]
    except ImportError:
        return None
    return _array_api  # type: ignore[no-any-return]


def _capabilities() -> dict[Function, Any]:
    """Find the table in which scipy's tests look a function up, or an empty one."""
    return getattr(_array_api(), "xp_capabilities_table", {})


# --- putting in and taking out -------------------------------------------------------------------


def _check(names: Iterable[str] | str | None) -> list[str]:
    """Return the names to replace, each once."""
    if names is None:
        return list(NAMES)
    chosen = list(dict.fromkeys([names] if isinstance(names, str) else names))
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        raise ValueError(
            f"cannot replace {', '.join(map(repr, unknown))}: the names are {', '.join(NAMES)}"
        )
    return chosen


def _pair(name: str, function: Function, dispatches: bool) -> tuple[Function, Function]:
    """Return the replacement and the original for `function`, which has scipy's `name` now."""
    replacement = _replacements.get(name)
    if function is replacement:  # put back by someone after unpatch()
        function = _layers(replacement)[1]
    elif replacement is None or _layers(replacement)[1] is not function:
        replacement = _replacements[name] = _replacement(name, function, dispatches)
    return replacement, function


def _install(names: Iterable[str] | str | None, stacklevel: int) -> list[str]:
    """Replace `names` and return those that were not replaced yet."""
    chosen = _check(names)
    import scipy.signal  # type: ignore[import-untyped]

    pairs, places = _runtime.alone(_lock, _find, scipy.signal, chosen)
    stale = [p for p in places if not _is_scipys(p.module) and p.value is not pairs[p.name][0]]
    # First of all: where warnings are errors, nothing is replaced. And without the lock, for what
    # shows warnings may wait for another thread.
    _warn(
        "these were imported before fastconv.patch() and keep scipy's function",
        stale,
        stacklevel + 1,
    )
    return _runtime.alone(_lock, _replace, pairs, places)


def _find(module: ModuleType, names: Iterable[str]) -> tuple[_Pairs, list[_Place]]:
    """Find the replacement and the original for `names` of scipy.signal, and where those are."""
    # A scipy that does not say whether it hands arrays on may do so.
    dispatches = bool(getattr(_array_api(), "SCIPY_ARRAY_API", True))
    pairs = {
        name: _pair(name, getattr(module, name), dispatches)
        for name in names
        if name not in _in_use
    }
    return pairs, _holders({name: (new, *_layers(old)) for name, (new, old) in pairs.items()})


def _replace(pairs: _Pairs, places: Iterable[_Place]) -> list[str]:
    """Put the replacements in, but for names that another thread has replaced meanwhile."""
    capabilities = _capabilities()
    names = [name for name in pairs if name not in _in_use]
    for name in names:
        new, old = pairs[name]
        # What an interrupt leaves of this, unpatch() undoes.
        _places[name] = []
        ORIGINALS[name] = _noting(old)
        _in_use[name] = new
        if old in capabilities:
            capabilities[new] = capabilities[old]
    for place in places:
        if _is_scipys(place.module) and place.name in names:
            _places[place.name].append(place)
            place.namespace[place.attribute] = pairs[place.name][0]
    return names


def _uninstall(names: Iterable[str], stacklevel: int) -> None:
    """Put back what was in the place of `names`."""
    _warn(
        "someone else has replaced these since fastconv.patch(), they are left alone",
        _runtime.alone(_lock, _remove, names),
        stacklevel + 1,
    )


def _remove(names: Iterable[str]) -> list[_Place]:
    """Put back what was there, and return the places where someone else has put something."""
    changed = []
    removed = {name: _in_use[name] for name in names if name in _in_use}
    for name, replacement in removed.items():
        _capabilities().pop(replacement, None)
        for place in _places[name]:
            now = place.namespace.get(place.attribute)
            if now is replacement:
                place.namespace[place.attribute] = place.value
            elif now is not place.value:
                changed.append(place)
    # What was there already, and modules of scipy that were imported in the meantime.
    for place in _holders({name: (function,) for name, function in removed.items()}):
        if _is_scipys(place.module):
            place.namespace[place.attribute] = _layers(place.value)[1]
    for name in removed:  # last, so that after an interrupt it can be done again
        _in_use.pop(name, None)
        _places.pop(name, None)
        ORIGINALS.pop(name, None)
    return changed


def _warn(words: str, places: list[_Place], stacklevel: int) -> None:
    """Warn of the `places`, if there are any."""
    if places:
        message = f"{words}: {', '.join(sorted(map(str, places)))}"
        warnings.warn(message, UserWarning, stacklevel=stacklevel + 1)


# --- public --------------------------------------------------------------------------------------


def patch(names: Iterable[str] | str | None = None) -> None:
    """
    Put fastconv's functions in the place of scipy.signal's.

    From then on ``scipy.signal.convolve2d(...)`` computes with fastconv, and so does what scipy
    itself builds on it. What fastconv does not do falls back to scipy. `unpatch` undoes it.
    Nothing happens to names that are replaced already.

    Parameters
    ----------
    names : iterable of str, optional
        Names of the functions to replace, or one name. Default: all that fastconv has.

    Raises
    ------
    ValueError
        If a name is not one that can be replaced; the message lists those.
    ModuleNotFoundError
        If SciPy is not installed.

    Warns
    -----
    UserWarning
        If modules outside of scipy hold its functions already, by ``from scipy.signal import ...``.
        They keep them. The warning lists them; patch before they are imported.

    See Also
    --------
    unpatch : Undo it.
    patched : Do it for a ``with`` block.
    report : Tell what was accelerated.

    Notes
    -----
    The functions are replaced for all threads, and in processes forked from this one. A process
    that starts afresh, as those of multiprocessing's methods 'spawn' and 'forkserver', has to call
    `patch` itself: ``Pool(initializer=fastconv.patch)``.

    The replacements have the arguments of scipy's functions and no others. Number of threads:
    `set_workers`. They can be pickled and are loaded as what has their name there. While they are
    in place, scipy's own functions, in the modules that the warning lists, cannot be pickled.

    With the environment variable ``SCIPY_ARRAY_API`` scipy hands arrays of other libraries on to
    these. It does so with the patch, too: whatever is not a NumPy array, a list or a number falls
    back. Without the variable, fastconv converts such arrays to NumPy's, as scipy does, but for
    those of dask: their results are arrays of dask.

    Examples
    --------
    >>> import fastconv, scipy.signal
    >>> fastconv.patch()
    >>> scipy.signal.convolve2d([[1, 2, 3]], [[1, 10]])
    array([[ 1, 12, 23, 30]])
    >>> fastconv.unpatch()
    """
    _install(names, stacklevel=2)


def unpatch() -> None:
    """
    Put scipy.signal's own functions back.

    Modules that have imported a replacement in the meantime may keep it: it calls scipy's function.
    Nothing happens if nothing is replaced.

    Warns
    -----
    UserWarning
        If someone else has replaced a function since: it is left alone.

    See Also
    --------
    patch : Tells more.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.unpatch()
    """
    _uninstall(NAMES, stacklevel=2)


@contextmanager
def patched(names: Iterable[str] | str | None = None) -> Iterator[None]:
    """
    Put fastconv's functions in the place of scipy.signal's, for a ``with`` block.

    What was replaced before the block stays so after it, and blocks may be nested. They hold for
    all threads: of two that overlap, the one that began first ends the replacement.

    Parameters
    ----------
    names : iterable of str, optional
        As in `patch`.

    Raises
    ------
    ValueError, ModuleNotFoundError
        As in `patch`.

    Warns
    -----
    UserWarning
        As in `patch` and `unpatch`.

    See Also
    --------
    patch : Tells more.

    Examples
    --------
    >>> import fastconv, scipy.signal
    >>> with fastconv.patched("convolve2d"):
    ...     y = scipy.signal.convolve2d([[1, 2, 3]], [[1, 10]])
    """
    # Two levels up: contextlib's __enter__ and __exit__ are in between.
    new = _install(names, stacklevel=3)
    try:
        yield
    finally:
        _uninstall(new, stacklevel=3)


@dataclass(frozen=True, repr=False)
class Report:
    """How many calls were accelerated, and how many fell back, for which reasons, by function."""

    accelerated: dict[str, int]
    fell_back: dict[str, dict[str, int]]

    def __str__(self) -> str:
        lines = [f"{'scipy.signal':<20}{'accelerated':>11}{'fell back':>11}"]
        for name, accelerated in self.accelerated.items():
            reasons = self.fell_back[name]
            if not (accelerated or reasons):
                continue
            lines.append(f"{name:<20}{accelerated:>11}{sum(reasons.values()):>11}")
            by_count = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
            lines += [f"{count:>42}  {reason}" for reason, count in by_count]
        return "\n".join(lines)

    __repr__ = __str__


def report() -> Report:
    """
    Tell which calls of scipy.signal's functions fastconv did, and which fell back to scipy.

    Returns
    -------
    Report
        Prints as a table of what was called. ``accelerated`` is a dict of counts by function.
        ``fell_back`` is a dict of dicts: counts by reason, by function.

    See Also
    --------
    patch : Replaces the functions.

    Notes
    -----
    Calls in this process are counted, since its start, in all threads. What was called as
    fastconv's own function is counted only where it fell back to scipy. What both refused
    counts as fallen back: the exception was scipy's.

    Examples
    --------
    >>> import fastconv, scipy.signal
    >>> before = fastconv.report().accelerated.get("convolve2d", 0)
    >>> with fastconv.patched():
    ...     y = scipy.signal.convolve2d([[1, 2, 3]], [[1, 10]])
    >>> fastconv.report().accelerated["convolve2d"] - before
    1
    """
    accelerated = ACCELERATED.copy()
    fell_back: dict[str, dict[str, int]] = {name: {} for name in NAMES}
    for (name, reason), n in FELL_BACK.copy().items():
        fell_back.setdefault(name, {})[reason] = n
    return Report({name: accelerated.get(name, 0) for name in fell_back}, fell_back)


def load_ipython_extension(shell: Any) -> None:
    """Patch, for ``%load_ext fastconv``, and add ``%fastconv_report``."""
    patch()
    shell.register_magic_function(
        lambda line: report(), magic_kind="line", magic_name="fastconv_report"
    )


def unload_ipython_extension(shell: Any) -> None:
    """Undo it, for ``%unload_ext fastconv``."""
    unpatch()
    shell.magics_manager.magics["line"].pop("fastconv_report", None)
