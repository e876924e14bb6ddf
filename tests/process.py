"""Python in a process of its own: for what could kill the tests, or has to come first."""

import os
import subprocess
import sys

import pytest

# A time-out is there to end what hangs. An emulated processor needs more patience.
PATIENCE = float(os.environ.get("FASTCONV_PATIENCE", "1"))


def python(*arguments, timeout=120, cwd=None, **environment):
    """Exit code, standard output and error; a variable of the environment that is None is none."""
    variables = os.environ | environment
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={name: value for name, value in variables.items() if value is not None},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout * PATIENCE,
        cwd=cwd,
    )
    return done.returncode, done.stdout, done.stderr


def printed(*arguments, **options):
    """Standard output of a script that ends well."""
    code, output, error = python(*arguments, **options)
    if code:
        pytest.fail(f"exit code {code}\n{output[-300:]}{error[-3000:]}")
    return output
