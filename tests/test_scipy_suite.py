"""
scipy's own tests of the functions, run against fastconv.

The ones that scipy marks as slow, some ten thousand, run where the environment says
FASTCONV_SLOW=1.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

MODULES = ("scipy.signal.tests.test_signaltools", "scipy.signal.tests.test_bsplines")
# Any test whose name holds one of these; TestConvolve is the beginning of TestConvolve2d.
NAMES = (
    "TestConvolve",
    "TestCorrelate",
    "TestFFTConvolve",
    "TestOAConvolve",
    "TestAllFreqConvolves",
)
NAMES += ("test_convolve_longdtype", "correlation_lags", "choose_conv_method")
# scipy's sepfir2d reads out of bounds in strided_2 and strided_3, which it expects to fail.
NAMES += ("(TestSepfir2d and not strided_2 and not strided_3)",)

TESTS = {"not slow": 1389, "slow": 10346}  # as many as scipy 1.17 has
FEWEST_CALLS = {
    "not slow": {
        "convolve": 1000,
        "correlate": 200,
        "fftconvolve": 1000,
        "oaconvolve": 1000,
        "convolve2d": 20,
        "correlate2d": 4,
        "choose_conv_method": 20,
        "correlation_lags": 25,
        "sepfir2d": 20,
    },
    "slow": {"fftconvolve": 600, "oaconvolve": 9000, "correlation_lags": 12},
}
SLOW = pytest.mark.skipif("FASTCONV_SLOW" not in os.environ, reason="FASTCONV_SLOW is not set")


@pytest.mark.parametrize("which", ["not slow", pytest.param("slow", marks=SLOW)])
def test_scipys_own_tests_pass_with_fastconv_in_the_place_of_scipy(which, tmp_path):
    # test_large_array needs 4 GB.
    chosen = f"({' or '.join(NAMES)}) and not test_large_array"
    arguments = ["-p", "scipy_plugin", "-p", "no:cacheprovider", "--junitxml=report.xml"]
    arguments += ["-q", "-k", chosen, "-m", which, "--pyargs", *MODULES]
    path = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]

    suite = ElementTree.parse(tmp_path / "report.xml").getroot().find("testsuite")
    counts = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    assert counts.pop("tests") >= TESTS[which]
    assert counts == {"failures": 0, "errors": 0, "skipped": 0}

    calls = json.loads(re.search(r"^calls: (.*)$", done.stdout, re.MULTILINE)[1])
    for name, fewest in FEWEST_CALLS[which].items():
        assert calls[name] >= fewest, name
    assert re.search(r"^fell back: \{\}$", done.stdout, re.MULTILINE)
