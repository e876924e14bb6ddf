#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox>=2026.1.1"]
# ///
"""What CI does, in environments of its own: ``nox``, or a part, ``nox -s tests -- -k wrap``."""

import nox

nox.needs_version = ">=2026.1.1"
nox.options.default_venv_backend = "uv|virtualenv"


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Run everything that reads the files and says what is wrong."""
    session.install(".[test]", "--group", "dev")
    session.run(".ci/lint", external=True)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the documentation; any warning is an error."""
    session.install(".[docs]")
    session.run("sphinx-build", "-W", "-b", "html", "docs", "docs/_build/html", *session.posargs)


@nox.session(default=False)
def wheel(session: nox.Session) -> None:
    """Build, repair and check the wheel of this machine (Linux); the results go to dist."""
    session.run("tools/check_wheel.sh", "dist", *session.posargs, external=True)


if __name__ == "__main__":
    nox.main()
