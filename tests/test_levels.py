"""
Instruction-set levels: every one the machine has is forced in turn and gives the right answers.

And the builds are what their names say: each module tells its level and word, and the baseline
modules, which run everywhere, hold no instruction that does not.
"""

import importlib
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from process import printed, python

import fastconv
from fastconv import _dispatch, _runtime

WORDS = {"f32": 4, "f64": 8, "u8": 1, "u16": 2, "u32": 4, "u64": 8}
WORDS["ld"] = np.dtype("g").itemsize
TRANSFORM_WORDS = ("f32", "f64")
LEVELS = ("baseline", "v3", "v4")  # lowest first
USABLE = [n for n in _dispatch.BUILT if LEVELS.index(n) <= LEVELS.index(_runtime.level())]
FOLDER = Path(fastconv.__file__).parent
TESTS = Path(__file__).parent


def modules(level):
    """Names of the engine modules of a level; long double has no vectors and needs only one."""
    words = WORDS if level == "baseline" else WORDS.keys() - {"ld"}
    direct = [f"_direct_{word}_{level}" for word in sorted(words)]
    return direct + [f"_fft_{word}_{level}" for word in TRANSFORM_WORDS]


# --- what a forced level computes ----------------------------------------------------------------

# The tests that look into the engines, by words in their names.
CHOSEN = "every_size_from or every_seam or several_tiles or long_thin or length_1_to or imaginary"
CHOSEN += " or defining or (adversarial and wrap) or of_every_size or eight_blocks or seams_of"
CHOSEN += " or zeros_among or done_again or wherever_the_tile"
NAMES = ("exact", "nonfinite", "accuracy", "fft", "certified", "separable")


@pytest.mark.parametrize("level", [level for level in USABLE if level != _dispatch.LEVEL])
def test_every_other_level_passes_the_tests_of_exactness_and_accuracy(level):
    files = [TESTS / f"test_{name}.py" for name in NAMES]
    arguments = ("-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", CHOSEN)
    output = printed(*arguments, FASTCONV_ISA=level, cwd=TESTS.parent, timeout=1800)
    assert int(re.search(r"(\d+) passed", output)[1]) > 400


# Calls with every word; prints the level and the engines that were loaded.
USE_ALL = """
import sys
import numpy as np
import fastconv
for dtype in "bBhHiIlLqQfdgFDG":
    fastconv.convolve2d(np.ones((5, 50), dtype), np.ones((3, 3), dtype))
    fastconv.convolve2d(np.ones((5, 50), dtype), np.ones((3, 3), dtype), method="fft")
print(fastconv._dispatch.LEVEL, fastconv.show_config("dicts")["level in use"])
engines = ("fastconv._direct_", "fastconv._fft_")
print(*sorted(name for name in sys.modules if name.startswith(engines)))
"""


@pytest.mark.parametrize("level", [None, *USABLE])
def test_only_modules_of_the_level_in_use_are_loaded(level):
    first, second = printed("-c", USE_ALL, FASTCONV_ISA=level).splitlines()
    level = level or USABLE[-1]
    assert first == f"{level} {level}"
    expected = {f"fastconv.{name}" for name in modules(level)} | {"fastconv._direct_ld_baseline"}
    assert set(second.split()) == expected


def test_all_engines_are_loaded_before_another_library_brings_its_openmp():
    loaded = "print(sorted(n for n in sys.modules if '_direct_' in n or '_fft_' in n))\n"
    before, after = printed("-c", f"import sys, fastconv\n{loaded}{USE_ALL}{loaded}").split("[")[1:]
    assert before.split("]")[0] == after.split("]")[0] != ""


# --- which level is used -------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["", "v5", "V3", "avx2", "baseline,v3"])
def test_an_unknown_level_stops_the_import(level):
    code, _, error = python("-c", "import fastconv", FASTCONV_ISA=level)
    assert code == 1
    message = f"ImportError: FASTCONV_ISA={level}: "
    assert error.splitlines()[-1].startswith(message)


def test_unknown_levels_are_refused_and_known_ones_chosen(monkeypatch):
    for level in USABLE:
        monkeypatch.setenv("FASTCONV_ISA", level)
        assert _dispatch._choose_level() == level
    monkeypatch.setenv("FASTCONV_ISA", "nonsense")
    with pytest.raises(ImportError, match=r"nonsense.*baseline"):
        _dispatch._choose_level()
    monkeypatch.delenv("FASTCONV_ISA")
    assert _dispatch._choose_level() == USABLE[-1]


def test_a_level_above_the_processors_is_refused(monkeypatch):
    monkeypatch.setattr(_dispatch, "BUILT", ("baseline", "v3", "v4"))
    for has, lacks in (("baseline", ("v3", "v4")), ("v3", ("v4",))):
        monkeypatch.setattr(_runtime, "level", lambda has=has: has)
        monkeypatch.delenv("FASTCONV_ISA", raising=False)
        assert _dispatch._choose_level() == has
        for level in lacks:
            monkeypatch.setenv("FASTCONV_ISA", level)
            with pytest.raises(ImportError, match=f"{level}.*processor"):
                _dispatch._choose_level()


def test_a_build_without_the_processors_level_uses_its_highest(monkeypatch):
    monkeypatch.delenv("FASTCONV_ISA", raising=False)
    monkeypatch.setattr(_dispatch, "BUILT", ("baseline", "v3"))
    monkeypatch.setattr(_runtime, "level", lambda: "v4")
    assert _dispatch._choose_level() == "v3"


def test_the_processor_is_judged_as_numpy_judges_it():
    features = np._core._multiarray_umath.__cpu_features__
    has = ["baseline"]
    if features.get("AVX2") and features.get("FMA3"):
        has.append("v3")
    if features.get("AVX512_SKX"):
        has.append("v4")
    assert _runtime.level() == has[-1]


# --- what the modules are ------------------------------------------------------------------------


@pytest.mark.parametrize("level", USABLE)
def test_every_module_is_what_its_name_says(level):
    for name in modules(level):
        build = importlib.import_module(f"fastconv.{name}").BUILD
        _, _, word, _ = name.split("_")
        assert build["level"] == level
        assert build["word"] == word
        assert build["itemsize"] == WORDS[word]
        assert build["lanes"] >= 1


# Bytes of the widest register of a level.
REGISTERS = {"v3": 32, "v4": 64}


@pytest.mark.parametrize("level", [level for level in USABLE if level in REGISTERS])
def test_the_lanes_fill_a_register_of_the_level(level):
    for name in modules(level):
        build = importlib.import_module(f"fastconv.{name}").BUILD
        computes_in = max(build["itemsize"], 2)  # bytes are multiplied in 16 bits
        assert build["lanes"] * computes_in == REGISTERS[level]


def test_the_folder_holds_the_modules_of_every_level_and_no_others():
    found = [*FOLDER.glob("_direct_*"), *FOLDER.glob("_fft_*")]
    built = {path.name.split(".")[0] for path in found if path.suffix != ".pyx"}
    assert built == {name for level in _dispatch.BUILT for name in modules(level)}


# VEX-encoded instructions whose names do not begin with v.
OTHER_VEX = {"andn", "bextr", "blsi", "blsmsk", "blsr", "bzhi", "mulx", "pdep", "pext", "rorx"}
OTHER_VEX |= {"sarx", "shlx", "shrx"}
NOT_VEX = {"verr", "verw", "vmcall", "vmlaunch", "vmresume", "vmxoff"}
DISASSEMBLER = shutil.which("objdump") or shutil.which("llvm-objdump")


def beyond_baseline(path):
    """Instructions of a shared object that a processor without AVX does not know."""
    if DISASSEMBLER is None:
        # What AVX code does before it returns. It misses much; but a compiler that may use AVX
        # in all of a module leaves some of these.
        return re.findall(rb"\xc5\xf8\x77\xc3", path.read_bytes())
    listing = subprocess.run(
        [DISASSEMBLER, "-d", "--no-show-raw-insn", path], check=True, capture_output=True, text=True
    ).stdout
    names = set(re.findall(r"^ *[0-9a-f]+:\s+([a-z][a-z0-9]*)", listing, re.MULTILINE))
    assert len(names) > 30  # it was disassembled
    vector_registers = re.findall(r"%[yz]mm\d+", listing)
    return sorted(n for n in names - NOT_VEX if n[0] == "v" or n in OTHER_VEX) + vector_registers


on_x86_linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="x86-64 ELF"
)


def shared_object(name):
    (path,) = FOLDER.glob(f"{name}.*.so")
    return path


@on_x86_linux
@pytest.mark.parametrize("name", ["_runtime", *modules("baseline")])
def test_baseline_modules_hold_no_instruction_beyond_the_baseline(name):
    assert not beyond_baseline(shared_object(name))


@on_x86_linux
@pytest.mark.parametrize("level", [level for level in _dispatch.BUILT if level != "baseline"])
def test_modules_of_higher_levels_hold_such_instructions(level):
    """Or the test above would prove nothing."""
    if DISASSEMBLER is None:
        pytest.skip("there is no disassembler")
    for name in modules(level):
        assert beyond_baseline(shared_object(name))
