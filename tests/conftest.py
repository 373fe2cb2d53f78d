"""
How hard Hypothesis tries, and what a skipped test means.

On a developer's machine a test may be skipped where something it needs is not installed. With `CI` in the environment
a skipped test fails the run: what was not tried must not look as if it had passed.
"""

from __future__ import annotations

import os
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

IN_CI: Final = os.environ.get("CI", "").lower() not in {"", "0", "false", "no"}

# Deadlines fail on busy machines. A CI run tries the same examples each time, so that only a change can break it; every
# run on a developer's machine looks for new ones.
settings.register_profile("dev", deadline=None)
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if IN_CI else "dev")


def _skipped(config: pytest.Config) -> list[pytest.TestReport | pytest.CollectReport]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")

    return reporter.stats.get("skipped", []) if IN_CI and reporter else []


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """
    Turn a passing run into a failing one if it skipped something in CI.
    """
    if _skipped(session.config) and exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """
    Say which skipped tests made the run fail.
    """
    for report in _skipped(config):
        terminalreporter.write_line(f"FAILED because it was skipped, and CI is set: {report.nodeid}", red=True)
