"""``python -m fastconv run``: a program, run as ``python`` itself runs it."""

from __future__ import annotations

import io
import pkgutil
import runpy
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import fastconv

if TYPE_CHECKING:
    from types import TracebackType


def run(module: str | None, arguments: list[str], report: bool) -> int:
    """Run `module` with `arguments`, or the script that is the first of them.

    Returns the exit code; prints the report at the end, if asked to.
    """
    try:
        if module is None:
            _run_script(arguments)
        else:
            sys.argv = [module, *arguments]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except Exception as error:
        error.__traceback__ = _without_ours(error.__traceback__)
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    finally:
        if report:
            print(fastconv.report(), file=sys.stderr)
    return 0


def _run_script(arguments: list[str]) -> None:
    sys.argv = arguments
    script = Path(arguments[0]).absolute()
    path = str(script)
    is_package = pkgutil.get_importer(path) is not None  # a folder or an archive
    if not sys.flags.safe_path:  # python -P puts nothing there
        sys.path[0] = path if is_package else str(script.resolve().parent)
    if is_package or script.suffix == ".pyc":
        runpy.run_path(arguments[0], run_name="__main__")
        return
    # Not runpy: it takes __main__ away when the script ends, before the script's threads and
    # atexit functions do, and calls a relative path by that or changes sys.argv[0].
    with io.open_code(path) as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    main = ModuleType("__main__")
    main.__file__ = path
    main.__loader__ = SourceFileLoader("__main__", path)
    sys.modules["__main__"] = main
    exec(code, main.__dict__)


_OUR_FILES = {run.__code__.co_filename, runpy.run_module.__code__.co_filename}


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    """Skip the frames that python itself would not have had."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename in _OUR_FILES:
        traceback = traceback.tb_next
    return traceback
