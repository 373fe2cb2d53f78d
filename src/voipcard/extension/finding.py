"""
Finding cards, giving them out page by page or as a file, and revealing one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Unpack

import attrs

from voipcard import editing, exporting, searching
from voipcard.core.arguments import Progress
from voipcard.core.cards import CardCode, Handout, is_caller_id, part_of_code, serial_of, serial_or_nothing
from voipcard.core.query import CardQuery
from voipcard.errors import InvalidValueError, UnknownCardError
from voipcard.extension.bound import Bound
from voipcard.searching import CardFilters, Page, Search

if TYPE_CHECKING:
    from voipcard.sheets import Dialect, Format, SupportsWrite

__all__ = ["Finding"]


class Finding(Bound):
    """
    Finds cards.
    """

    def find(
        self, serial: str | None = None, *, code: str | None = None, caller_id: str | None = None
    ) -> CardCode | None:
        """
        Give the one card with this serial, code or CallerID, or None.

        Args:
            serial: A serial.

            code: A code, spaces and dashes included; with a leading `+` a CallerID.

            caller_id: A caller's number, with or without `+`.

        Raises:
            InvalidValueError: If not exactly one of them is given.

            InvalidCodeError: If it cannot be a code or CallerID.

            TamperedError: If the stored card was changed from outside.
        """
        record = searching.find(self._engine, self.number, code=code, caller_id=caller_id, serial=serial)

        return self._engine.records.card(record) if record else None

    def get(self, serial: str | None = None, *, code: str | None = None, caller_id: str | None = None) -> CardCode:
        """
        Give the one card with this serial, code or CallerID.

        Raises:
            UnknownCardError: If there is none.

            InvalidValueError: If not exactly one of them is given.

            InvalidCodeError: If it cannot be a code or CallerID.

            TamperedError: If the stored card was changed from outside.
        """
        card = self.find(serial, code=code, caller_id=caller_id)
        if card is None:
            raise UnknownCardError(serial_or_nothing(serial))

        return card

    def __getitem__(self, serial: str) -> CardCode:
        return self.get(serial)

    def __contains__(self, card: object) -> bool:
        return isinstance(card, CardCode | str) and self.find(serial_of(card)) is not None

    def __iter__(self) -> Iterator[CardCode]:
        return self.search()

    def search(
        self,
        query: CardQuery | None = None,
        *,
        serial: str | None = None,
        code: str | None = None,
        caller_id: str | None = None,
        code_prefix: str = "",
        code_contains: str = "",
        **filters: Unpack[CardFilters],
    ) -> Iterator[CardCode]:
        """
        Give all cards that match, however many, reading a page at a time.

        Args:
            query: Conditions and order as a value; instead of *filters*.

            serial: The serial, exactly.

            code: The code, exactly; with a leading `+` a CallerID.

            caller_id: The caller's number, exactly.

            code_prefix:
                How the code or CallerID begins. The codes of all cards that match otherwise are unsealed for this, a
                page at a time.

            code_contains: What the code or CallerID contains; in the same way.

            filters: The conditions and the order that `CardQuery` documents: `enabled=True, credit_below="5.00"`.

        Raises:
            InvalidValueError: If a value is out of its range.

            AmountError: If a credit cannot be an amount.

            TamperedError: If a stored card was changed from outside.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> _ = extension.generate(2, credit="10.00")
            >>> _ = extension.generate(1, credit=voipcard.UNLIMITED)
            >>> [str(card.credit) for card in extension.search(credit_at_least=5, order="credit")]
            ['10.00', '10.00', 'unlimited']
        """
        search = self._search(
            query, filters, serial=serial, code=code, caller_id=caller_id, prefix=code_prefix, contains=code_contains
        )

        return map(self._engine.records.card, search.records(self._engine))

    def page(
        self,
        query: CardQuery | None = None,
        *,
        limit: int = 50,
        cursor: str | None = None,
        serial: str | None = None,
        code: str | None = None,
        caller_id: str | None = None,
        code_prefix: str = "",
        code_contains: str = "",
        **filters: Unpack[CardFilters],
    ) -> Page:
        """
        Give one page of a search. Going on from its cursor neither repeats nor skips a card, however deep.

        Args:
            query: Conditions and order as a value; instead of *filters*.

            limit: How many cards, 1 to 10,000.

            cursor: The `next_cursor` of the page before; None for the first page.

            serial: As for `search`.

            code: As for `search`.

            caller_id: As for `search`.

            code_prefix: As for `search`.

            code_contains: As for `search`.

            filters: As for `search`.

        Raises:
            CursorError: If *cursor* belongs to another search.

            InvalidValueError: If a value is out of its range.

            AmountError: If a credit cannot be an amount.

            TamperedError: If a stored card was changed from outside.
        """
        search = self._search(
            query, filters, serial=serial, code=code, caller_id=caller_id, prefix=code_prefix, contains=code_contains
        )

        return search.page(self._engine, limit, cursor)

    def count(
        self,
        query: CardQuery | None = None,
        *,
        serial: str | None = None,
        code: str | None = None,
        caller_id: str | None = None,
        code_prefix: str = "",
        code_contains: str = "",
        **filters: Unpack[CardFilters],
    ) -> int:
        """
        Count the cards that a search with the same arguments gives.

        Raises:
            InvalidValueError: If a value is out of its range.

            AmountError: If a credit cannot be an amount.
        """
        search = self._search(
            query, filters, serial=serial, code=code, caller_id=caller_id, prefix=code_prefix, contains=code_contains
        )

        return search.count(self._engine)

    def export(
        self,
        target: str | os.PathLike[str] | SupportsWrite,
        query: CardQuery | None = None,
        *,
        reveal: bool = False,
        columns: Sequence[str] | None = None,
        format: Format | None = None,  # noqa: A002 - what everybody calls it
        separator: str = ",",
        dialect: Dialect = "guarded",
        progress: Progress | None = None,
        serial: str | None = None,
        code: str | None = None,
        caller_id: str | None = None,
        code_prefix: str = "",
        code_contains: str = "",
        **filters: Unpack[CardFilters],
    ) -> int:
        """
        Write the cards that a search gives, in its order, to a CSV file or an Excel workbook.

        Args:
            target: Where to; see `voipcard.sheets.write` for this and for how the file is written.

            query: As for `search`.

            reveal:
                Whether to write codes and PINs in clear text; of a `strict` book codes, and `not kept` for PINs. That
                somebody asked, and for which cards, is in the audit trail before the first byte is written.

            columns: Which columns, from left to right; None for all: first those of VoipNow's list, in their order.

            format: `csv` or `xlsx`; None to go by the end of the path.

            separator: What stands between the fields of a CSV file: one character.

            dialect: `guarded` for people, `plain` for programs.

            progress: Is told after every thousand rows and at the end how many were written, and of how many.

            serial: As for `search`.

            code: As for `search`.

            caller_id: As for `search`.

            code_prefix: As for `search`.

            code_contains: As for `search`.

            filters: As for `search`.

        Returns:
            The number of cards written.

        Raises:
            ActorRequiredError: If codes are to be revealed and nobody said who is acting.

            SheetError: If the file cannot be written.

            InvalidValueError: If an argument is out of its range.

            AmountError: If a credit cannot be an amount.

            TamperedError: If a stored card was changed from outside. There is no file then.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> _ = extension.generate(2, credit="10.00")
            >>> extension.export("low.xlsx", credit_below="20.00", order="credit")
            2

        Source: VoipNow user guide, "Manage Card Codes".
        """
        search = self._search(
            query, filters, serial=serial, code=code, caller_id=caller_id, prefix=code_prefix, contains=code_contains
        )

        return exporting.export(
            self._engine,
            self.number,
            search,
            target,
            reveal=reveal,
            columns=columns,
            format_=format,
            separator=separator,
            dialect=dialect,
            progress=progress,
        )

    def reveal(self, card: CardCode | str) -> Handout:
        """
        Give the code and PIN of a card in clear text. That somebody asked is in the audit trail before.

        Args:
            card: The card, or its serial.

        Returns:
            The hand-out, with the credit that is on the card now. Of a `strict` book it says that there is a PIN, and
            not which.

        Raises:
            ActorRequiredError: If nobody said who is acting.

            UnknownCardError: If the extension has no such card.

            TamperedError: If the stored code or PIN was changed from outside.
        """
        return editing.reveal(self._engine, self.number, serial_of(card))

    def _search(
        self,
        query: CardQuery | None,
        filters: CardFilters,
        *,
        serial: str | None,
        code: str | None,
        caller_id: str | None,
        prefix: str,
        contains: str,
    ) -> Search:
        if query is not None and filters:
            raise InvalidValueError("filters", "and a query cannot be given together")
        query = query or CardQuery(**filters)
        if query.extension not in (None, self.number):
            raise InvalidValueError("extension", "of the query has to be this one")
        query = attrs.evolve(query, extension=self.number)
        if serial is not None:
            # Where two serials are asked for no card has both; none has the empty one.
            query = attrs.evolve(query, serial=serial if query.serial in (None, serial) else "")
        if query.now is None:
            query = attrs.evolve(query, now=self._engine.now())
        exact = None
        if code is not None or caller_id is not None:
            exact = searching.exact(self._engine, self.number, code=code, caller_id=caller_id)
        if is_caller_id(prefix):
            # No dialed code is meant.
            query = attrs.evolve(query, kind="caller_id", serial="" if query.kind == "code" else query.serial)

        return Search(query, part_of_code(prefix), part_of_code(contains), exact)
