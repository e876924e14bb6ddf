"""The command line: python -m fastconv, and the demonstration it runs."""

import re
import runpy
import subprocess
import sys

import matplotlib.image
import numpy as np
import PIL.Image
import pytest

import fastconv
from fastconv import _demo
from fastconv.__main__ import main

FILTERS = ["blur", "sharpen", "edge", "emboss", "lens blur"]


@pytest.fixture
def quick(monkeypatch):
    """One run of each filter: these tests look at answers, not at times."""
    monkeypatch.setattr(_demo, "MIN_RUNS", 1)
    monkeypatch.setattr(_demo, "MIN_SECONDS", 0.0)


@pytest.fixture
def photograph(tmp_path):
    """A small colour picture, higher than wide."""
    path = tmp_path / "photograph.png"
    rng = np.random.default_rng(1)
    matplotlib.image.imsave(path, rng.integers(0, 256, (90, 70, 3)).astype(np.uint8))
    return path


def table(text):
    """Rows of the printed table: filter, kernel, scipy ms, fastconv ms, ratio, difference, runs."""
    pattern = r"^(.+?) +(\d+ x \d+) +([\d.]+) +([\d.]+) +([\d.]+)x +(\S+) +(\d+)$"
    return re.findall(pattern, text, re.MULTILINE)


@pytest.mark.usefixtures("quick")
def test_demo_prints_a_table_and_draws_a_picture(photograph, tmp_path, capsys):
    output = tmp_path / "picture.png"
    assert main(["demo", str(photograph), "--output", str(output)]) == 0
    captured = capsys.readouterr()
    rows = table(captured.out)
    assert [row[0] for row in rows] == FILTERS
    for _, kernel, _, _, _, difference, runs in rows:
        # Pixels of at most 1 and taps that sum to at most 40 in modulus: twice the bound of the
        # direct sum, n * u * sum |a||w|, once for each side.
        height, width = map(int, kernel.split(" x "))
        assert float(difference) <= 2 * 2 * height * width * 2.0**-53 * 64
        assert int(runs) == 1
    assert "90 x 70" in captured.out
    assert str(output) in captured.out
    for name in FILTERS:
        assert name in captured.err
    drawn = matplotlib.image.imread(output)
    assert drawn.shape[0] > 300
    assert drawn.shape[1] > 1000
    assert drawn.std() > 0


@pytest.mark.usefixtures("quick")
def test_demo_without_an_image_takes_the_one_that_ships_with_matplotlib(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_demo, "FILTERS", _demo.FILTERS[2:3])
    assert main(["demo", "--workers", "2"]) == 0
    out = capsys.readouterr().out
    assert "grace_hopper" in out
    assert "threads: 2" in out
    assert (tmp_path / "fastconv-demo.png").stat().st_size > 10000


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", ["grey", "colour", "transparent", "wide"])
def test_images_of_every_kind_are_read(kind, tmp_path):
    rng = np.random.default_rng(2)
    shapes = {"grey": (12, 9), "colour": (12, 9, 3), "transparent": (12, 9, 4), "wide": (5, 80)}
    pixels = rng.integers(0, 256, shapes[kind]).astype(np.uint8)
    path = tmp_path / "image.png"
    PIL.Image.fromarray(pixels).save(path)
    image = _demo.load(path)
    assert image.dtype == np.float64
    assert image.shape == pixels.shape[:2]
    assert 0 <= image.min() <= image.max() <= 1


@pytest.mark.usefixtures("quick")
def test_filters_run_until_there_are_enough_runs_and_seconds(monkeypatch):
    image, filter_ = np.ones((4, 4)), _demo.FILTERS[0]
    seen = []
    for names, runs in (({"MIN_RUNS": 3}, 3), ({"MIN_RUNS": 9, "MAX_RUNS": 5}, 5)):
        for name, value in names.items():
            monkeypatch.setattr(_demo, name, value)
        assert _demo.measure(image, filter_, 1, seen.append).runs == runs
    assert seen == [0, 1, 2, 0, 1, 2, 3, 4]


def test_a_terminal_sees_one_line_that_moves(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    progress = _demo.Progress(3)
    progress.show(1, "blur", 0)
    progress.show(1, "blur", 1)
    progress.close()
    written = capsys.readouterr().err
    assert "\n" not in written
    assert written.count("\r") == 3
    assert "[#..] blur" in written


def test_a_file_sees_one_line_for_each_filter(capsys):
    progress = _demo.Progress(2)
    for runs in range(3):
        progress.show(0, "blur", runs)
    progress.close()
    assert capsys.readouterr().err == "[..] blur\n"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.png"], "cannot read missing.png"),
        (["broken.png"], "cannot read broken.png"),
        (["--workers", "0"], "workers must not be zero"),
        (["photograph.png", "-o", "nowhere/picture.png"], "cannot write"),
        (["photograph.png", "-o", "picture.nonsense"], "cannot write"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments, words, photograph, monkeypatch, capsys):
    monkeypatch.chdir(photograph.parent)
    monkeypatch.setattr(_demo, "FILTERS", _demo.FILTERS[:1])
    photograph.with_name("broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    assert main(["demo", *arguments]) == 1
    told = capsys.readouterr()
    last = told.err.splitlines()[-1]
    assert last.startswith("python -m fastconv demo: ")
    assert words in last
    # What can be known before all is measured is said before.
    assert ("image:" in told.out) is ("picture.nonsense" in arguments)


@pytest.mark.parametrize("missing", ["matplotlib", "scipy"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(missing, monkeypatch, capsys):
    monkeypatch.delattr(fastconv, "_demo")
    monkeypatch.delitem(sys.modules, "fastconv._demo")
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["demo"]) == 1
    words = capsys.readouterr().err
    assert missing in words
    assert "pip install 'fastconv[demo]'" in words


def test_the_shown_times_and_ratios_have_three_digits_and_a_unit():
    assert _demo._duration(2.5) == "2.5 s"
    assert _demo._duration(0.0123456) == "12.3 ms"
    assert _demo._duration(0.0000321) == "32.1 µs"
    assert _demo._times(9.87) == "9.9"
    assert _demo._times(98.7) == "99"


def test_no_command_prints_the_help(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert "demo" in printed
    assert "info" in printed


def test_the_module_runs_as_a_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fastconv", "info"])
    monkeypatch.delitem(sys.modules, "fastconv.__main__")
    with pytest.raises(SystemExit) as left:
        runpy.run_module("fastconv", run_name="__main__")
    assert left.value.code == 0
    assert fastconv.__version__ in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "code"), [(["info"], 0), (["--help"], 0), (["other"], 2)])
def test_python_m_fastconv_is_a_command(arguments, code):
    done = subprocess.run([sys.executable, "-m", "fastconv", *arguments], capture_output=True)
    assert done.returncode == code


def test_info_needs_none_of_the_extras():
    script = "import sys; sys.modules['matplotlib'] = sys.modules['scipy'] = None\n"
    script += "from fastconv.__main__ import main; sys.exit(main(['info']))"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
