"""``python -m fastconv run``: a program, run as ``python`` itself runs it."""

from __future__ import annotations

import builtins
import io
import pkgutil
import runpy
import sys
from contextlib import suppress
from importlib.machinery import SourceFileLoader, SourcelessFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

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
            _new_main({})
            runpy._run_module_as_main(module)  # type: ignore[attr-defined]  # as python -m
    except Exception as error:
        error.__traceback__ = _without_ours(error.__traceback__)
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    finally:
        if report and sys.stderr is not None:
            with suppress(OSError, ValueError):  # the program may have closed it
                print(fastconv.report(), file=sys.stderr)
    return 0


def _new_main(names: dict[str, Any]) -> dict[str, Any]:
    """Make a new __main__ with `names`, and what python puts there beside a module's own."""
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    if sys.version_info < (3, 14):
        vars(main)["__annotations__"] = {}
    vars(main).update({"__builtins__": builtins} | names)
    return vars(main)


def _run_script(arguments: list[str]) -> None:
    sys.argv = arguments
    script = Path(arguments[0]).absolute()
    path = str(script)
    importer = pkgutil.get_importer(path)  # of a folder or an archive
    if not sys.flags.safe_path:  # python -P puts nothing there
        sys.path[0] = path if importer else str(script.resolve().parent)
    # Not runpy: it takes __main__ away when the script ends, before the script's threads and
    # atexit functions do, and calls a relative path by that or changes sys.argv[0].
    loader: Any = SourceFileLoader("__main__", path)
    more: dict[str, Any] = {"__file__": path, "__cached__": None}
    if importer:
        spec = importer.find_spec("__main__")
        if spec is None or spec.loader is None:
            sys.exit(f"{sys.executable}: can't find '__main__' module in {arguments[0]!r}")
        loader = spec.loader
        more |= {"__spec__": spec, "__package__": "", "__cached__": spec.cached}
        more["__file__"] = spec.origin
        code = loader.get_code("__main__")
    elif script.suffix == ".pyc":
        loader = SourcelessFileLoader("__main__", path)
        code = loader.get_code("__main__")
    else:
        with io.open_code(path) as file:
            code = compile(file.read(), path, "exec", dont_inherit=True)
    exec(code, _new_main(more | {"__loader__": loader}))


_OUR_FILES = {run.__code__.co_filename, runpy.run_module.__code__.co_filename}


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    """Skip the frames that python itself would not have had."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename in _OUR_FILES:
        traceback = traceback.tb_next
    return traceback
