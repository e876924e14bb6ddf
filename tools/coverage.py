"""
Which lines and branches of the package one run of the tests reaches: Python, Cython and C.

    python tools/coverage.py [FOLDER [arguments of pytest]]

Builds the kernels of level `baseline` in a copy of the tree, without optimisation and with gcov's
counters, runs the tests there under coverage.py, and prints what neither counts. The copy stays if
FOLDER is named. The other levels are compiled from the same source. Needs gcc.

What is ours of the C that Cython makes: Cython writes above the C of each statement where that
statement stands, so that a line of C belongs to a line of a .pyx or .pxd file. A line is reached
if any C of it ran. A branch is a conditional jump. Those of lines of C that name Python's runtime
or Cython's, `unlikely`, or OpenMP's variables are references, buffers and exceptions that Cython
counts, checks and passes on, and so are those of a `def` (its arguments) and of a prange (whether
there is anything to do): they are not ours. All others are, in every function, and all in the
headers. gcov does not count the body of a prange, only what it calls. A branch is reached if the
module of any word took it; where the compiler folds a branch away, for what it asks is a constant
of the word, the module of that word has none.

UNREACHED lists what stays out of reach, with the reasons; a line that is listed there and is
reached is an error, too.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = {
    "FASTCONV_MODULES": "_runtime *_baseline",
    "CC": "gcc --coverage",
    "CFLAGS": "-O0 -w -fprofile-update=prefer-atomic -DCYTHON_INLINE=__inline__",
}
NO_DECISION = re.compile(r"\s*(def |cpdef |#|for \w+ in prange)")
NOT_OURS = re.compile(r"Py|PYX|unlikely|__pyx_parallel|__pyx_L\d+_error")

VECTORS = "level baseline has three vectors of accumulators"
COUNTED = "the body of a prange, which gcov does not count"
NO_FORK = "there is a fork here"
PROCESSOR = "another processor"
SCALAR = "lengths are multiples of LANES, so no 3 or 5 comes last where there are vectors"
PYTHON = "exceptions of Python's arithmetic"
NO_MEMORY = "tests/no_memory.py lets it happen, in a process whose counters are lost"
LARGE = "tests of tiles that take gigabytes run with FASTCONV_SLOW"
TABLE = "a jump table, in which 3 and 5 have the same entry where there are vectors"

# file: {code of a line, as it stands there: reason}
UNREACHED = {
    "_cpu.h": dict.fromkeys(
        (
            'if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) '
            'return "baseline";',
            'if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&',
            '__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))',
            'return "v3";',
        ),
        PROCESSOR,
    ),
    "_direct.pyx": {
        "if r == 4:": "a switch, whose default is no range of rows",
        "elif nv == 3:": VECTORS,
        "elif VECS > 3:": VECTORS,
        "if nv == 4:": VECTORS,
        "block(passes, n_passes, y, x, dx, dst, stride, more, nr, min(4, VECS))": VECTORS,
        "elif nv == 5:": VECTORS,
        "block(passes, n_passes, y, x, dx, dst, stride, more, nr, min(5, VECS))": VECTORS,
        "block(passes, n_passes, y, x, dx, dst, stride, more, nr, VECS)": VECTORS,
        "take_tiles(&job, n_tiles, memory + threadid() * n_scratch, &taken, &done)": COUNTED,
        "start = time.perf_counter()": PYTHON,
        "_multiply_adds(n)": PYTHON,
        "best = max(best, 2 * n * ROWS * VECS * LANES / (time.perf_counter() - start))": PYTHON,
    },
    "_dispatch.py": {'if hasattr(os, "register_at_fork"):': NO_FORK},
    "_fallback.py": {'if hasattr(os, "register_at_fork"):': NO_FORK},
    "_patch.py": {'if hasattr(os, "register_at_fork"):': NO_FORK},
    "_fftn.py": {'if hasattr(os, "register_at_fork"):': NO_FORK},
    "_run.py": {"if sys.version_info < (3, 14):": "another Python"},
    "_fft.pyx": {
        'raise MemoryError(f"fastconv could not get {size:.3g} bytes of memory")': NO_MEMORY,
        "if size < MAX_BYTES:": "no transform is so long, until there is one of three dimensions",
        "solve_tiles_alone(job, works + threadid(), &team, threadid(), &taken, &done)": COUNTED,
        "parts = min(n, max(MAX_RADIX, points // PART))": LARGE,
        'team.n_threads, num_threads=team.n_threads, schedule="static", chunksize=1,': "a prange: "
        "whether there is anything to do",
    },
    "_lines.pxd": dict.fromkeys(
        (
            "elif radix == 3:",
            "plain_pass(x, stride, blocks, inverse, 3)",
            "plain_pass(x, stride, blocks, inverse, 5)",
            "product_pass(x, h, blocks, 3)",
            "product_pass(x, h, blocks, 5)",
        ),
        SCALAR,
    )
    | {"if radix == 8:": TABLE},
    "_memory.h": {
        "if (posix_memalign(&p, page, size)) return NULL;": NO_MEMORY,
        "if (block == NULL) return NULL;": NO_MEMORY,
    },
    "_runtime.pyx": {
        'sys.modules["threading"].main_thread().ident if "threading" in sys.modules': "coverage.py "
        "imports threading first",
    },
    "_threads.h": {
        "if (memory != NULL && n > 1) {": NO_MEMORY,
        "if (c == NULL) return 0;": NO_MEMORY,
        "return sched_getaffinity(0, sizeof(set), &set) ? 0 : CPU_COUNT(&set);": "it does not fail",
    },
    "_tune.py": {
        "if side % _plan.unit(lanes):": "vectors of level baseline fit all sizes",
        "costs.append(0.0)": "vectors of level baseline fit all sizes",
        "continue": "vectors of level baseline fit all sizes",
    },
}


def prepare(tree):
    """Copy the tree and build its modules, instrumented."""
    shutil.copytree(
        ROOT, tree, ignore=shutil.ignore_patterns(".*", "build", "*.so"), dirs_exist_ok=True
    )
    shutil.copytree(ROOT / ".github", tree / ".github", dirs_exist_ok=True)
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    subprocess.run(command, cwd=tree, env=os.environ | BUILD, check=True)


def run_tests(tree, arguments):
    """Run the tests; returns pytest's exit status."""
    environment = {
        "PYTHONPATH": os.pathsep.join(str(tree / name) for name in ("src", "tests")),
        "FASTCONV_ISA": "baseline",
        # A process that is ended for its time leaves no counts.
        "FASTCONV_PATIENCE": "10",
    }
    command = [sys.executable, "-m", "coverage", "run", "-m", "pytest", "-q", *arguments]
    status = subprocess.run(command, cwd=tree, env=os.environ | environment).returncode
    subprocess.run([sys.executable, "-m", "coverage", "combine", "-q"], cwd=tree)
    return status


def origins(c_file):
    """For each line of C that Cython made, the place (file, line) it comes from, or None."""
    place, inside = None, False
    result = [None]
    for line in c_file.read_text().splitlines():
        if found := re.match(r'\s*/\* "(?:src/)?fastconv/([\w.]+)":(\d+)$', line):
            place = found[1], int(found[2])
            inside = True
        elif re.match(r'\s*/\* ("|function exit code|"#### Code section)', line) or line == "}":
            place = None
        result.append(None if inside or line.strip() == "}" else place)
        if line.rstrip().endswith("*/"):
            inside = False
    return result


class Counts:
    """How often lines and branches were reached, over all modules."""

    def __init__(self):
        self.lines = defaultdict(Counter)  # file: {line: count}
        self.branches = defaultdict(Counter)  # file: {(line, which): count}

    def add_module(self, tree, data):
        """Add what gcov knows of one module."""
        command = ["gcov", "--branch-probabilities", "--branch-counts", "--json-format"]
        text = subprocess.run([*command, "--stdout", data], cwd=tree, capture_output=True).stdout
        for file in json.loads(text)["files"]:
            path = tree / file["file"]
            if path.suffix == ".c":
                self.add_cython(tree, path, file["lines"])
            elif path.parent.name == "fastconv" and path.suffix == ".h":
                for line in file["lines"]:
                    number = line["line_number"]
                    self.lines[path.name][number] += line["count"]
                    name = line.get("function_name")
                    for i, branch in enumerate(line["branches"]):
                        self.branches[path.name][number, (name, i)] += branch["count"]

    def add_cython(self, tree, path, lines):
        """Add the lines of a C file."""
        places = origins(path)
        text = ["", *path.read_text().splitlines()]
        sources = {}
        first = {}  # place: its first line of C
        for number, place in enumerate(places):
            if place:
                first.setdefault(place, number)
        for line in lines:
            number = line["line_number"]
            place = places[number]
            if place is None:
                continue
            name, pyx_line = place
            self.lines[name][pyx_line] += line["count"]
            if name not in sources:
                sources[name] = ["", *(tree / "src/fastconv" / name).read_text().splitlines()]
            if NOT_OURS.search(text[number]) or NO_DECISION.match(sources[name][pyx_line]):
                continue
            for i, branch in enumerate(line["branches"]):
                which = number - first[place], len(line["branches"]), i
                self.branches[name][pyx_line, which] += branch["count"]

    def add_python(self, tree):
        """Add what coverage.py knows."""
        command = [sys.executable, "-m", "coverage", "json", "-q", "-o", "-"]
        text = subprocess.run(command, cwd=tree, capture_output=True, check=True).stdout
        for path, file in json.loads(text)["files"].items():
            name = Path(path).name
            for kind, count in ("executed", 1), ("missing", 0):
                for line in file[f"{kind}_lines"]:
                    self.lines[name][line] += count
                for line, to in file[f"{kind}_branches"]:
                    self.branches[name][line, to] += count


def report(counts, source):
    """Print what was not reached; whether that is nothing, but for what is UNREACHED."""
    good = True
    total = Counter()
    for name in sorted(counts.lines):
        text = ["", *(source / name).read_text().splitlines()]
        lines, branches = counts.lines[name], counts.branches[name]
        missed = Counter(line for (line, _), count in branches.items() if not count)
        missed.update(line for line, count in lines.items() if not count)
        reasons = dict(UNREACHED.get(name, {}))
        for line in sorted(missed):
            code = text[line].strip()
            if code in UNREACHED.get(name, {}):
                reasons.pop(code, None)
                for key in [key for key in branches if key[0] == line]:
                    del branches[key]
                del lines[line]
                continue
            good = False
            what = "a branch" if lines[line] else "the line"
            print(f"{name}:{line}: {what} is not reached: {code}")
        for code in reasons:
            good = False
            print(f"{name}: is reached, or is gone: {code}")
        reached = [sum(map(bool, x.values())) for x in (lines, branches)]
        total.update(lines=len(lines), branches=len(branches))
        total.update(lines_reached=reached[0], branches_reached=reached[1])
        print(f"{name:<20} {reached[0]:>5} of {len(lines):>5} lines", end="")
        print(f" {reached[1]:>5} of {len(branches):>5} branches")
    print(f"{total['lines_reached']} of {total['lines']} lines", end=", ")
    print(f"{total['branches_reached']} of {total['branches']} branches")
    return good


def main():
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(sys.argv[1] if len(sys.argv) > 1 else scratch).resolve()
        prepare(tree)
        # Some tests are about time, levels or symbols, and fail here; but they have run.
        ran = run_tests(tree, sys.argv[2:]) < 2
        counts = Counts()
        for data in sorted(tree.glob("build/temp*/**/*.gcda")):
            counts.add_module(tree, str(data.relative_to(tree)))
        counts.add_python(tree)
        return not (report(counts, tree / "src/fastconv") and ran)


if __name__ == "__main__":
    sys.exit(main())
