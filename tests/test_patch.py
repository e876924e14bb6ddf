"""fastconv under scipy's names: what is replaced, put back, accelerated, left to scipy, counted."""

import importlib.util
import inspect
import io
import os
import pickle
import sys
import types
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from unittest import mock

import numpy as np
import pytest
import scipy._lib
import scipy.signal
from cases import CALLS, same_bits
from process import printed
from scipy._lib import _array_api

import fastconv
import fastconv.signal
from fastconv import _fallback, _patch

NAMES = _patch.NAMES
# Not as names of this module, or patch() would warn of them.
ORIGINALS = {name: getattr(scipy.signal, name) for name in NAMES}
IMAGE = np.arange(42.0).reshape(6, 7)
KERNEL = np.array([[1.0, 2.0], [3.0, 5.0]])


@pytest.fixture(autouse=True, scope="module")
def _before():
    # Not at the import: other tests make scipy import more of itself.
    global before_all
    before_all = held_by_scipy()


@pytest.fixture(autouse=True)
def _unpatched():
    assert held_by_scipy() == before_all
    yield
    fastconv.unpatch()
    assert held_by_scipy() == before_all


def held_by_scipy():
    """All that scipy's modules hold under the names, and what its table of functions has."""
    held = {
        (module, attribute): value
        for module, namespace in _patch._modules().items()
        if module.partition(".")[0] == "scipy"
        for attribute, value in namespace.items()
        if attribute in NAMES
    }
    return held, list(_array_api.xp_capabilities_table)


def is_patched(name="convolve2d"):
    return getattr(scipy.signal, name) is not ORIGINALS[name]


def counts(name="convolve2d"):
    """Calls of a function so far: accelerated, and fallen back by reason."""
    report = fastconv.report()
    return report.accelerated[name], report.fell_back[name]


def run(script, *arguments, **environment):
    """Run a script in a process of its own and return what it printed."""
    return printed("-c", script, *arguments, **environment)


# --- what is replaced ----------------------------------------------------------------------------


def test_importing_fastconv_replaces_nothing_and_imports_none_of_it():
    # Some builds of Python or NumPy have threading imported before.
    script = "import sys, numpy; before = set(sys.modules); import fastconv\n"
    script += "new = set(sys.modules) - before\n"
    script += "print([m for m in ('scipy', 'fastconv._patch', 'threading') if m in new])\n"
    script += "import scipy.signal; print(scipy.signal.convolve2d.__globals__['__name__'])"
    assert run(script).split() == ["[]", "scipy.signal._signaltools"]


def test_one_replacement_is_everywhere_in_scipy_and_no_place_is_missed():
    # The modules that must be among them, whatever this version of scipy has besides.
    homes = {"scipy.signal", "scipy.signal._signaltools", "scipy.signal._signal_api"}
    fastconv.patch()
    held, capabilities = held_by_scipy()
    assert held.keys() == before_all[0].keys()
    for (module, name), value in held.items():
        replaced = before_all[0][module, name] is ORIGINALS[name]
        assert (value is getattr(scipy.signal, name)) == replaced
        assert (value is not before_all[0][module, name]) == replaced
    for name in NAMES:
        modules = {module for module, its in held if its == name}
        assert homes - {"scipy.signal._signaltools"} <= modules
        assert is_patched(name)
        table = _array_api.xp_capabilities_table
        assert table[getattr(scipy.signal, name)] is table[ORIGINALS[name]]
    assert len(capabilities) == len(before_all[1]) + len(NAMES)


def test_the_deprecated_shims_of_scipy_stay_asleep():
    # filterwarnings = error: they would warn.
    fastconv.patch()
    fastconv.unpatch()
    fastconv.patch()
    with pytest.warns(DeprecationWarning, match="convolve2d"):
        assert scipy.signal.signaltools.convolve2d is scipy.signal.convolve2d


def test_patching_twice_is_patching_once():
    fastconv.patch()
    held = held_by_scipy()
    fastconv.patch()
    assert held_by_scipy() == held
    fastconv.unpatch()
    assert held_by_scipy() == before_all
    fastconv.unpatch()
    assert held_by_scipy() == before_all


def test_patch_and_unpatch_return_nothing():
    assert fastconv.patch() is None
    assert fastconv.unpatch() is None


@pytest.mark.parametrize(
    "names", ["convolve2d", ["convolve2d"], iter(["convolve2d", "convolve2d"])], ids=repr
)
def test_only_the_named_functions_are_replaced(names):
    fastconv.patch(names)
    assert [name for name in NAMES if is_patched(name)] == ["convolve2d"]
    fastconv.patch()
    assert all(map(is_patched, NAMES))


def test_no_names_are_no_functions():
    fastconv.patch([])
    assert not any(map(is_patched, NAMES))


@pytest.mark.parametrize("names", ["medfilt", "", ["convolve2d", "convolve3d"], [1]], ids=repr)
def test_unknown_names_are_refused_with_the_list_of_names(names):
    with pytest.raises(ValueError, match=", ".join(NAMES)):
        fastconv.patch(names)
    with pytest.raises(ValueError, match=", ".join(NAMES)), fastconv.patched(names):
        pass
    assert not any(map(is_patched, NAMES))


def test_blocks_restore_what_they_changed_and_no_more():
    with fastconv.patched("correlate2d"):
        assert [name for name in NAMES if is_patched(name)] == ["correlate2d"]
        with fastconv.patched(["correlate2d", "convolve2d"]):
            assert is_patched("convolve2d")
        assert [name for name in NAMES if is_patched(name)] == ["correlate2d"]
    assert held_by_scipy() == before_all
    fastconv.patch("convolve2d")
    with fastconv.patched():
        assert is_patched("correlate2d")
    assert is_patched("convolve2d")
    assert not is_patched("correlate2d")


def test_a_block_is_left_by_an_exception_and_by_unpatch():
    with pytest.raises(KeyError), fastconv.patched():
        raise KeyError
    assert not is_patched()
    with fastconv.patched():
        fastconv.unpatch()
        assert not is_patched()
    assert not is_patched()


def test_a_block_is_a_decorator():
    assert fastconv.patched()(is_patched)()
    assert not is_patched()


# --- what it looks like --------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_replacement_looks_like_the_original(name):
    fastconv.patch()
    replacement, original = getattr(scipy.signal, name), ORIGINALS[name]
    for attribute in ("__name__", "__qualname__", "__module__", "__doc__"):
        assert getattr(replacement, attribute) == getattr(original, attribute)
    if name != "sepfir2d":  # has no signature
        assert inspect.signature(replacement) == inspect.signature(original)


@pytest.mark.parametrize("name", NAMES)
def test_a_replacement_is_pickled_as_what_has_its_name(name, tmp_path):
    fastconv.patch()
    pickled = pickle.dumps(getattr(scipy.signal, name))
    assert pickle.loads(pickled) is getattr(scipy.signal, name)
    fastconv.unpatch()
    assert pickle.loads(pickled) is ORIGINALS[name]
    # Where fastconv is not even imported.
    path = tmp_path / "pickled"
    path.write_bytes(pickled)
    script = "import pickle, sys, scipy.signal\n"
    script += "function = pickle.load(open(sys.argv[1], 'rb'))\n"
    script += "print(function is getattr(scipy.signal, sys.argv[2]), 'fastconv' in sys.modules)"
    assert run(script, str(path), name).split() == ["True", "False"]


# --- what it does --------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "mode", "boundary"), CALLS)
def test_calls_through_scipy_are_done_by_fastconv_and_counted(name, mode, boundary):
    expected = getattr(fastconv, name)(IMAGE, KERNEL, mode, boundary, 3)
    accelerated, fell_back = counts(name)
    fastconv.patch()
    y = getattr(scipy.signal, name)(IMAGE, KERNEL, mode=mode, boundary=boundary, fillvalue=3)
    assert same_bits(y, expected)
    assert counts(name) == (accelerated + 1, fell_back)
    # What fastconv gets right and scipy does not shows who it was.
    a, b = np.array([[1.0, 2.0]]), np.array([[1.0, 1j, 3.0]])
    y = scipy.signal.correlate2d(a, b, "valid")
    assert np.array_equal(y, fastconv.correlate2d(a, b, "valid"))
    assert not np.array_equal(y, ORIGINALS["correlate2d"](a, b, "valid"))


def test_calls_of_fastconvs_own_functions_are_not_counted():
    fastconv.patch()
    before = counts()
    fastconv.convolve2d(IMAGE, KERNEL)
    assert counts() == before


def outcome(call, *args, **kwargs):
    """What a call returns or raises, and what it warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call(*args, **kwargs).tolist()
        except Exception as error:
            context = None if error.__suppress_context__ else error.__context__
            result = type(error), str(error), context
    return result, sorted((w.category.__name__, str(w.message)) for w in caught)


WRONG = {
    "dimensions": ((IMAGE, KERNEL[0]), {}),
    "shapes": ((IMAGE[:3], IMAGE[:, :2], "valid"), {}),
    "mode": ((IMAGE, KERNEL, "most"), {}),
    "no hash": ((IMAGE, KERNEL), {"mode": ["full"]}),
    "boundary": ((IMAGE, KERNEL), {"boundary": "reflect"}),
    "fillvalue that warns": ((IMAGE, KERNEL), {"fillvalue": 2j}),
    "fillvalues": ((IMAGE, KERNEL), {"fillvalue": [1, 2]}),
    "no fillvalue": ((IMAGE, KERNEL), {"fillvalue": []}),
    "ragged": (([[1, 2], [3]], KERNEL), {}),
    "objects": ((IMAGE.astype(object), KERNEL), {}),
    "strings": ((IMAGE.astype(str), KERNEL), {}),
    "half precision": ((IMAGE.astype(np.float16), KERNEL.astype(np.float16)), {}),
    "too few": ((IMAGE,), {}),
    "too many": ((IMAGE, KERNEL, "full", "fill", 0, 1), {}),
    "keyword": ((IMAGE, KERNEL), {"name": 1, "reason": 2}),
    "fastconv's workers": ((IMAGE, KERNEL), {"workers": 1}),
    "fastconv's out": ((IMAGE, KERNEL), {"out": np.zeros((7, 8))}),
    "nothing": ((), {}),
}


@pytest.mark.parametrize("name", ["convolve2d", "correlate2d"])
@pytest.mark.parametrize("case", WRONG)
def test_what_scipy_refuses_is_refused_in_its_words_and_with_its_warnings_once(name, case):
    args, kwargs = WRONG[case]
    expected = outcome(ORIGINALS[name], *args, **kwargs)
    assert isinstance(expected[0], tuple)
    fastconv.patch()
    assert outcome(getattr(scipy.signal, name), *args, **kwargs) == expected


def test_warnings_that_are_errors_are_scipys_too():
    fastconv.patch()
    raised = []
    for call in (ORIGINALS["convolve2d"], scipy.signal.convolve2d):
        with pytest.raises(RuntimeWarning) as caught:
            call(IMAGE.astype("f"), KERNEL.astype("f"), fillvalue=1e300)
        raised.append((caught.type, str(caught.value)))
    assert raised[0] == raised[1]


def test_scipy_is_not_asked_about_what_it_would_end_the_process_for():
    script = """
import numpy as np, fastconv, scipy.signal
fastconv.patch()

class Array:
    shape = [0, 3]

    def __array__(self, dtype=None, copy=None):
        return np.ones(self.shape, dtype)

for function in (scipy.signal.convolve2d, scipy.signal.correlate2d):
    for image in (np.ones((0, 3)), [[], []], Array()):
        for boundary in ("wrap", "symm"):
            try:
                function(image, np.ones((2, 2)), boundary=boundary)
            except ValueError as error:
                print(error)
"""
    assert run(script).count("an empty image cannot be extended") == 12


# --- what is left to scipy -----------------------------------------------------------------------


@pytest.fixture
def theirs(monkeypatch):
    """A function in the place of scipy's own that takes anything, and remembers what."""
    theirs = mock.Mock(return_value="theirs")
    monkeypatch.setattr(scipy.signal, "convolve2d", theirs)
    yield theirs
    fastconv.unpatch()
    assert scipy.signal.convolve2d is theirs


def test_what_fastconv_refuses_is_left_to_scipy_and_counted_with_the_reason(theirs):
    accelerated, fell_back = counts()
    fastconv.patch()
    objects = IMAGE.astype(object)
    assert scipy.signal.convolve2d(objects, KERNEL, mode="same") == "theirs"
    theirs.assert_called_once_with(objects, KERNEL, mode="same")
    reason = "ValueError: convolve2d not available for this type."
    assert counts() == (accelerated, fell_back | {reason: fell_back.get(reason, 0) + 1})


def test_reasons_do_not_differ_by_numbers(theirs, monkeypatch):
    refusals = [ValueError(f"shapes ({n}, 3) and 2-D\n{n}") for n in range(3)]
    monkeypatch.setattr(fastconv.signal, "convolve2d", mock.Mock(side_effect=refusals))
    fastconv.patch()
    for _ in refusals:
        scipy.signal.convolve2d(IMAGE, KERNEL)
    assert counts()[1]["ValueError: shapes (#, #) and #-D"] == 3
    assert theirs.call_count == 3


@pytest.mark.parametrize(
    "fault", [MemoryError, KeyboardInterrupt, SystemExit, RuntimeError, AssertionError]
)
def test_faults_are_no_refusals(fault, theirs, monkeypatch):
    monkeypatch.setattr(fastconv.signal, "convolve2d", mock.Mock(side_effect=fault))
    fastconv.patch()
    before = counts()
    with pytest.raises(fault):
        scipy.signal.convolve2d(IMAGE, KERNEL)
    assert counts() == before
    theirs.assert_not_called()


def test_what_fastconv_leaves_to_scipy_itself_is_counted_once(theirs, monkeypatch):
    def leave(*args, **kwargs):
        return _fallback.to_scipy("convolve2d", "left by itself", *args, **kwargs)

    monkeypatch.setattr(fastconv.signal, "convolve2d", leave)
    accelerated, fell_back = counts()
    fastconv.patch()
    assert scipy.signal.convolve2d(IMAGE, KERNEL) == "theirs"
    assert counts() == (accelerated, fell_back | {"left by itself": 1})
    # An error is scipy's word already.
    theirs.side_effect = ValueError("their words")
    with pytest.raises(ValueError, match="their words"):
        scipy.signal.convolve2d(IMAGE, KERNEL)
    assert counts() == (accelerated, fell_back | {"left by itself": 2})
    assert theirs.call_count == 2


def test_to_scipy_finds_scipys_function_without_a_patch_and_counts():
    before = counts()[1].get("some reason", 0)
    y = _fallback.to_scipy("convolve2d", "some reason", IMAGE, in2=KERNEL)
    assert np.array_equal(y, ORIGINALS["convolve2d"](IMAGE, KERNEL))
    assert counts()[1]["some reason"] == before + 1
    # Also one that cannot be replaced.
    _fallback.to_scipy("medfilt2d", "another", IMAGE)
    assert counts("medfilt2d") == (0, {"another": 1})


def test_what_fell_back_is_counted_in_limited_memory(monkeypatch):
    monkeypatch.setattr(_fallback, "FELL_BACK", Counter())
    monkeypatch.setattr(_fallback, "MOST", 9)
    monkeypatch.setitem(_fallback.ORIGINALS, "medfilt2d", lambda: None)
    for i in range(100):
        _fallback.to_scipy("medfilt2d", f"{i % 30}" * 1000)
    counted = _fallback.FELL_BACK
    assert counted.total() == 100
    assert len(counted) == 10
    assert counted["medfilt2d", "for other reasons"] > 50
    assert max(len(reason) for _, reason in counted) <= 200


def test_without_scipy_everything_says_so():
    script = """
import sys
sys.modules["scipy"] = None
import fastconv
from fastconv._fallback import FELL_BACK, to_scipy
for call in (fastconv.patch, fastconv.patched().__enter__):
    try:
        call()
    except ModuleNotFoundError as error:
        print(error)
try:
    to_scipy("convolve2d", "objects", 1, 2)
except TypeError as error:
    print(error)
fastconv.unpatch()
print(FELL_BACK.total(), fastconv.report())
"""
    lines = run(script).splitlines()
    assert "scipy" in lines[0]
    assert "scipy" in lines[1]
    for words in ("SciPy is not installed", "convolve2d", "objects"):
        assert words in lines[2]
    assert lines[3].split() == ["0", "scipy.signal", "accelerated", "fell", "back"]


ARRAY_API = """
import pickle
import numpy as np, scipy.signal
from scipy.signal import _signaltools, _support_alternative_backends

class Array:
    def __array_namespace__(self, **kwargs):
        raise TypeError("scipy has asked for the namespace")

name = "convolve2d"
inner, outer = getattr(_signaltools, name), getattr(scipy.signal, name)
assert inner is not outer
image, kernel = np.ma.ones((3, 4)), np.ones((2, 2))
words = []
for patched in (False, True):
    if patched:
        import fastconv
        fastconv.patch()
        assert inner is not _signaltools.convolve2d is scipy.signal.convolve2d is not outer
        assert pickle.loads(pickle.dumps(scipy.signal.convolve2d)) is scipy.signal.convolve2d
    for image in (np.ma.ones((3, 4)), Array()):
        for kwargs in ({"in1": image, "in2": kernel}, {"in2": image, "in1": kernel}):
            try:
                scipy.signal.convolve2d(**kwargs)
            except TypeError as error:
                words.append(str(error))
    for image in (np.ones((3, 4)), [[1, 2.0]], np.ones((3, 4), ">f4")):
        scipy.signal.convolve2d(image, kernel, "same", boundary="symm", fillvalue=None)
assert len(words) == 8 and words[:4] == words[4:], words
report = fastconv.report()
assert report.accelerated[name] == 3
assert report.fell_back[name] == {"numpy.ma.MaskedArray": 2, "__main__.Array": 2}, report
fastconv.unpatch()
assert getattr(_signaltools, name) is inner
assert getattr(scipy.signal, name) is getattr(_support_alternative_backends, name) is outer
"""


def test_where_scipy_hands_arrays_on_it_still_does():
    run(ARRAY_API, SCIPY_ARRAY_API="1")


NO_IMAGE = """
import numpy as np, scipy.signal, fastconv

class Wrapper:
    shape, dtype = (0, 3), np.dtype("d")
    def __array__(self, *args, **kwargs):
        return np.zeros((0, 3))

fastconv.patch()
kernel = np.ones((2, 2))
for image, taps in (
    (memoryview(np.zeros((0, 3))), kernel),
    (np.zeros((0, 3)), memoryview(kernel)),
    (np.ma.zeros((0, 3)), kernel),
    (Wrapper(), kernel),
    ([[], []], memoryview(kernel)),
):
    for call in (
        lambda: scipy.signal.convolve2d(image, taps, boundary="wrap"),
        lambda: scipy.signal.correlate2d(in1=image, in2=taps, boundary="symm"),
    ):
        try:
            call()
        except ValueError as error:
            assert str(error).startswith("an empty image cannot be extended"), error
        else:
            raise AssertionError
assert scipy.signal.convolve2d(memoryview(np.zeros((0, 3))), kernel).shape == (1, 4)

class Unwilling:
    shape = property(lambda self: 1 / 0)

# What fastconv refuses as well is scipy's to refuse.
for image, taps, boundary, words in (
    (memoryview(np.zeros((0, 3))), kernel, "bogus", "Acceptable boundary flags"),
    (Unwilling(), kernel, "wrap", ""),
):
    try:
        scipy.signal.convolve2d(image, taps, boundary=boundary)
    except (TypeError, ValueError) as error:
        assert words in str(error), error
    else:
        raise AssertionError
print("done")
"""


def test_what_would_end_the_process_is_not_handed_on_either():
    assert run(NO_IMAGE, SCIPY_ARRAY_API="1") == "done\n"


@pytest.mark.parametrize(
    "functions", [("_install", "_find", "_replace"), ("_uninstall", "_remove")], ids=" ".join
)
def test_after_an_interrupt_at_any_line_all_can_be_undone(functions):
    """A Ctrl-C may come between any two lines; `unpatch` leaves nothing of fastconv's."""
    n_lines = 0
    while True:
        left = n_lines

        def trace(frame, event, arg):
            nonlocal left
            if frame.f_code.co_name not in functions:
                return trace if frame.f_code.co_name in ("patch", "unpatch") else None
            if event == "line":
                if left == 0:
                    sys.settrace(None)
                    raise KeyboardInterrupt
                left -= 1
            return trace

        change = partial(fastconv.patch, "convolve2d")
        if "_remove" in functions:
            change()
            change = fastconv.unpatch
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            change()
        except KeyboardInterrupt:
            n_lines += 1
        else:
            break
        finally:
            sys.settrace(before)
            fastconv.unpatch()
        assert held_by_scipy() == before_all
        assert not _patch._lock._is_owned()
    assert n_lines > 20


@pytest.mark.skipif(sys.platform == "win32", reason="no timers that send signals")
def test_no_signal_leaves_the_lock_held():
    """As `with lock:` in Python does from 3.14 on, where one comes once the lock is taken."""
    script = """
import random, signal, threading
from fastconv._runtime import alone

lock = threading.RLock()

def work():
    pass

def many():
    while True:
        alone(lock, work)

signal.signal(signal.SIGALRM, signal.default_int_handler)
for _ in range(1000):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 3e-4))
        many()
    except KeyboardInterrupt:
        assert not lock._is_owned()
print("free")
"""
    assert run(script) == "free\n"


@pytest.mark.parametrize("change", [fastconv.patch, fastconv.unpatch])
def test_what_shows_warnings_may_wait_for_a_thread_that_patches(change, monkeypatch):
    module = types.ModuleType("old")
    module.convolve2d = ORIGINALS["convolve2d"]
    monkeypatch.setitem(sys.modules, "old", module)
    if change is fastconv.unpatch:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fastconv.patch()
        scipy.signal.convolve2d = len
    pool, shown = ThreadPoolExecutor(1), []

    def show(message, *args, **kwargs):
        pool.submit(fastconv.patch, "correlate").result(timeout=30)
        shown.append(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", show)
        change()
    scipy.signal.convolve2d = ORIGINALS["convolve2d"]
    fastconv.unpatch()
    assert len(shown) == 1


def test_names_that_another_thread_replaces_meanwhile_are_its_own(monkeypatch):
    module = types.ModuleType("old")
    module.convolve2d = scipy.signal.convolve2d
    monkeypatch.setitem(sys.modules, "old", module)
    blocks = []

    def show(*args, **kwargs):
        blocks.append(fastconv.patched("correlate2d"))
        blocks[0].__enter__()

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", show)
        with fastconv.patched(["convolve2d", "correlate2d"]):
            assert is_patched("convolve2d")
        assert is_patched("correlate2d")
        assert not is_patched("convolve2d")
    blocks[0].__exit__(None, None, None)
    assert not is_patched("correlate2d")


@pytest.mark.usefixtures("theirs")
def test_calls_and_reports_do_not_wait_for_another_threads_patch():
    fastconv.patch()

    def work():
        scipy.signal.convolve2d(IMAGE, KERNEL)
        scipy.signal.convolve2d(IMAGE.astype(object), KERNEL)
        fastconv.report()

    with ThreadPoolExecutor(1) as pool, _patch._lock:
        pool.submit(work).result(timeout=30)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_where_scipy_makes_numpy_arrays_of_everything_so_does_fastconv():
    class Array:
        def __array__(self, dtype=None, copy=None):
            return IMAGE

    fastconv.patch()
    accelerated, fell_back = counts()
    for image in (Array(), np.ma.array(IMAGE), np.matrix(IMAGE)):
        y = scipy.signal.convolve2d(image, KERNEL)
        assert type(y) is np.ndarray
        assert np.array_equal(y, ORIGINALS["convolve2d"](image, KERNEL))
    assert counts() == (accelerated + 3, fell_back)


def test_a_scipy_without_these_private_modules_is_patched_too(monkeypatch, theirs):
    monkeypatch.delattr(scipy._lib, "_array_api")
    monkeypatch.setitem(sys.modules, "scipy._lib._array_api", None)
    fastconv.patch()
    before = counts()[0]
    scipy.signal.convolve2d(IMAGE, KERNEL)
    assert counts()[0] == before + 1
    # It may hand arrays on, for all that is known.
    scipy.signal.convolve2d(np.ma.array(IMAGE), KERNEL)
    assert theirs.call_count == 1
    fastconv.unpatch()


# --- what other modules hold ---------------------------------------------------------------------


@pytest.fixture
def module(monkeypatch):
    """A module outside of scipy that holds a function of scipy's."""
    module = types.ModuleType("some.module")
    module.renamed = ORIGINALS["convolve2d"]
    monkeypatch.setitem(sys.modules, "some.module", module)
    return module


@pytest.mark.parametrize("way", ["patch", "block"])
def test_modules_that_hold_old_references_keep_them_and_are_listed(way, module, monkeypatch):
    module.also = ORIGINALS["correlate2d"]
    monkeypatch.setitem(sys.modules, "some.alias", module)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if way == "patch":
            fastconv.patch()
        else:
            with fastconv.patched():
                pass
    (warning,) = caught
    assert warning.category is UserWarning
    listed = str(warning.message).rpartition(": ")[2].split(", ")
    assert [name.rpartition(".")[2] for name in listed] == ["also", "renamed"]
    assert warning.filename == __file__
    assert module.renamed is ORIGINALS["convolve2d"]


def test_names_of_the_main_program_and_of_this_line_are_in_the_warning():
    script = "import warnings, fastconv\nfrom scipy.signal import convolve2d\n"
    script += "with warnings.catch_warnings(record=True) as caught:\n    fastconv.patch()\n"
    script += "print(caught[0].message, caught[0].lineno, len(caught))"
    printed = run(script)
    assert "__main__.convolve2d" in printed
    assert printed.split()[-2:] == ["4", "1"]


@pytest.mark.usefixtures("module")
def test_nothing_is_replaced_where_the_warning_is_an_error():
    with pytest.raises(UserWarning, match=r"some\.module\.renamed"):
        fastconv.patch()
    assert not is_patched()
    with pytest.raises(UserWarning, match=r"some\.module\.renamed"), fastconv.patched():
        pass
    assert held_by_scipy() == before_all


@pytest.mark.usefixtures("module")
def test_only_names_that_are_replaced_now_are_warned_of():
    fastconv.patch("correlate2d")
    with pytest.warns(UserWarning, match="convolve2d|renamed"):
        fastconv.patch()
    fastconv.patch()


def test_a_module_that_loads_itself_when_looked_at_is_not_looked_at(tmp_path, monkeypatch):
    path = tmp_path / "late_riser.py"
    path.write_text("raise AssertionError('woken')")
    spec = importlib.util.spec_from_file_location("late_riser", path)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    late = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(late)
    monkeypatch.setitem(sys.modules, "late_riser", late)
    monkeypatch.setitem(sys.modules, "no_module_at_all", mock.MagicMock(side_effect=AssertionError))
    monkeypatch.setitem(sys.modules, "forbidden", None)
    fastconv.patch()


def test_a_replacement_that_is_held_longer_is_scipys_function_again(module):
    module.renamed = None
    fastconv.patch()
    held = module.renamed = scipy.signal.convolve2d
    fastconv.unpatch()
    before = counts()
    assert np.array_equal(held(IMAGE, KERNEL), ORIGINALS["convolve2d"](IMAGE, KERNEL))
    with pytest.raises(TypeError, match="workers"):
        held(IMAGE, KERNEL, workers=1)
    assert counts() == before
    fastconv.patch()
    assert scipy.signal.convolve2d is held
    held(IMAGE, KERNEL)
    assert counts()[0] == before[0] + 1


def test_modules_of_scipy_that_were_imported_in_the_meantime_get_the_original(monkeypatch):
    late = types.ModuleType("scipy.late")
    monkeypatch.setitem(sys.modules, "scipy.late", late)
    outside = types.ModuleType("outside")
    monkeypatch.setitem(sys.modules, "outside", outside)
    with fastconv.patched():
        late.convolve2d = outside.convolve2d = scipy.signal.convolve2d
    assert late.convolve2d is ORIGINALS["convolve2d"]
    assert outside.convolve2d is not ORIGINALS["convolve2d"]


@pytest.mark.parametrize("way", ["unpatch", "block"])
def test_what_someone_else_put_in_the_place_is_left_alone(way, monkeypatch):
    def other():
        """Neither scipy's nor fastconv's."""

    words = r"someone else .*: scipy\.signal\.convolve2d$"
    if way == "unpatch":
        fastconv.patch()
        monkeypatch.setattr(scipy.signal, "convolve2d", other)
        with pytest.warns(UserWarning, match=words) as caught:
            fastconv.unpatch()
    else:
        with pytest.warns(UserWarning, match=words) as caught, fastconv.patched():
            monkeypatch.setattr(scipy.signal, "convolve2d", other)
    assert [warning.filename for warning in caught] == [__file__]
    assert scipy.signal.convolve2d is other
    assert scipy.signal._signaltools.convolve2d is ORIGINALS["convolve2d"]
    # Now they put back what was there before: the replacement.
    monkeypatch.undo()
    assert is_patched()
    before = counts()
    scipy.signal.convolve2d(IMAGE, KERNEL)
    assert counts() == before
    fastconv.patch()
    scipy.signal.convolve2d(IMAGE, KERNEL)
    assert counts()[0] == before[0] + 1
    fastconv.unpatch()
    assert not is_patched()


def test_someone_who_puts_the_original_back_is_not_warned_of():
    fastconv.patch()
    scipy.signal.convolve2d = ORIGINALS["convolve2d"]
    fastconv.unpatch()


def test_replacements_of_others_around_ours_do_not_go_round_in_circles():
    # Someone wraps the replacement, which is found beneath when patching for the second time.
    fastconv.patch()
    inner = scipy.signal.convolve2d
    scipy.signal.convolve2d = outer = mock.Mock(side_effect=inner, __wrapped__=inner)
    with pytest.warns(UserWarning, match="someone else"):
        fastconv.unpatch()
    fastconv.patch()
    before = counts()[0]
    scipy.signal.convolve2d(IMAGE, KERNEL)
    assert counts()[0] == before + 1
    outer.assert_not_called()
    with pytest.raises(ValueError, match="not available"):
        scipy.signal.convolve2d(IMAGE.astype(object), KERNEL)
    assert outer.call_count == 1
    fastconv.unpatch()
    assert scipy.signal.convolve2d is outer
    scipy.signal.convolve2d = ORIGINALS["convolve2d"]


# --- the report ----------------------------------------------------------------------------------


def test_the_report_is_a_table():
    report = _patch.Report(
        {"convolve2d": 12, "correlate2d": 0},
        {"convolve2d": {"objects": 1, "Error: words": 30}, "correlate2d": {}},
    )
    expected = """\
scipy.signal        accelerated  fell back
convolve2d                   12         31
                                        30  Error: words
                                         1  objects"""
    assert str(report) == repr(report) == expected


def test_the_report_is_of_the_moment_it_was_asked_for():
    fastconv.patch()
    scipy.signal.convolve2d(IMAGE, KERNEL)
    report = fastconv.report()
    shown = str(report)
    scipy.signal.convolve2d(IMAGE, KERNEL)
    assert str(report) == shown != str(fastconv.report())


@pytest.mark.usefixtures("theirs")
def test_calls_in_many_threads_are_all_counted():
    objects = IMAGE.astype(object)
    fastconv.patch()
    accelerated, fell_back = counts()
    n, reason = 2000, "ValueError: convolve2d not available for this type."
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(scipy.signal.convolve2d, [IMAGE, objects] * n, [KERNEL] * 2 * n))
    finally:
        sys.setswitchinterval(interval)
    assert counts() == (accelerated + n, fell_back | {reason: fell_back.get(reason, 0) + n})


# --- processes -----------------------------------------------------------------------------------


FORK = """
import importlib, os, sys, threading
import numpy as np, fastconv, scipy.signal

fastconv.patch()
held, go = threading.Event(), threading.Event()

def hold():
    with importlib.import_module(sys.argv[1])._lock:
        held.set()
        go.wait(0.3)

thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
if child == 0:
    scipy.signal.convolve2d(np.ones((3, 3)), np.ones((2, 2)))
    try:
        scipy.signal.convolve2d(np.ones((3, 3)), np.ones(2))
    except ValueError:
        pass
    report = fastconv.report()
    fastconv.unpatch()
    os._exit(report.accelerated["convolve2d"] + len(report.fell_back["convolve2d"]))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.parametrize("module", ["fastconv._patch", "fastconv._fallback"])
def test_a_forked_process_is_patched_and_waits_for_no_thread_of_its_parent(module):
    assert run(FORK, module).split() == ["2"]


@pytest.mark.parametrize(("initializer", "name"), [("None", "scipy"), ("fastconv.patch", "us")])
def test_a_process_started_afresh_is_patched_by_its_initializer(initializer, name, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import multiprocessing
import fastconv, scipy.signal

def who(_):
    return "us" if "__wrapped__" in vars(scipy.signal.convolve2d) else "scipy"

if __name__ == "__main__":
    fastconv.patch()
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, initializer={initializer}) as pool:
        print(who(0), *pool.map(who, [0]))
        print(*pool.starmap(scipy.signal.convolve2d, [([[2]], [[3]])]))
"""
    )
    assert printed(script).split() == ["us", name, "[[6]]"]


# --- IPython -------------------------------------------------------------------------------------


def test_the_extension_patches_and_has_a_magic():
    class Shell:
        def __init__(self):
            self.magics_manager = types.SimpleNamespace(magics={"line": {}})

        def register_magic_function(self, function, magic_kind, magic_name):
            self.magics_manager.magics[magic_kind][magic_name] = function

    shell = Shell()
    fastconv.load_ipython_extension(shell)
    assert all(map(is_patched, NAMES))
    (magic,) = shell.magics_manager.magics["line"].items()
    assert magic[0] == "fastconv_report"
    assert str(magic[1]("")) == str(fastconv.report())
    fastconv.unload_ipython_extension(shell)
    assert not any(map(is_patched, NAMES))
    assert not shell.magics_manager.magics["line"]
    fastconv.unload_ipython_extension(shell)


def test_the_extension_in_ipython():
    shell_module = pytest.importorskip("IPython.core.interactiveshell")
    shell = shell_module.InteractiveShell()
    printed = io.StringIO()
    with redirect_stdout(printed):
        shell.run_cell("%load_ext fastconv", silent=True).raise_error()
        assert all(map(is_patched, NAMES))
        shell.run_cell("%fastconv_report").raise_error()
        shell.run_cell("%unload_ext fastconv").raise_error()
    assert "accelerated" in printed.getvalue()
    assert not any(map(is_patched, NAMES))


# --- the package ---------------------------------------------------------------------------------


def test_what_is_imported_late_is_listed_early():
    script = "import fastconv; print(sorted(set(fastconv.__all__) - set(dir(fastconv))))"
    assert run(script).strip() == "[]"
    with pytest.raises(AttributeError, match="no attribute 'convolve5d'"):
        fastconv.convolve5d  # noqa: B018
