"""
A pytest plugin that puts fastconv's functions in the place of scipy.signal's.

It is loaded before the tests of scipy import what they test. Prints how often each function was
called, as JSON, at the end.
"""

import functools
import json
from collections import Counter

import scipy.signal
from scipy._lib._array_api import xp_capabilities_table
from scipy.signal import _signal_api, _signaltools

import fastconv

calls = Counter()


def counted(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        calls[function.__name__] += 1
        return function(*args, **kwargs)

    return wrapper


for name in ("convolve2d", "correlate2d"):
    replacement = counted(getattr(fastconv, name))
    # scipy's tests look their function up here, to learn which array libraries it supports.
    xp_capabilities_table[replacement] = xp_capabilities_table[getattr(scipy.signal, name)]
    for module in (scipy.signal, _signaltools, _signal_api):
        setattr(module, name, replacement)


def pytest_sessionfinish():
    print(f"\ncalls: {json.dumps(calls)}")
