"""
Installing a license in a book, where it holds for everybody who has the book open.
"""

from __future__ import annotations

import logging
import os
from typing import Any, Final

from voipcard.core.license import License, SignedLicense
from voipcard.core.moments import to_micros
from voipcard.deciding import Decision
from voipcard.errors import LicenseError
from voipcard.licensing import given_license, license_terms, license_value
from voipcard.names import BOOK, LICENSE, NEWEST_LICENSE
from voipcard.stores.contract import Changes, Document
from voipcard.transact import Engine

__all__ = ["install", "install_given"]

_LOG: Final = logging.getLogger("voipcard")


def install(engine: Engine, given: License | str | os.PathLike[str], operation: str | None) -> None:
    """
    Keep a license in the book, if it holds now. See `CardBook.install_license`.
    """
    license_ = engine.licenses.read(given_license(given))
    value = license_value(license_)

    def decide(_: object) -> Decision[None]:
        book, book_version = engine.value(BOOK)
        if problem := _problem(engine, license_, engine.newest_license(book)):
            raise LicenseError(problem)
        before, version = engine.license()
        documents = [(engine.records.document(LICENSE, value, version=version + 1), version)]
        if isinstance(license_, SignedLicense):
            documents += _remembered(engine, license_, book, book_version)
        audit = engine.audited("install_license", before=license_terms(before.license), after=license_terms(license_))

        return Decision(Changes(documents=documents, audit=audit), None)

    engine.once("install_license", operation, lambda: value, decide=decide, replay=lambda _: None)


def install_given(engine: Engine, given: License | str | os.PathLike[str]) -> None:
    """
    Keep the license that came with the opening, if it is another one than the book has.

    One that does not hold is no reason not to open the book: only no more codes can be active, unless the book has a
    better license of its own.
    """
    try:
        license_ = engine.licenses.read(given_license(given))
        if license_ != engine.license()[0].license:
            install(engine, license_, None)
    except LicenseError as error:
        engine.licenses.given_problem = error.reason
        _LOG.warning("the license that came with the opening is not installed: %s", error)


def _problem(engine: Engine, license: License, newest: int | None) -> str:
    if not isinstance(license, SignedLicense):
        return engine.licenses.given_problem if newest is None else "unsigned"

    return engine.licenses.problem(
        license, book_id=engine.facts.id, newest=newest, now=engine.now(), look=engine.recorded
    )


def _remembered(
    engine: Engine, license: SignedLicense, book: dict[str, Any], version: int
) -> list[tuple[Document, int]]:
    """
    Let the book itself say that it has seen this license, so that nothing is won by taking the license away.
    """
    value = {**book, NEWEST_LICENSE: to_micros(license.issued_at)}

    return [] if value == book else [(engine.records.document(BOOK, value, version=version + 1), version)]
