"""
A server that is cut off from its cluster says so, and did nothing. `nox -s galera` cuts real ones off.
"""

from __future__ import annotations

from contextlib import closing

import pytest

from tests import servers
from tests.servers import execute
from voipcard.core.query import CardQuery
from voipcard.errors import StoreError
from voipcard.stores import Changes, SQLAlchemyStore
from voipcard.testing import samples

_CUT_OFF = """
CREATE TRIGGER cut_off BEFORE INSERT ON voipcard_entries FOR EACH ROW
SIGNAL SQLSTATE '08S01' SET MYSQL_ERRNO = 1047, MESSAGE_TEXT = 'WSREP has not yet prepared node for application use'
"""


@pytest.mark.skipif(servers.missing("mariadb") is not None, reason=str(servers.missing("mariadb")))
def test_a_server_that_is_cut_off_says_so_and_does_nothing() -> None:
    """
    The error with which a node of Galera refuses is told as that, it is certain, and nothing of the commit is there.
    """
    with servers.shared("mariadb").database() as url, closing(SQLAlchemyStore(url, create=True)) as store:
        execute(url, _CUT_OFF)
        with pytest.raises(StoreError, match="cut off from its cluster") as refused:
            store.commit(Changes(new=samples.new(0)))
        cards = store.count(CardQuery())

    assert (type(refused.value), refused.value.maybe_applied, cards) == (StoreError, False, 0)
