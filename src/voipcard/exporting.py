"""
Writing the cards of a search into a file, masked or, audited before, in clear text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from voipcard.core.arguments import Progress
from voipcard.core.cards import CardCode, RevealedCard
from voipcard.errors import ActorRequiredError, InvalidValueError
from voipcard.searching import Search
from voipcard.stores.contract import Changes
from voipcard.transact import Engine, asked

if TYPE_CHECKING:
    from voipcard.sheets import Dialect, Format, SupportsWrite

__all__ = ["export"]


def export(
    engine: Engine,
    extension: str,
    search: Search,
    target: str | os.PathLike[str] | SupportsWrite,
    *,
    reveal: bool,
    columns: Sequence[str] | None,
    format_: Format | None,
    separator: str,
    dialect: Dialect,
    progress: Progress | None,
) -> int:
    """
    Write the cards of a search. See `Extension.export`.
    """
    from voipcard.sheets import export as sheet
    from voipcard.sheets import rows

    if not isinstance(reveal, bool):
        raise InvalidValueError("reveal", "has to be True or False")
    if reveal and not engine.actor:
        raise ActorRequiredError("export")
    if reveal:
        engine.refuse_joined("export")
    if columns is not None:
        columns = rows.names_of(columns)
    cards = _revealed(engine, extension, search, columns) if reveal else _masked(engine, search)

    return sheet.write_table(
        target,
        rows.REVEALED if reveal else rows.CARDS,
        cards,
        total=search.count(engine) if progress else None,
        columns=columns,
        format_=format_,
        separator=separator,
        dialect=dialect,
        progress=progress,
    )


def _masked(engine: Engine, search: Search) -> Iterator[CardCode]:
    return map(engine.records.card, search.records(engine))


def _revealed(engine: Engine, extension: str, search: Search, columns: Sequence[str] | None) -> Iterator[RevealedCard]:
    # It begins when the first card is wanted: when the arguments are accepted, and before there is a file.
    detail: dict[str, Any] = {"query": asked(search.query), "matching": search.count(engine)}
    if search.looks_inside:
        detail["part_of_code"] = True
    if search.exact is not None:
        detail["code"] = True
    if columns is not None:
        detail["columns"] = list(columns)
    engine.commit(Changes(audit=engine.audited("export", extension=extension, **detail)))
    yield from map(engine.records.revealed, search.records(engine))
