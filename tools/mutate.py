"""
Mutation testing: does a test fail if the code is wrong? ``python tools/mutate.py _tiles.pxd``.

One operator, number or statement of a file in src/fastconv is changed at a time, what it is
compiled into is built (baseline instructions, -O1, one word), and the file's tests run until one
fails. A mutant that passes them all survives: a test is missing, or the change makes no difference,
which tools/equivalent.txt says with the reason. The tree itself is left alone.
"""

import argparse
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = Path("src/fastconv")
EQUIVALENT = ROOT / "tools/equivalent.txt"

SUM = ("layouts", "stack", "nonfinite", "semantics", "separable", "exact", "engines", "threads")
TRANSFORM = ("stack", "certified", "fft", "layouts", "nonfinite", "engines", "plan", "threads")
ANY = ("family", "nd", "scipy_is_wrong", "plan", "explain", "error_bound")

# file: modules to build, tests to run, the quick ones first
FILES = {
    "_direct.pyx": ("_direct_f64_baseline _direct_u16_baseline", (*SUM, "accuracy")),
    "_tiles.pxd": ("_direct_f64_baseline _fft_f64_baseline", (*SUM, "fft")),
    "_fft.pyx": ("_fft_f64_baseline _fft_f32_baseline", TRANSFORM),
    "_lines.pxd": ("_fft_f64_baseline _fft_f32_baseline", TRANSFORM),
    "_butterflies.pxd": ("_fft_f64_baseline _fft_f32_baseline", TRANSFORM),
    "_pixels.h": ("_fft_f64_baseline _fft_f32_baseline", TRANSFORM),
    "_transpose.h": ("_fft_f64_baseline _fft_f32_baseline", TRANSFORM),
    "_problem.py": ("", ("semantics", "layouts", "scipy_is_wrong", "nonfinite", "exact")),
    "_rank_one.py": ("", ("separable",)),
    "_error.py": ("", ("fft", "certified", "error_bound")),
    "_fourier.py": ("", TRANSFORM),
    "_plan.py": ("", ("engines", "plan", "explain", "fft")),
    "_solve.py": ("", ("semantics", "nonfinite", "certified", "separable", "explain", "engines")),
    "_images.py": ("", ("stack", "family", "scipy_is_wrong")),
    "_nd.py": ("", ANY),
    "_slices.py": ("", ("nd", "stack", "explain", "plan")),
    "_workers.py": ("", ("processors", "threads")),
    "_error_bound.py": ("", ("error_bound",)),
}

# What is changed, and into what. Operators stand between blanks, so signs are left alone.
CHANGES = [
    (r" < ", " <= "),
    (r" <= ", " < "),
    (r" > ", " >= "),
    (r" >= ", " > "),
    (r" == ", " != "),
    (r" != ", " == "),
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r" \* ", " + "),
    (r" // ", " * "),
    (r" % ", " * "),
    (r" \+= ", " -= "),
    (r" -= ", " += "),
    (r"\bmin\(", "max("),
    (r"\bmax\(", "min("),
    (r" and ", " or "),
    (r" or ", " and "),
    (r"\bnot ", ""),
    (r" && ", " || "),
    (r" \|\| ", " && "),
    (r"\b0\b(?!\.)", "1"),
    (r"\b1\b(?!\.)", "2"),
    (r"\b1\b(?!\.)", "0"),
    (r"\b2\b(?!\.)", "1"),
    (r"\bTrue\b", "False"),
    (r"\bFalse\b", "True"),
]

NO_CODE = re.compile(
    r"\s*(#|//|/\*|\*|\"|'|@|from |import |cdef |cpdef |ctypedef |class |def |raise |assert |else"
    r"|try|finally|except|with |return$|\)|\]|\}|enum|typedef|struct|if TYPE_CHECKING)"
    r"|^[A-Z_]+ [:=]"
)
# Only how fast, or what is told: threads, looks for signals, predictions, messages.
NO_RESULT = re.compile(
    r"prefetch|stopped\(|THREAD|threads|workers|seconds|SMALL|PATIENCE|LONG_KERNEL|worked|aligned"
    r"|whole_lines|CACHE|MAX_|LARGEST|n_bytes|workload|Error\(|_row\.append|noexcept|lru_cache"
    r"|_time|perf_counter|acc\[0\]\[0\]"
)
STATEMENT = re.compile(r"\s*([\w.\[\], *]+ (=|\+=|-=|\*=|//=|%=) .*[\w)\]]|[\w.]+\(.*\));?$")


def masked(line, c):
    """Return the line without comment, strings blanked."""
    line = re.sub(r'"[^"]*"|\'[^\']*\'', lambda m: "_" * len(m[0]), line)
    return re.split(r"//|/\*" if c else r"#", line)[0].rstrip()


def mutants(path):
    """Return all changes of a file: (line number, new line)."""
    c = path.suffix == ".h"
    found = []
    in_text = in_struct = False
    for number, line in enumerate(path.read_text().splitlines()):
        quotes = line.count('"""')
        if in_text or quotes:
            in_text = in_text ^ (quotes % 2 == 1)
            continue
        if re.match(r"cdef (struct|enum|extern)|ctypedef", line):
            in_struct = True
        elif line and not line[0].isspace():
            in_struct = False
        code = masked(line, c)
        if in_struct or not code.strip() or NO_CODE.match(code) or NO_RESULT.search(code):
            continue
        if c and code.lstrip().startswith("#"):
            continue
        for pattern, replacement in CHANGES:
            for match in re.finditer(pattern, code):
                found.append((number, line[: match.start()] + replacement + line[match.end() :]))
        if STATEMENT.match(code):
            indent = line[: len(line) - len(line.lstrip())]
            found.append((number, indent + (";" if c else "pass")))
    return found


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))


def run(command, tree, seconds, **environment):
    """Tell whether a command ends well, in time; and what it says."""
    environment = {
        "FASTCONV_ISA": "baseline",
        "PYTHONPATH": f"{tree}/src:{tree}/tests",
        "PYTHONDONTWRITEBYTECODE": "1",
    } | environment
    process = subprocess.Popen(
        command,
        cwd=tree,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=limited,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        return False, "timeout"
    return process.returncode == 0, output


def build(tree, modules):
    command = [sys.executable, "setup.py", "build_ext", "--inplace"]
    return run(command, tree, 600, FASTCONV_MODULES=modules, CFLAGS="-O1")


def passes(tree, tests):
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    return run(command + [f"tests/test_{name}.py" for name in tests], tree, 900)


def prepare(tree):
    """Copy what is needed, and build baseline modules."""
    for name in ("src", "tests", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tree / name)
    done, output = build(tree, "_runtime *_baseline")
    if not done:
        raise SystemExit(output)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--count", type=int, default=20, help="mutants of each file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("files", nargs="*", default=list(FILES), help="names in src/fastconv")
    arguments = parser.parse_args()
    known = EQUIVALENT.read_text() if EQUIVALENT.exists() else ""
    killed = survived = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        prepare(tree)
        for name in arguments.files:
            modules, tests = FILES[name]
            path = tree / SOURCES / name
            text = path.read_text()
            lines = text.splitlines()
            done, output = passes(tree, tests)
            if not done:
                raise SystemExit(f"{name}: the tests fail without any change\n{output[-3000:]}")
            choice = mutants(path)
            random.Random(f"{arguments.seed} {name}").shuffle(choice)
            wanted = arguments.count
            for number, new in choice:
                change = f"{name}: {lines[number].strip()} -> {new.strip()}"
                if wanted == 0:
                    break
                if change in known:
                    continue
                path.write_text("\n".join([*lines[:number], new, *lines[number + 1 :]]) + "\n")
                start = time.monotonic()
                if modules and not build(tree, modules)[0]:
                    continue  # no program
                wanted -= 1
                survives, output = passes(tree, tests)
                killed, survived = killed + (not survives), survived + survives
                outcome = "SURVIVED" if survives else "killed"
                took = time.monotonic() - start
                print(f"{outcome:9}{took:5.0f} s  {number + 1} {change}", flush=True)
            path.write_text(text)
            if modules:
                build(tree, modules)
    share = 100 * killed / max(1, killed + survived)
    print(f"{killed} of {killed + survived} mutants killed: {share:.1f} %")


if __name__ == "__main__":
    main()
