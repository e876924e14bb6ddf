"""scipy's own tests of convolve2d and correlate2d, run against fastconv."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree


def test_scipys_own_tests_pass_with_fastconv_in_the_place_of_scipy(tmp_path):
    arguments = ["-p", "scipy_plugin", "-p", "no:cacheprovider", "--junitxml=report.xml"]
    arguments += ["-k", "TestConvolve2d or TestCorrelate2d", "-m", "not slow"]
    arguments += ["--pyargs", "scipy.signal.tests.test_signaltools"]
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
    assert counts.pop("tests") >= 23  # as many as scipy 1.17 has
    assert counts == {"failures": 0, "errors": 0, "skipped": 0}

    calls = json.loads(re.search(r"^calls: (.*)$", done.stdout, re.MULTILINE)[1])
    assert calls["convolve2d"] >= 20
    assert calls["correlate2d"] >= 4
