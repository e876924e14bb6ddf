"""What the package says about itself: version, configuration, public names and documentation."""

import doctest
import inspect
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import fastconv
import fastconv.signal
from fastconv import _config, _explain, _patch, _workers, plans
from fastconv.__main__ import main

KEYS = {"fastconv", "python", "numpy", "compiler", "openmp", "threads"}
KEYS |= {"levels built", "level of the processor", "level in use"}


def test_the_version_is_that_of_the_project():
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())
    assert fastconv.__version__ == project["project"]["version"]


def test_the_public_names_are_these():
    public = {"get_workers", "set_workers", "show_config", "__version__"}
    public |= {"patch", "patched", "report", "unpatch", "Explanation", "explain", "plan"}
    public |= {"error_bound"}
    assert set(fastconv.__all__) == public | set(fastconv.signal.__all__)
    for name in fastconv.__all__:
        assert hasattr(fastconv, name)


def test_show_config_returns_what_is_true():
    config = fastconv.show_config("dicts")
    assert config.keys() == KEYS
    assert config["fastconv"] == fastconv.__version__
    assert config["numpy"] == np.__version__
    assert config["python"] == ".".join(map(str, sys.version_info[:3]))
    assert config["levels built"][0] == "baseline"
    assert config["level in use"] in config["levels built"]
    with fastconv.set_workers(3):
        assert fastconv.show_config("dicts")["threads"] == 3


def test_show_config_prints_what_it_returns(capsys):
    assert fastconv.show_config() is None
    printed = capsys.readouterr().out
    fastconv.show_config(mode="stdout")
    assert capsys.readouterr().out == printed
    config = fastconv.show_config("dicts")
    for (name, value), line in zip(config.items(), printed.splitlines(), strict=True):
        assert line.startswith(f"{name}:")
        shown = ", ".join(value) if isinstance(value, list) else str(value)
        assert line.endswith(f" {shown}")


@pytest.mark.parametrize("mode", ["", "Dicts", None, 0, b"stdout"], ids=repr)
def test_show_config_refuses_other_modes(mode):
    with pytest.raises(ValueError, match="'stdout' or 'dicts'"):
        fastconv.show_config(mode)


def test_info_prints_the_configuration(capsys):
    fastconv.show_config()
    expected = capsys.readouterr().out
    assert main(["info"]) == 0
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize("module", [fastconv.signal, _config, _explain, _patch, _workers, plans])
def test_the_examples_in_the_documentation_are_true(module):
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize(
    "name", ["convolve2d", "correlate2d", "patch", "patched", "set_workers", "show_config"]
)
def test_every_parameter_is_documented(name):
    thing = getattr(fastconv, name)
    text = inspect.getdoc(thing)
    for parameter in inspect.signature(thing).parameters:
        assert f"\n{parameter} : " in text
