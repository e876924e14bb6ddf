"""What the documentation shows: the blocks of its pages, its docstrings, its gallery."""

import ast
import doctest
import inspect
import json
import math
import re
import runpy
from pathlib import Path

import pytest
from process import printed, python

import fastconv
from fastconv import _error_bound

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GALLERY = sorted((ROOT / "docs" / "gallery").glob("plot_*.py"))
RUNNER = Path(__file__).parent / "pages.py"

# Pages of prose and tables.
WITHOUT_CODE = {"architecture.md", "performance.md", "reliability.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_a_page_runs(page, tmp_path):
    pytest.importorskip("scipy")
    if page.name == "large.md":
        pytest.importorskip("dask.array")
        pytest.importorskip("xarray")
    output = printed(RUNNER, page, cwd=tmp_path, MPLBACKEND="Agg")
    blocks = int(output.splitlines()[-1].split()[0])
    assert (blocks == 0) == (page.name in WITHOUT_CODE)


@pytest.mark.parametrize("script", GALLERY, ids=lambda script: script.stem)
def test_every_script_of_the_gallery_runs(script, tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("scipy")
    if "sklearn" in script.read_text(encoding="utf-8"):
        pytest.importorskip("sklearn")
    printed("-c", RUNPY, script, cwd=tmp_path, MPLBACKEND="Agg")


RUNPY = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"

BROKEN = {
    "raises": "```python\nimport fastconv\n\nfastconv.convolve2d(1, 2)\n```\n",
    "is false": "```python\nassert fastconv.convolve([1], [1])[0] == 2\n```\n",
    "prints something else": "```python\n>>> int(fastconv.convolve([1, 2], [1])[1])\n1\n```\n",
    "only the first runs": "```python\na = 1\n```\n\n```python\nb = a + c\n```\n",
}


@pytest.mark.parametrize("why", BROKEN)
def test_a_broken_block_is_noticed(why, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n{BROKEN[why]}")
    code, output, error = python(RUNNER, page)
    assert code
    if why == "raises":
        assert 'page.md", line 6' in error  # as on the page
    assert "blocks" not in output


def test_blocks_share_their_names(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\na = 1\n```\n\n```python\n>>> a + 1\n2\n>>> b = 3\n```\n\n"
                    "```python\nassert b == 3\n```\n\n```sh\nexit 1\n```\n")  # fmt: skip
    assert printed(RUNNER, page) == "3 blocks\n"


@pytest.mark.parametrize("name", sorted(set(fastconv.__all__) - {"__version__"}))
def test_every_public_name_is_in_the_reference_and_documented(name):
    reference = ROOT / "docs" / "reference" / "index.rst"
    assert f"\n   {name}\n" in reference.read_text(encoding="utf-8")
    assert len(inspect.getdoc(getattr(fastconv, name))) > 20


@pytest.mark.parametrize("module", [fastconv, _error_bound], ids=lambda module: module.__name__)
def test_the_examples_are_true(module):
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed


def test_the_plots_show_the_numbers_of_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    times = {
        int(kernel): (float(theirs), float(ours))
        for kernel, theirs, ours in re.findall(
            r"^\| (\d+)x\1 \| ([\d.]+) ms \| ([\d.]+) ms \|", readme, re.MULTILINE
        )
    }
    ratios = {}
    for cell in json.loads((ROOT / "docs" / "results.json").read_text())["cells"]:
        bar, case, seconds = cell["bar"], cell["case"], cell["seconds"]
        if bar == "scipy":
            both = seconds["scipy.signal"] * 1e3, seconds["fastconv"] * 1e3
            assert both == pytest.approx(times.pop(case["kernel"]), rel=5e-3)
        else:
            row = f"{case['dtype']}, {case['image']}²" if bar == "fft" else case["dtype"]
            values = ratios.setdefault(row, {})
            # The quickest peer's.
            values[case["kernel"]] = min(cell["value"], values.get(case["kernel"], math.inf))
    assert not times
    assert len(ratios) == 6
    for row, values in ratios.items():
        written = " | ".join(f"{values[kernel]:.1f}" for kernel in sorted(values))
        pattern = rf"^\| {row}[^|]* \| {re.escape(written)} \|$"
        assert re.search(pattern, readme, re.MULTILINE)


class Imports(ast.NodeVisitor):
    """Files of the package that a file imports when it runs."""

    def __init__(self, file):
        self.names = set()
        self.visit(ast.parse(file.read_text(encoding="utf-8")))

    def visit_If(self, node):
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_ImportFrom(self, node):
        package, _, file = (node.module or "").partition(".")
        if package == "fastconv":
            self.names.update([file] if file else [alias.name for alias in node.names])


def test_imports_point_downward_in_the_picture_of_the_layers():
    pytest.importorskip("matplotlib")
    layers = runpy.run_path(str(ROOT / "docs" / "figures.py"))["LAYERS"]
    depth = {file: i for i, (_, files, _) in enumerate(layers) for file in files.split()}
    sources = {
        file.stem: file
        for suffix in ("py", "pyx")
        for file in (ROOT / "src" / "fastconv").glob(f"*.{suffix}")
    }
    assert set(depth) == set(sources) - {"__init__"}
    for name, level in depth.items():
        if sources[name].suffix == ".py":
            wrong = {file for file in Imports(sources[name]).names if depth.get(file, 99) < level}
            assert not wrong, (name, wrong)
