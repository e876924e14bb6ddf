"""
Mutation testing: does a test fail if the code is wrong? ``python tools/mutate.py _tiles.pxd``.

One operator, number, condition or statement of a file in src/fastconv is changed at a time, what it
is compiled into is built (of two words, without optimisation), and the file's tests run until one
fails. A mutant that passes them all survives: a test is missing, or the change makes no difference,
which tools/equivalent.txt says with the reason. The tree itself is left alone. The same count,
seed and source draw the same mutants.
"""

import argparse
import contextlib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parent.parent
SOURCES = Path("src/fastconv")
EQUIVALENT = ROOT / "tools/equivalent.txt"

SUM = ("layouts", "stack", "nonfinite", "semantics", "separable", "exact", "engines", "threads")
TRANSFORM = ("fft", "stack", "certified", "layouts", "nonfinite", "engines", "plan", "threads")
TRANSFORM += ("interrupts", "faults")
ANY = ("family", "nd", "scipy_is_wrong", "plan", "explain", "error_bound")

# file: modules to build, tests to run, the quick ones first
FILES = {
    "_direct.pyx": ("_direct_f64_baseline _direct_u8_baseline", (*SUM, "accuracy", "interrupts")),
    "_tiles.pxd": (
        "_direct_f64_baseline _direct_u8_baseline _fft_f64_baseline",
        (*SUM, "fft"),
    ),
    "_fft.pyx": ("_fft_f64_baseline _fft_f32_baseline", TRANSFORM),
    "_lines.pxd": ("_fft_f64_baseline _fft_f32_baseline", TRANSFORM),
    "_butterflies.pxd": ("_fft_f64_baseline _fft_f32_baseline", TRANSFORM),
    "_pixels.h": ("_fft_f64_baseline _fft_f32_baseline", TRANSFORM),
    "_transpose.h": ("_fft_f64_baseline _fft_f32_baseline", TRANSFORM),
    "_problem.py": (
        "",
        ("semantics", "layouts", "scipy_is_wrong", "nonfinite", "exact", "stack", "blocks"),
    ),
    "_rank_one.py": ("", ("separable", "layouts")),
    "_parts.py": ("", ("layouts", "nd", "interrupts")),
    "_fftn.py": ("", ("nd", "family", "interrupts")),
    "_openmp.py": ("", ("processors",)),
    "_error.py": ("", ("error", "fft", "certified", "error_bound")),
    "_fourier.py": ("", TRANSFORM),
    "_plan.py": ("", ("engines", "plan", "explain", "fft")),
    "_solve.py": (
        "",
        ("plan", "semantics", "nonfinite", "certified", "separable", "explain", "engines"),
    ),
    "_images.py": ("", ("stack", "family", "scipy_is_wrong", "explain")),
    "_nd.py": ("", ANY),
    "_slices.py": ("", ("nd", "stack", "explain", "plan")),
    "_workers.py": ("", ("processors", "threads")),
    "_error_bound.py": ("", ("error_bound",)),
    "_blocks.py": ("", ("blocks", "dask")),
    "_dask.py": ("", ("dask",)),
    "_cut.py": ("", ("blocks", "dask")),
    "_explain.py": ("", ("explain",)),
    "plans.py": ("", ("plan", "engines", "faults")),
    "_patch.py": ("", ("patch",)),
    "_run.py": ("", ("run",)),
}

# Shape of vectors that a line of _transpose.h is for: level, modules. The rest is tried with two.
SHAPES = {
    "202": ("baseline", "_fft_f64_baseline"),
    "204": ("v3", "_fft_f64_v3"),
    "208": ("v4", "_fft_f64_v4"),
    "404": ("baseline", "_fft_f32_baseline"),
    "408": ("v3", "_fft_f32_v3"),
    "416": ("v4", "_fft_f32_v4"),
    "": ("v4", "_fft_f64_v4 _fft_f32_v4"),
}

# What is changed, and into what. Operators stand between blanks, so signs are left alone; but for
# that of a sum's or a product's first term.
CHANGES = [
    (r"\b(?:if|elif|while) (.+):$", r"not (\1)"),
    (r"\brange\((.*)\):$", r"\1 + 1"),
    (r"\brange\((.*)\):$", r"\1 - 1"),
    (r"(?<=[ (\[])(-)(?=[\w(])", r""),
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
    (r"\b2\b(?!\.)", "3"),
    (r"(?<!strict=)\bTrue\b", "False"),
    (r"\bFalse\b", "True"),
]

NO_CODE = re.compile(
    r"\s*(#|//|/\*|\*|\"|'|@|from |import |cdef (?!.* = )|cpdef |ctypedef |class |def |raise "
    r"|assert |else|try|finally|except|with |return$|\)|\]|\}|enum|typedef|struct)"
    r"|^[A-Z_]+ [:=]"
)
# Only how fast, or what is told: threads, looks for signals, predictions, messages.
NO_RESULT = re.compile(
    r"prefetch|stopped\(|THREAD|threads|workers|seconds|SMALL|PATIENCE|worked|aligned"
    r"|whole_lines|CACHE|MAX_|LARGEST|n_bytes|workload|Error\(|_row\.append|noexcept|lru_cache"
    r"|_time|perf_counter|acc\[0\]\[0\]"
)
STATEMENT = re.compile(r"\s*([\w.\[\], *]+ (=|\+=|-=|\*=|//=|%=) .*[\w)\]]|[\w.]+\(.*\));?$")


SHUFFLE = re.compile(r"#define (?:LOW|HIGH|EVEN|ODD)2?_(\d+) ")


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
        if re.match(r"cdef (struct|enum|extern)|ctypedef|if TYPE_CHECKING", line):
            in_struct = True
        elif line and not line[0].isspace():
            in_struct = False
        code = masked(line, c)
        if c and SHUFFLE.match(code):
            for match in re.finditer(r"(?<= )\d+", code):
                new = str(int(match[0]) ^ 1)
                found.append((number, line[: match.start()] + new + line[match.end() :]))
        if in_struct or not code.strip() or NO_CODE.match(code) or NO_RESULT.search(code):
            continue
        for pattern, replacement in CHANGES:
            for match in re.finditer(pattern, code):
                group = match.re.groups  # what is replaced, if not all
                start, end = match.span(group)
                new = replacement.replace(r"\1", line[start:end])
                found.append((number, line[:start] + new + line[end:]))
        if STATEMENT.match(code):
            indent = line[: len(line) - len(line.lstrip())]
            found.append((number, indent + (";" if c else "pass")))
    return found


# Fails without a mutant, for what a process may take here.
STACKS = "test_threads_whose_stacks_there_is_no_room_for_are_done_without"

# What a mutant may take: bytes of addresses, and seconds of the processor's time for any process
# and for a single test; by the clock, a busy machine would look like a mutant that hangs.
MEMORY, PROCESS, TEST = 32 << 30, 1200, 120
LIMITS = f"""
import signal

def pytest_runtest_setup(item):
    signal.setitimer(signal.ITIMER_PROF, {TEST})  # then SIGPROF ends the process
"""
ASLEEP = 7200  # seconds by the clock, for what waits and takes no time of the processor's


def run(command, tree, **environment):
    """Tell whether a command ends well, and what it says."""

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (PROCESS, PROCESS))

    process = subprocess.Popen(
        command,
        cwd=tree,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=limit,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=ASLEEP)
    except subprocess.TimeoutExpired:
        output = ""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # with its children
    process.wait()
    return process.returncode == 0, output


def build(tree, modules):
    """Build modules from scratch, whatever the dates of the files, and as quickly as gcc can."""
    return run(
        [sys.executable, "setup.py", "build_ext", "--inplace", "--force"],
        tree,
        FASTCONV_MODULES=modules,
        CYTHON_FORCE_REGEN="1",
        CFLAGS="-O0 -w -DCYTHON_INLINE=__inline__",
    )


def first_failure(tree, tests, level):
    """Return the first of some tests that fails; "" if none does."""
    done, output = run(
        [
            *(sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "limits"),
            *("--deselect", f"tests/test_processors.py::{STACKS}"),
            *tests,
        ],
        tree,
        FASTCONV_ISA=level,
        PYTHONPATH=f"{tree}/src:{tree}/tests",
        PYTHONDONTWRITEBYTECODE="1",
    )
    failed = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", output, re.M)
    return "" if done else failed[1] if failed else "crash"


def prepare(tree, levels):
    """Copy what is needed, and build all modules of some levels; those are kept to be put back."""
    for name in ("src", "tests", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).is_dir():
            skip = shutil.ignore_patterns("__pycache__", "*.so")
            shutil.copytree(ROOT / name, tree / name, ignore=skip)
        else:
            shutil.copy(ROOT / name, tree / name)
    done, output = build(
        tree, " ".join(["_runtime", "_direct_ld_baseline", *(f"*_{level}" for level in levels)])
    )
    if not done:
        raise SystemExit(output)
    shutil.copytree(tree / SOURCES, tree / "unchanged")
    (tree / "tests/limits.py").write_text(LIMITS)


class Mutant:
    """A file with one line changed."""

    def __init__(self, name, number, new):
        self.name, self.number, self.new = name, number, new
        self.old = (ROOT / SOURCES / name).read_text().splitlines()[number]
        self.level, (self.modules, self.tests) = "baseline", FILES[name]
        if name == "_transpose.h":
            shape = SHUFFLE.match(self.old)
            self.level, self.modules = SHAPES[shape[1] if shape else ""]

    def __str__(self):
        return f"{self.name}: {self.old.strip()} -> {self.new.strip()}"

    def test(self, tree):
        """Return the test that fails; "" if none does; None if this is no program."""
        path = tree / SOURCES / self.name
        lines = path.read_text().splitlines()
        lines[self.number] = self.new
        path.write_text("\n".join(lines) + "\n")
        try:
            if self.modules and not build(tree, self.modules)[0]:
                return None
            # File by file: all of them take long to collect, and most mutants die early.
            failures = (first_failure(tree, [f"tests/test_{t}.py"], self.level) for t in self.tests)
            return next(filter(None, failures), "")
        finally:
            shutil.copytree(tree / "unchanged", tree / SOURCES, dirs_exist_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--count", type=int, default=20, help="mutants of each file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("files", nargs="*", default=list(FILES), help="names in src/fastconv")
    arguments = parser.parse_args()
    known = EQUIVALENT.read_text() if EQUIVALENT.exists() else ""
    drawn = []
    for name in map(os.path.basename, arguments.files):
        every = [Mutant(name, *change) for change in mutants(ROOT / SOURCES / name)]
        random.Random(f"{arguments.seed} {name}").shuffle(every)
        every = [mutant for mutant in every if str(mutant) not in known]
        drawn += every[: arguments.count]
    levels = {"baseline"} | {mutant.level for mutant in drawn}
    trees = SimpleQueue()
    survivors = []
    killers = defaultdict(set)
    killed = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(arguments.jobs) as pool:
        first, *others = (Path(folder) / str(job) for job in range(arguments.jobs))
        prepare(first, levels)
        for tree in others:
            shutil.copytree(first, tree)
        for tree in (first, *others):
            trees.put(tree)

        def test(mutant):
            tree = trees.get()
            try:
                return mutant.test(tree)
            finally:
                trees.put(tree)

        for mutant, killer in zip(drawn, pool.map(test, drawn), strict=True):
            place = f"{mutant.number + 1} {mutant}"
            if killer is None:
                print(f"no program {place}", flush=True)
            elif killer:
                killed += 1
                killers[mutant.level].add(killer)
                print(f"killed     {place}  [{killer}]", flush=True)
            else:
                survivors.append(place)
                print(f"SURVIVED   {place}", flush=True)
        # A test that fails without a change proves nothing.
        for level, tests in killers.items():
            tests.discard("crash")
            if tests and (failure := first_failure(tree, tests, level)):
                raise SystemExit(f"fails without a change: {failure}")
    print(f"{killed} of {killed + len(survivors)} mutants killed", *survivors, sep="\n")
    return bool(survivors)


if __name__ == "__main__":
    sys.exit(main())
