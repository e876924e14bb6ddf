"""
Make the n-th allocation of a call fail, for n = 1, 2, ... until there are no more.

A process of its own: what is not foreseen may kill it. With the argument `malloc`, under LD_PRELOAD
of no_memory.c, the allocations are those of the engines and of NumPy, and the n-th fails. With
`python` they are the interpreter's, and the n-th and all that follow, up to a thousand, fail.

Each time the call must raise MemoryError, and `out` be as it was, or it must manage, and be right.
"""

import contextlib
import ctypes
import functools
import gc
import itertools
import sys
import sysconfig
import types
import warnings

import numpy as np
from cases import SWAPPED, numbers, same_bits, spread


class errstate(contextlib.ContextDecorator):  # noqa: N801
    """In the place of NumPy's, which is a segmentation fault if it gets no memory."""

    def __init__(self, **_):
        pass

    def __enter__(self):
        pass

    def __exit__(self, *_):
        pass


warnings.simplefilter("ignore")
np.seterr(all="ignore")
np.errstate = errstate

import fastconv  # noqa: E402

# So are, in these, NumPy's scalars, numpy.where, and Python's warnings.
OTHERS_DIE = ("separable g, 1", "separable g, inf", "tiny room", "room, fft")
OTHERS_DIE += ("line, fft, inf", "planning", "planning, separable", "explain", "choice")

RNG = np.random.default_rng(1)


def call(function, *args, **options):
    """A call as a function of `out`."""
    return functools.partial(getattr(fastconv, function), *args, **options)


def with_one(array, value):
    """The array with another value in its middle."""
    array = array.copy()
    array[tuple(n // 2 for n in array.shape)] = value
    return array


def planes():
    """Calls by name: every engine, what it leaves to another, and conversions."""
    image = {char: numbers(RNG, (70, 90), char) for char in "bhilqfdgFD"}
    kernel = {char: numbers(RNG, (5, 7), char) for char in image}
    for char in "bhlfdgFD":
        yield f"direct {char}", call("convolve2d", image[char], kernel[char], method="direct")
    yield "wrap", call("convolve2d", image["d"], kernel["d"], "same", "wrap", method="direct")
    yield "fill", call("convolve2d", image["D"], kernel["D"], "full", "fill", 1 + 2j)
    yield "swapped", call("correlate2d", kernel["D"], image["D"], "valid")
    yield "converted", call("convolve2d", image["h"].astype(SWAPPED[0]), kernel["d"])
    for a, b, value in itertools.product("dD", "dD", (1, np.nan)):
        taps = kernel[b].real.astype("D")
        one = call("convolve2d", with_one(image[a], value), taps, method="direct")
        yield f"half complex {a}{b}, {value}", one
    real = image["D"].real.astype("D")
    for method in ("direct", "fft", "separable"):
        yield f"both real, {method}", call("convolve2d", real, np.ones((5, 7), "D"), method=method)
    for method, chars in (("separable", "bqfdgFD"), ("fft", "dfilFD"), ("certified", "fFil")):
        for char, value in itertools.product(chars, (1, np.inf)):
            if value == 1 or char in "fdgFD":
                taps = np.ones((5, 7), char.lower()) if method == "separable" else kernel[char]
                one = call("convolve2d", with_one(image[char], value), taps, method=method)
                yield f"{method} {char}, {value}", one
    uncertain = (spread(RNG, shape, "f", (-30, 30)) for shape in ((70, 90), (9, 9)))
    yield "uncertain", call("convolve2d", *uncertain, method="certified")
    for method in ("direct", "separable", "certified", "fft"):
        large = with_one(numbers(RNG, (300, 300), "f"), np.nan)
        taps = np.ones((9, 9), "f")
        yield f"threads, {method}", call("convolve2d", large, taps, method=method, workers=2)
    yield "threads together", call("fftconvolve", large, numbers(RNG, (200, 200), "f"), workers=2)


def others():
    """Calls by name: the other functions."""
    stack, few = numbers(RNG, (2, 3, 20, 30), "d"), numbers(RNG, (3, 4), "d")
    yield "stack", call("convolve2d", stack, few, axes=(2, 3))
    yield "stack, strange axes", call("convolve2d", stack, few, "same", axes=(0, 3))
    spoilt = with_one(stack, np.nan)
    yield "stack, nan", call("convolve2d", spoilt, few, axes=(2, 3), method="fft")
    yield "stack of kernels", call("correlate2d", stack, stack[:, :1, :3, :4], axes=(2, 3))

    line, taps = numbers(RNG, (3000,), "d"), numbers(RNG, (65,), "d")
    for method, value in itertools.product(("direct", "fft", "auto"), (1, np.inf)):
        one = call("convolve", line, with_one(taps, value), "same", method)
        yield f"line, {method}, {value}", one
    yield "line, complex", call("correlate", line + 1j, taps + 2j)
    yield "column", call("convolve", line[:, None], taps[:, None], "same", "fft")
    yield "bool", call("convolve", line > 0, taps > 0)
    yield "float16", call("convolve", numbers(RNG, (70, 90), "e"), few.astype("e"))
    yield "plane", call("fftconvolve", stack[0, 0].astype("i"), few.astype("l"))
    yield "plane, nan", call("oaconvolve", spoilt[1, 1], few, "same")

    room, brick = numbers(RNG, (9, 20, 21), "d"), numbers(RNG, (3, 4, 5), "d")
    whole, block = numbers(RNG, (9, 20, 21), "h"), numbers(RNG, (3, 4, 5), "h")
    for method in ("direct", "fft"):
        yield f"room, {method}", call("convolve", room, brick, "same", method, workers=1)
        one = call("correlate", whole, block, "full", method, workers=1)
        yield f"room of integers, {method}", one
    yield "tiny room", call("convolve", room * 1e-200, brick, "same", "fft", workers=1)
    yield "room, nan", call("convolve", with_one(room, np.nan), brick, "same", "direct")
    yield "room, two axes", call("fftconvolve", room, brick[:1], "same", (1, 2))
    yield "room, one axis", call("oaconvolve", room[:2, :3], room[:2, :3, :4], "full", 2)
    yield "room, no axis", call("fftconvolve", room, room[:1, :1, :1])

    image = numbers(RNG, (70, 90), "F")
    yield "sepfir2d", call("sepfir2d", image.real, [1.0, 2, 3], [1.0, 3, 1])
    yield "sepfir2d, nan", call("sepfir2d", with_one(image, np.nan), [1.0, 2, 3], [1.0, 3, 1])
    for method in ("direct", "fft", "separable"):
        ready = fastconv.plan(np.ones((5, 7)), (20, 30), "d", method=method)
        yield f"plan, {method}", functools.partial(ready, stack[0, 0])
        yield f"plan of many, {method}", functools.partial(ready, spoilt)
    swapped = fastconv.plan(np.ones((5, 7)), (3, 4), "d")
    yield "plan, swapped", functools.partial(swapped, np.ones((2, 3, 4)))


def without_out():
    """Calls by name of what makes no array."""
    image, kernel = numbers(RNG, (300, 300), "f"), numbers(RNG, (9, 9), "f")
    yield "planning", lambda: fastconv.plan(kernel, (300, 300), "f", method="fft").out_shape
    yield "planning, separable", lambda: fastconv.plan(np.ones((9, 9)), (300, 300), "f").out_shape
    yield "explain", lambda: str(fastconv.explain(image, kernel))
    yield "choice", lambda: fastconv.choose_conv_method(image, kernel)
    yield "lags", lambda: fastconv.correlation_lags(1000, 20).sum()


def attempt(arm, disarm, n, function):
    """What a call returns or raises whose n-th allocation fails; and how many there were."""
    arm(n)
    try:
        result = function()
    except BaseException as error:  # whatever it is
        count = disarm()
        return error.with_traceback(None), count
    return result, disarm()


def keep(code):
    """Keep what is defined in a function, whatever the interpreter does to its references.

    If there is no memory for an inner function, Python 3.12 and 3.13 let go of its code twice.
    """
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            references = ctypes.c_uint32.from_address(id(inner))
            references.value |= 1 << 28
            keep(inner)


def keep_all():
    """Keep what is defined in any function there is."""
    # Interpreters that can do without a global lock count in another way.
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        for function in gc.get_objects():
            if isinstance(function, types.FunctionType):
                keep(function.__code__)


def failures(arm, disarm, function, with_out):
    """Let a call fail as often as it can; how often that is."""
    expected, out = function(), None
    keep_all()  # what the call imported, too
    before = RNG.bytes(expected.nbytes) if with_out else None
    for n in itertools.count(1):
        here = function
        if with_out:
            out = np.frombuffer(bytearray(before), expected.dtype).reshape(expected.shape)
            here = functools.partial(function, out=out)
        result, count = attempt(arm, disarm, n, here)
        if isinstance(result, BaseException):
            assert isinstance(result, MemoryError), repr(result)
            assert out is None or out.tobytes() == before, "out is written to"
        else:
            assert result is out if with_out else result == expected
            assert not with_out or same_bits(out, expected), "a wrong result"
            if count is None or count < n:
                return n - 1


def main(which):
    if which == "malloc":
        library = ctypes.CDLL(None)
        hooks, live = (library.no_memory_arm, library.no_memory_disarm), library.no_memory_live
    else:
        import _testcapi

        # Not without end: an exception that needs memory to be caught is tried again and again.
        def arm(n):
            _testcapi.set_nomemory(n - 1, n + 999)

        hooks = arm, _testcapi.remove_mem_hooks
    total = 0
    for name, function in itertools.chain(planes(), others(), without_out()):
        if which == "python" and (name in OTHERS_DIE or name.startswith("threads")):
            continue
        with_out = name not in dict(without_out())
        print(name, end=": ", flush=True)
        total += (n := failures(*hooks, function, with_out))
        print(n, end=", ")
        if which == "malloc":
            before = live()
            failures(*hooks, function, with_out)
            assert live() - before < max(6, n), "blocks leaked"  # a few are kept for the next call
    print(total)


if __name__ == "__main__":
    main(sys.argv[1])
