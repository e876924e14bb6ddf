"""Command line: ``python -m fastconv`` demo, info, run and tune."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import fastconv

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m fastconv",
        description="scipy.signal's convolution and correlation, compiled.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    demo = commands.add_parser(
        "demo",
        help="run five filters through scipy and fastconv, print a table, draw a picture",
        description="Run five filters over a photograph through scipy.signal.convolve2d and "
        "fastconv.convolve2d, print the times, and draw the results into one picture.",
    )
    demo.add_argument(
        "image",
        metavar="IMAGE",
        nargs="?",
        type=Path,
        help="image file to filter (default: a photograph that ships with matplotlib)",
    )
    demo.add_argument(
        "-o",
        "--output",
        metavar="OUTPUT.png",
        type=Path,
        default=Path("fastconv-demo.png"),
        help="picture to write (default: %(default)s)",
    )
    demo.add_argument(
        "--workers",
        metavar="N",
        type=int,
        help="threads for fastconv, -1 for all (default: fastconv.get_workers())",
    )

    commands.add_parser("info", help="print how fastconv was built and what it uses here")

    run = commands.add_parser(
        "run",
        help="run a program with fastconv in the place of scipy.signal's functions",
        usage="%(prog)s [-h] [--report] [--only NAMES] (-m MODULE | SCRIPT) [ARGUMENT ...]",
        description="Run a program as python does, with fastconv in the place of scipy.signal's "
        "functions. Processes that it forks are patched, too; those that it starts afresh are not.",
        allow_abbrev=False,
    )
    run.add_argument(
        "--report",
        action="store_true",
        help="print at the end, to stderr, how many calls were accelerated and how many fell back",
    )
    run.add_argument(
        "--only",
        metavar="NAMES",
        type=lambda names: names.split(","),
        help="functions to replace, with commas between them (default: all that fastconv has)",
    )
    run.add_argument("-m", dest="module", metavar="MODULE", help="run a module or package")
    run.set_defaults(error=run.error)

    tune = commands.add_parser(
        "tune",
        help="measure this machine, so that the quickest engine is chosen",
        description="Measure what the engines cost on this machine, which takes half a minute, and "
        "keep it in the user's cache folder, where all programs that use fastconv find it.",
    )
    tune.add_argument(
        "--dry-run", action="store_true", help="print the costs instead of keeping them"
    )
    return parser


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Part the command ``run`` with its options from the script, or what follows the module."""
    end = 1
    while end < len(argv) and argv[end].startswith("-"):
        option = argv[end]
        if option == "--":
            return argv[:end], argv[end + 1 :]
        end += 2 if option in ("-m", "--only") else 1
        if option.startswith("-m"):
            break
    return argv[:end], argv[end:]


def _run(options: argparse.Namespace, program: list[str]) -> int:
    """Run a program patched; return the exit code."""
    if options.module is None:
        if not program:
            options.error("what to run? Give a SCRIPT or -m MODULE.")
        if not Path(program[0]).exists():
            options.error(f"can't open file {program[0]!r}: it does not exist")
    try:
        fastconv.patch(options.only)
    except ValueError as error:
        options.error(str(error))
    except ModuleNotFoundError as missing:
        print(f"python -m fastconv run: nothing to patch: {missing}", file=sys.stderr)
        return 1
    # Not at the top: only this command needs it.
    from fastconv._run import run

    return run(options.module, program, options.report)


def _demo(image: Path | None, output: Path, workers: int | None) -> int:
    """Run the demonstration; return the exit code."""
    try:
        # Not at the top: scipy and matplotlib are extras, `info` must work without them.
        from fastconv import _demo as demo
    except ModuleNotFoundError as missing:
        print(
            f"the demo needs {missing.name}, which is not installed. Install the extras with:\n"
            "    pip install 'fastconv[demo]'",
            file=sys.stderr,
        )
        return 1
    try:
        demo.run(image, output, workers)
    except demo.UsageError as error:
        print(f"python -m fastconv demo: {error}", file=sys.stderr)
        return 1
    return 0


def main(argv: list[str] | None = None) -> int:
    """
    Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        Arguments without the program name. Default: those of the process.

    Returns
    -------
    int
        Exit code: 0 when the command did its work.
    """
    if argv is None:
        argv = sys.argv[1:]
    program: list[str] = []
    if argv[:1] == ["run"]:
        argv, program = _split(argv)
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command == "demo":
        return _demo(arguments.image, arguments.output, arguments.workers)
    if arguments.command == "run":
        return _run(arguments, program)
    if arguments.command == "tune":
        # Not at the top: only this command needs it.
        from fastconv import _tune

        try:
            _tune.run(arguments.dry_run)
        except OSError as error:
            parser.exit(1, f"{parser.prog}: {error}\n")
    elif arguments.command == "info":
        fastconv.show_config()
    else:
        parser.print_help()
    return 0


if __name__ == "__main__":
    sys.exit(main())
