"""
The calls of fuzz.py, drawn by libFuzzer from what they reach in fastconv.

    pip install atheris
    python tests/fuzz_atheris.py -max_total_time=600

CONTRIBUTING.md tells how the kernels are seen as well. A failure leaves its bytes in a file
crash-...; given as the argument, that is repeated.
"""

import sys

import atheris

with atheris.instrument_imports(include=["fastconv"]):
    import fuzz


def one_call(data):
    fuzz.call_once(fuzz.Bytes(data))


if __name__ == "__main__":
    fuzz.quiet()
    atheris.Setup(sys.argv, one_call)
    atheris.Fuzz()
