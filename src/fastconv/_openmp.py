"""Load the OpenMP runtime, and tell it how long a thread that waits may keep its processor.

Imported before anything that is linked to the runtime, which looks at the environment once.
"""

import os
from importlib import import_module

# GCC's runtime has threads look for work 300,000 times, some ten milliseconds, before they sleep.
# Where other processes want the processors, that is time which the thread that is waited for does
# not get, at every step of a call. So often takes 0.1 to 0.25 ms, longer than the work between two
# steps, or two calls one after the other, of one thread.
_SPINS = "5000"

if os.environ.keys().isdisjoint(("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")):
    os.environ["GOMP_SPINCOUNT"] = _SPINS
    try:
        import_module("fastconv._runtime")
    finally:
        del os.environ["GOMP_SPINCOUNT"]  # of other runtimes, here and in children, it is not said
