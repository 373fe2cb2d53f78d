"""
The checks, each in an environment of its own: `nox` runs all of them, `nox -s lint` one.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "virtualenv"


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """
    Run the tests on every supported Python and show what they did not reach.
    """
    session.install("-e", ".[test]")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-q", *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")
    session.run("coverage", "report", "--include", "*/voipcard/core/*", "--fail-under", "100")


@nox.session(default=False)
def oldest(session: nox.Session) -> None:
    """
    Run the tests of database servers with the oldest SQLAlchemy that is supported.
    """
    session.install("-e", ".[test]", "sqlalchemy[aiosqlite]==2.0.47")
    session.run("python", "-m", "pytest", "-q", "tests/stores", "tests/portals", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """
    Check style and format, and that the async twins are those of the book as it is.
    """
    session.install("-e", ".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("python", "scripts/generate_aio.py", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """
    Check types inside the library and its tests, and that users see the type of every public name.
    """
    session.install("-e", ".[dev]")
    session.run("mypy")
    session.run("pyright", "--verifytypes", "voipcard", "--ignoreexternal")


@nox.session
def docs(session: nox.Session) -> None:
    """
    Build the documentation; a warning is an error.
    """
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-n", "-W", "--keep-going", "-b", "html", "docs", "build/docs")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """
    Measure the speed beside that of hand-written code: all lines, or those named. See benchmarks/README.md.
    """
    session.install("-e", ".[bench]")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(default=False)
def kill(session: nox.Session) -> None:
    """
    Kill uploads at random moments and look what is left: half an hour, or `nox -s kill -- --count 6 --rows 3000`.
    """
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.labs.killed_uploads", *session.posargs)


@nox.session(default=False)
def rotate(session: nox.Session) -> None:
    """
    Rotate keys in processes that are killed, while callers get in: minutes, or `nox -s rotate -- --cards 3000`.
    """
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.labs.rotation", *session.posargs)


@nox.session(default=False)
def bank(session: nox.Session) -> None:
    """
    Crash the servers of a bank and look what is left: ten minutes, or `nox -s bank -- --clients 4 --between 100`.
    """
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.labs.bank", *session.posargs)


@nox.session(default=False)
def galera(session: nox.Session) -> None:
    """
    Crash and cut off the nodes of a Galera cluster, and try the kit over all of them: half an hour.
    """
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.labs.galera", *session.posargs)


@nox.session(default=False)
def guessing(session: nox.Session) -> None:
    """
    Let processes guess PINs at once, and count what is evaluated: an hour, or `nox -s guessing -- --runs 2`.
    """
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.labs.guessing", *session.posargs)


@nox.session(default=False)
def calls(session: nox.Session) -> None:
    """
    Kill processes that charge calls and look what is left: some minutes, or `nox -s calls -- --seconds 10`.
    """
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.labs.calls", *session.posargs)


@nox.session(default=False)
def timing(session: nox.Session) -> None:
    """
    Tell by the time why callers are not let in, if possible: a quarter of an hour, alone on the machine.
    """
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.labs.timing", *session.posargs)


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """
    Look for files that break a reader: `nox -s fuzz -- csv -max_total_time=300`, or `xlsx`.
    """
    session.install("-e", ".", "atheris")
    session.run("python", "-m", "tests.labs.fuzz_sheets", *session.posargs)
