"""
What becomes of commits when a server is stopped and started again between them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import sqlalchemy

from tests import servers
from tests.servers import Server
from voipcard.errors import StoreError
from voipcard.stores import Changes, CounterChange, SQLAlchemyStore
from voipcard.stores.servers import owned

pytestmark = pytest.mark.skipif(servers.missing("postgresql") is not None, reason=str(servers.missing("postgresql")))

MOVE = Changes(counters=[CounterChange("steps", 1)])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """
    Start a server that may be stopped.
    """
    with servers.postgresql(durable=True) as server:
        yield server


def restarted(server: Server, url: str) -> list[int]:
    """
    Commit, start the server anew, and commit again, three times; give the counter after each.
    """
    store = SQLAlchemyStore(url, create=True)
    found = []
    for _ in range(3):
        store.commit(MOVE)
        server.stop()
        server.start()
        store.commit(MOVE)
        found.append(store.counters(["steps"])["steps"])
    store.close()

    return found


def test_a_server_that_was_started_anew_is_not_noticed(server: Server) -> None:
    """
    A commit on a connection from before the server was started anew is applied, once.
    """
    with server.database() as url:
        assert restarted(server, url) == [2, 4, 6]


def test_who_does_not_listen_does_not_know(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The control: without listening first, such a commit fails, and may have been applied for all that is known.
    """
    monkeypatch.setattr(owned, "_is_unfit", lambda _: False)
    with server.database() as url, pytest.raises(StoreError) as failure:
        restarted(server, url)

    assert failure.value.maybe_applied


def test_what_else_a_server_says_closes_no_connection(server: Server) -> None:
    """
    A notice that arrives on an idle connection leaves it in use.
    """
    with server.database() as url:
        engine, other = sqlalchemy.create_engine(url), sqlalchemy.create_engine(url)
        lent = engine.raw_connection()
        listener = lent.driver_connection
        assert listener is not None
        listener.autocommit = True
        listener.execute("LISTEN cards")
        with other.begin() as connection:
            connection.exec_driver_sql("NOTIFY cards")
        time.sleep(0.1)

        assert not owned._is_unfit(listener)  # noqa: SLF001 - what is waiting cannot be seen from outside
        lent.invalidate()
        engine.dispose()
        other.dispose()
