"""Command line: ``python -m fastconv demo`` and ``python -m fastconv info``."""

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
        description="scipy.signal's 2-D convolution and correlation, compiled.",
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
    return parser


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
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command == "demo":
        return _demo(arguments.image, arguments.output, arguments.workers)
    if arguments.command == "info":
        fastconv.show_config()
    else:
        parser.print_help()
    return 0


if __name__ == "__main__":
    sys.exit(main())
