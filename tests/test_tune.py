"""The costs that the planner rests on: where they come from, and what becomes of a bad file."""

import contextlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from fastconv import _costs, _dispatch, _tune
from fastconv.__main__ import main


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Empty cache folder, for which the constants are read anew."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    _costs.current.cache_clear()
    yield tmp_path
    _costs.current.cache_clear()


@pytest.fixture
def quick(monkeypatch):
    """A measurement that takes a moment, and is worth as much."""
    monkeypatch.setattr(_tune, "REPEATS", 1)
    monkeypatch.setattr(_tune, "LEAST_SECONDS", 0)
    monkeypatch.setattr(_tune, "SIDE", 48)
    monkeypatch.setattr(_tune, "TRANSFORM_PIXELS", 1 << 14)


def test_there_are_costs_for_every_level():
    assert set(_costs.shipped()) >= set(_dispatch.BUILT)
    for costs in _costs.shipped().values():
        for word in _costs.TRANSFORM_WORDS:
            assert len(costs.transform[word]) == len(_costs.POINTS)
            assert min(costs.transform[word]) > 0


def test_without_a_file_of_ones_own_the_shipped_costs_hold(own_cache):
    assert _costs.current() == _costs.shipped()[_dispatch.LEVEL]


def test_tune_keeps_what_it_measures_where_it_is_found(own_cache, quick, capsys):
    assert main(["tune"]) == 0
    path = _costs.cache_file()
    assert own_cache in path.parents
    assert str(path) in capsys.readouterr().out
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    _costs.current.cache_clear()
    assert _costs.current() == _costs.parse(path.read_text())
    assert _costs.current() != _costs.shipped()[_dispatch.LEVEL]


def test_two_that_tune_at_once_do_not_disturb_each_other(own_cache, quick, monkeypatch, capsys):
    drafts = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda a, b: (drafts.append(a), replace(a, b))[1])
    for pid in (1, 2):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        assert main(["tune"]) == 0
    assert drafts[0] != drafts[1]


def test_a_cache_folder_that_cannot_be_written_to_is_named(own_cache, quick, capsys):
    (own_cache / "fastconv").write_text("no folder")
    with pytest.raises(SystemExit) as ended:
        main(["tune"])
    assert ended.value.code == 1
    assert str(own_cache) in capsys.readouterr().err


def test_a_dry_run_keeps_nothing(own_cache, quick, capsys):
    assert main(["tune", "--dry-run"]) == 0
    _costs.parse(capsys.readouterr().out)
    assert not _costs.cache_file().exists()


def _good():
    return _costs.shipped()[_dispatch.LEVEL]._asdict()


def _without_a_word():
    costs = _good()
    return costs | {"direct": {k: v for k, v in costs["direct"].items() if k != "f32"}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"direct": 1}',
        json.dumps(_without_a_word()),
        json.dumps(_good() | {"separable": {word: [1.0] for word in _costs.WORDS}}),
        json.dumps(_good() | {"separable": {word: [1.0, -1.0] for word in _costs.WORDS}}),
        json.dumps(_good() | {"separable": {word: [1.0, "x"] for word in _costs.WORDS}}),
        json.dumps(_good() | {"separable": {word: [1.0, np.nan] for word in _costs.WORDS}}),
        json.dumps(_good() | {"separable": {word: [1.0, np.inf] for word in _costs.WORDS}}),
    ],
)
def test_a_file_that_holds_no_costs_is_passed_over(own_cache, text):
    with pytest.raises((ValueError, KeyError, TypeError)):
        _costs.parse(text)
    path = _costs.cache_file()
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert _costs.current() == _costs.shipped()[_dispatch.LEVEL]


def test_a_file_that_is_not_text_is_passed_over(own_cache):
    path = _costs.cache_file()
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\xfe\x00")
    assert _costs.current() == _costs.shipped()[_dispatch.LEVEL]


@pytest.mark.parametrize(
    ("platform", "environment", "folder"),
    [
        ("linux", {"XDG_CACHE_HOME": "/cache"}, "/cache/fastconv"),
        ("linux", {"XDG_CACHE_HOME": ""}, "/home/me/.cache/fastconv"),
        ("darwin", {}, "/home/me/Library/Caches/fastconv"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/fastconv/Cache"),
        ("win32", {}, "/home/me/AppData/Local/fastconv/Cache"),
    ],
)
def test_the_cache_folder_is_the_platforms(monkeypatch, platform, environment, folder):
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _costs.cache_file().parent == Path(folder)
    assert _costs.cache_file().stem.endswith(_dispatch.LEVEL)


def test_a_fit_finds_the_costs_it_was_made_from_and_none_that_is_negative():
    terms = [[k * k, k, 1.0] for k in (3, 5, 9, 15)]
    seconds = [1e-9 * 1000 * (2 * a + 3 * b + 4) for a, b, _ in terms]
    assert _tune._fit(terms, seconds, [1000.0] * 4) == pytest.approx([2, 3, 4])
    seconds = [1e-9 * 1000 * (2 * a - b + 4) for a, b, _ in terms]
    assert min(_tune._fit(terms, seconds, [1000.0] * 4)) >= 0


def test_how_deep_the_first_call_is_does_not_choose_the_costs(own_cache):
    costs = _costs.shipped()[_dispatch.LEVEL]
    path = _costs.cache_file()
    path.parent.mkdir(parents=True)
    path.write_text(
        json.dumps(costs._asdict() | {"direct": {w: [7.0, 7.0, 7.0] for w in _costs.WORDS}})
    )

    def deep():
        try:
            deep()
        except RecursionError:
            with contextlib.suppress(RecursionError):
                _costs.current()

    deep()
    assert set(map(tuple, _costs.current().direct.values())) == {(7.0, 7.0, 7.0)}
