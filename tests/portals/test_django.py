"""
A portal with Django sells credit within its own transactions: `transaction.atomic()` is respected both ways.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import servers
from tests.databases import DatabaseKind, on
from tests.portals import django_project


@pytest.mark.parametrize("kind", [on("postgresql"), on("sqlite")])
def test_a_portal_keeps_the_laws(kind: DatabaseKind) -> None:
    """
    The portal of the how-to page keeps every law, in a process of its own: Django's settings are for all of a process.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), django_project.KIND: kind}
    if kind == "postgresql":
        environment["VOIPCARD_TEST_POSTGRESQL_URL"] = servers.shared("postgresql").url
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(django_project.__file__))],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=environment,
    )

    assert run.returncode == 0, run.stdout
    assert "15 passed" in run.stdout
