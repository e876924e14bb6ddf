"""What a call did, in a form that compares: for tests that run fastconv and scipy side by side."""

import warnings

import numpy as np
from scipy import signal

import fastconv


def outcome(module, function, *args, **kwargs):
    """Result or refusal, and warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if module is signal:  # NumPy 2.5, of a fill value of a dtype that is refused then
            warnings.filterwarnings("ignore", "The 'generic' unit", DeprecationWarning)
        try:
            y = getattr(module, function)(*args, **kwargs)
            result = type(y), y.dtype, y.shape, repr(y.tolist())
        except Exception as error:
            result = type(error), str(error)
    return result, [(warning.category, str(warning.message)) for warning in caught]


def assert_same_outcome(function, *args, **kwargs):
    theirs = outcome(signal, function, *args, **kwargs)
    assert outcome(fastconv, function, *args, **kwargs) == theirs
    return theirs


def refused(theirs):
    return issubclass(theirs[0][0], Exception)


def assert_alike(function, *args, **kwargs):
    """The same type, dtype, shape or refusal; numbers up to the errors of scipy's transforms."""
    results = []
    for module in (signal, fastconv):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                results.append(getattr(module, function)(*args, **kwargs))
            except Exception as error:
                results.append(error)
    theirs, ours = results
    assert type(ours) is type(theirs), (ours, theirs)
    if isinstance(theirs, Exception):
        assert str(ours) == str(theirs)
    elif isinstance(theirs, str):
        assert ours == theirs
    else:
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        if theirs.dtype.kind in "biufc":
            np.testing.assert_allclose(
                ours.astype(complex), theirs.astype(complex), rtol=2e-3, atol=2e-3
            )
        else:
            assert ours.tolist() == theirs.tolist()
    return theirs
