"""``python -m fastconv run``: programs run as by python itself, but patched."""

import json
import os
import py_compile
import re
import signal
import subprocess
import sys
import zipfile

import pytest
from process import PATIENCE

from fastconv.__main__ import main

# What a program can see of how it was started.
PROGRAM = """
import json, sys
main = sys.modules["__main__"]
json.dump(
    {
        "argv": sys.argv,
        "path": sys.path,
        "names": {
            key: str(globals()[key])
            for key in ("__name__", "__file__", "__package__", "__cached__", "__annotations__")
            if key in globals()
        },
        "globals": sorted(globals()),
        "builtins": __builtins__.__name__,
        "loader": type(__loader__).__name__,
        "spec": __spec__ and __spec__.name,
        "is main": vars(main) is globals(),
        "modules": "fastconv.__main__" in sys.modules,
    },
    sys.stdout,
)
"""

# Says which functions are fastconv's.
WHOSE = """
import scipy.signal
for name in ("convolve2d", "correlate2d"):
    print(name, "ours" if hasattr(getattr(scipy.signal, name), "__wrapped__") else "scipy's")
"""

CALL = "import scipy.signal\nscipy.signal.convolve2d([[1, 2]], [[3]])\n"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def python(*arguments, **kwargs):
    options = {"capture_output": True, "text": True, "timeout": 120 * PATIENCE}
    return subprocess.run([sys.executable, *arguments], **options, **kwargs)


def run(*arguments):
    return python("-m", "fastconv", "run", *arguments)


def script(text, path="script.py"):
    with open(path, "w") as file:  # noqa: PTH123
        file.write(text)
    return path


# --- as python -----------------------------------------------------------------------------------


@pytest.fixture
def programs(tmp_path):
    """The same program in all the forms that python runs."""
    for folder in ("sub", "package", "folder"):
        tmp_path.joinpath(folder).mkdir()
    for path in ("script.py", "sub/script.py", "module.py", "package/__main__.py"):
        script(PROGRAM, path)
    script("", "package/__init__.py")
    script(PROGRAM, "folder/__main__.py")
    tmp_path.joinpath("link.py").symlink_to(tmp_path / "sub/script.py")
    with zipfile.ZipFile("archive.zip", "w") as archive:
        archive.writestr("__main__.py", PROGRAM)
    py_compile.compile("script.py", "compiled.pyc")


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize(
    "arguments",
    [
        ["script.py"],
        ["script.py", "a", "--report", "-m", "--", "--only", "-h"],
        ["sub/../script.py", "--", "a"],
        ["--", "script.py", "a"],
        ["sub/script.py"],
        ["link.py"],
        ["-m", "module"],
        ["-m", "module", "a", "--report", "-m", "--", "--only", "-h"],
        ["-mmodule", "--", "-x"],
        ["-m", "package", "--help"],
        ["-m", "package.__main__"],
        ["folder", "a"],
        ["archive.zip", "a"],
        ["compiled.pyc", "a"],
        ["sub/../folder"],
    ],
    ids=" ".join,
)
def test_a_program_sees_what_it_sees_under_python(arguments):
    expected, seen = python(*arguments), run(*arguments)
    assert seen.stderr == expected.stderr == ""
    assert json.loads(seen.stdout) == json.loads(expected.stdout)


@pytest.mark.usefixtures("programs")
def test_safe_path_stays_safe():
    expected = python("-P", "sub/script.py")
    seen = python("-P", "-m", "fastconv", "run", "sub/script.py")
    assert json.loads(seen.stdout) == json.loads(expected.stdout)


BUSY = """
from __future__ import annotations

import atexit, inspect, os, pickle, sys, threading, time
import __main__

class C:
    pass

def f(argument: undefined) -> None:
    print(pickle.loads(pickle.dumps(C())).__class__ is C, __main__.C is C, __name__)

def later():
    time.sleep(0.1)
    f(0)

print(inspect.getsource(f), f.__annotations__)
os.chdir(os.sep)
print(open(__file__).read())
atexit.register(f, 0)
threading.Thread(target=later).start()
"""

ENDS = {
    "at once": "",
    "busy": BUSY,
    "no future": "def f(argument: int): pass\nprint(f.__annotations__)",
    "code": "import sys; sys.exit(3)",
    "words": "import sys; sys.exit('these words')",
    "exception": "def f():\n    1 / 0\n\nf()",
    "chain": "try:\n    1 / 0\nexcept ArithmeticError:\n    open('nowhere')",
    "syntax": "def f(:",
    "hook": "import sys; sys.excepthook = lambda kind, *_: print(kind); 1 / 0",
    "atexit": "import atexit, sys; atexit.register(print, 'the end', file=sys.stderr); 1 / 0",
}


@pytest.mark.parametrize("end", ENDS)
def test_a_script_ends_as_under_python(end):
    script(ENDS[end])
    expected, seen = python("script.py"), run("script.py")
    assert seen.stdout == expected.stdout
    assert seen.stderr == expected.stderr
    assert seen.returncode == expected.returncode


@pytest.mark.parametrize("end", ["busy", "code", "exception", "syntax"])
def test_a_module_ends_as_under_python(end):
    script(ENDS[end])
    expected, seen = python("-m", "script"), run("-m", "script")
    # Without python's own frames, even.
    assert seen.stderr == re.sub(r'  File "<frozen runpy>".*\n', "", expected.stderr)
    assert seen.returncode == expected.returncode


@pytest.mark.skipif(os.name != "posix", reason="the system has no signals")
def test_an_interrupted_program_ends_as_under_python():
    # What a shell starts in the background inherits that it is ignored.
    handled = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    script(f"import os, signal; {handled}; os.kill(os.getpid(), signal.SIGINT)")
    expected, seen = python("script.py"), run("--report", "script.py")
    assert seen.returncode == expected.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in seen.stderr
    assert "accelerated" in seen.stderr


# --- patched -------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [["script.py"], ["-m", "script"]], ids=" ".join)
def test_the_program_is_patched_before_it_begins(program):
    script(WHOSE)
    assert run(*program).stdout.split() == ["convolve2d", "ours", "correlate2d", "ours"]


@pytest.mark.parametrize(
    ("only", "second"),
    [(["--only", "convolve2d"], "scipy's"), (["--only=convolve2d,correlate2d"], "ours")],
    ids=" ".join,
)
def test_only_some_functions_can_be_chosen(only, second):
    script(WHOSE)
    assert run(*only, "script.py").stdout.split() == ["convolve2d", "ours", "correlate2d", second]


@pytest.mark.parametrize(("end", "code"), [("", 0), ("1 / 0", 1), ("raise SystemExit(3)", 3)])
def test_the_report_is_the_last_of_stderr_however_the_program_ends(end, code):
    script(f"{CALL}print('words')\n{end}")
    seen = run("--report", "script.py")
    assert seen.returncode == code
    assert seen.stdout == "words\n"
    head, *rows = seen.stderr[seen.stderr.index("scipy.signal  ") :].splitlines()
    assert head.split() == ["scipy.signal", "accelerated", "fell", "back"]
    assert rows[0].split() == ["convolve2d", "1", "0"]


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("import os, sys; os.close(2); sys.exit(3)", 3),
        ("import sys; sys.stderr.close(); sys.exit(4)", 4),
        ("import sys; sys.stderr = None", 0),
    ],
)
def test_where_there_is_no_stderr_there_is_no_report(end, code):
    script(f"print('words')\n{end}")
    seen = run("--report", "script.py")
    assert (seen.returncode, seen.stdout) == (code, "words\n")


def test_without_report_nothing_is_added():
    script(CALL)
    seen = run("script.py")
    assert (seen.returncode, seen.stdout, seen.stderr) == (0, "", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.parametrize(("method", "whose"), [("fork", "ours"), ("spawn", "scipy's")])
def test_processes_of_the_program(method, whose):
    text = "import multiprocessing\ndef f(_):\n"
    text += "".join(f"    {line}\n" for line in WHOSE.splitlines())
    text += "if __name__ == '__main__':\n"
    text += f"    with multiprocessing.get_context('{method}').Pool(1) as pool:\n"
    text += "        pool.map(f, [0])\n"
    assert run(script(text)).stdout.split()[:2] == ["convolve2d", whose]


def test_scipys_own_tests_pass_as_a_patched_program():
    arguments = ["--report", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-m", "not slow"]
    arguments += ["-k", "TestConvolve2d or TestCorrelate2d"]
    arguments += ["--pyargs", "scipy.signal.tests.test_signaltools"]
    seen = run(*arguments)
    assert seen.returncode == 0, seen.stdout[-5000:] + seen.stderr[-5000:]
    passed = int(re.search(r"(\d+) passed", seen.stdout)[1])
    assert passed >= 23  # as many as scipy 1.17 has
    rows = dict(re.findall(r"^(con\S+|cor\S+) +(\d+) ", seen.stderr, re.MULTILINE))
    assert int(rows["convolve2d"]) >= 20
    assert int(rows["correlate2d"]) >= 4


# --- what cannot be run --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "SCRIPT or -m MODULE"),
        (["--report"], "SCRIPT or -m MODULE"),
        (["--"], "SCRIPT or -m MODULE"),
        (["-m"], "expected one argument"),
        (["--only"], "expected one argument"),
        (["--only", "-m", "module"], "expected one argument"),
        (["--rep", "script.py"], "--rep"),
        (["missing.py"], "can't open file 'missing.py'"),
        (["--only", "convolve2d,medfilt", "script.py"], "'medfilt': the names are convolve2d, "),
    ],
    ids=repr,
)
def test_what_cannot_be_run_is_said_in_one_line(arguments, words, capsys):
    script("raise AssertionError")
    with pytest.raises(SystemExit) as left:
        main(["run", *arguments])
    assert left.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("python -m fastconv")
    assert words in last


def test_a_folder_that_is_no_program_is_an_error_of_one_line(tmp_path):
    tmp_path.joinpath("folder").mkdir()
    seen = run("folder")
    assert seen.returncode == 1
    assert seen.stderr.endswith("can't find '__main__' module in 'folder'\n")
    assert seen.stderr.count("\n") == 1


def test_a_module_that_is_missing_is_an_error_without_our_frames():
    seen = run("-m", "module_that_is_missing")
    assert seen.returncode == 1
    assert seen.stderr == python("-m", "module_that_is_missing").stderr


def test_without_scipy_there_is_nothing_to_patch(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.signal", None)
    assert main(["run", script("raise AssertionError")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "nothing to patch" in line
    assert "scipy" in line


def test_help_is_of_run_or_of_the_program():
    script("import sys; print(sys.argv[1])")
    assert "--only NAMES" in run("--help").stdout
    assert run("script.py", "--help").stdout == "--help\n"
