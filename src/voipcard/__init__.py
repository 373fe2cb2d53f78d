"""
Prepaid calling-card codes: drawn, sealed, sold, recharged and searched, exactly once and without a secret in the store.

Everything here is loaded when it is first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from voipcard import aio as aio
    from voipcard import errors, sheets, stores
    from voipcard.access import Access, Announcement
    from voipcard.auditing import AuditPage
    from voipcard.book import CardBook
    from voipcard.calling import Call
    from voipcard.ciphers import Suite
    from voipcard.core.arguments import Progress
    from voipcard.core.batches import Batch, BatchFacts
    from voipcard.core.cards import CardCode, Handout, Kind, NewCard
    from voipcard.core.cdrs import CallDifference, CallFacts, CallRecord, RejectedCall, Settlement
    from voipcard.core.check_digits import CheckDigit
    from voipcard.core.codes import DIGITS, UNAMBIGUOUS, CodeFormat, plan_code_length
    from voipcard.core.credit import UNLIMITED, Amount, Credit
    from voipcard.core.drawing import RandomSource
    from voipcard.core.expiry import Expiry
    from voipcard.core.holds import Hold
    from voipcard.core.ledger import CallCharge, LedgerEntry
    from voipcard.core.license import License, LicenseState, Quota, SignedLicense
    from voipcard.core.pins import NO_PIN, PinFormat
    from voipcard.core.policy import Policy
    from voipcard.core.profiles import Profile
    from voipcard.core.query import CardQuery
    from voipcard.core.rating import Convention, Rate, RateDeck, Tariff
    from voipcard.core.reports import (
        ChargedCall,
        CostGroup,
        CostRow,
        CreditGroup,
        CreditRow,
        RechargeGroup,
        RechargeRow,
        Report,
        ReportColumn,
        RevealedCall,
        UseRow,
    )
    from voipcard.core.settings import CallerIDSource, ExtensionSettings
    from voipcard.core.throttle import DEFAULT_LIMITS, NIST_LIMITS, GuessLimits
    from voipcard.core.uploads import UploadReport
    from voipcard.decks import DeckVersion
    from voipcard.errors import VoipcardError
    from voipcard.extension import Extension
    from voipcard.guessing import CardGuesses, GuessWatch
    from voipcard.licensing import issue_license, read_license
    from voipcard.opening import open_book
    from voipcard.providers import KeyCallback, KeyFile, KeyPassphrase, KeyProvider, KeyVariable
    from voipcard.rotating import Rotation
    from voipcard.searching import Page
    from voipcard.signing import SigningKey, VerifyKey
    from voipcard.targets import Cards
    from voipcard.trail import AuditEntry, Hook
    from voipcard.transact import Clock
    from voipcard.verifying import Finding, Verification

__all__ = [
    "DEFAULT_LIMITS",
    "DIGITS",
    "NIST_LIMITS",
    "NO_PIN",
    "UNAMBIGUOUS",
    "UNLIMITED",
    "Access",
    "Amount",
    "Announcement",
    "AuditEntry",
    "AuditPage",
    "Batch",
    "BatchFacts",
    "Call",
    "CallCharge",
    "CallDifference",
    "CallFacts",
    "CallRecord",
    "CallerIDSource",
    "CardBook",
    "CardCode",
    "CardGuesses",
    "CardQuery",
    "Cards",
    "ChargedCall",
    "CheckDigit",
    "Clock",
    "CodeFormat",
    "Convention",
    "CostGroup",
    "CostRow",
    "Credit",
    "CreditGroup",
    "CreditRow",
    "DeckVersion",
    "Expiry",
    "Extension",
    "ExtensionSettings",
    "Finding",
    "GuessLimits",
    "GuessWatch",
    "Handout",
    "Hold",
    "Hook",
    "KeyCallback",
    "KeyFile",
    "KeyPassphrase",
    "KeyProvider",
    "KeyVariable",
    "Kind",
    "LedgerEntry",
    "License",
    "LicenseState",
    "NewCard",
    "Page",
    "PinFormat",
    "Policy",
    "Profile",
    "Progress",
    "Quota",
    "RandomSource",
    "Rate",
    "RateDeck",
    "RechargeGroup",
    "RechargeRow",
    "RejectedCall",
    "Report",
    "ReportColumn",
    "RevealedCall",
    "Rotation",
    "Settlement",
    "SignedLicense",
    "SigningKey",
    "Suite",
    "Tariff",
    "UploadReport",
    "UseRow",
    "Verification",
    "VerifyKey",
    "VoipcardError",
    "errors",
    "issue_license",
    "open_book",
    "plan_code_length",
    "read_license",
    "sheets",
    "stores",
]

_HOMES: Final = {
    "access": ("Access", "Announcement"),
    "auditing": ("AuditPage",),
    "book": ("CardBook",),
    "calling": ("Call",),
    "ciphers": ("Suite",),
    "core.arguments": ("Progress",),
    "core.batches": ("Batch", "BatchFacts"),
    "core.cards": ("CardCode", "Handout", "Kind", "NewCard"),
    "core.cdrs": ("CallDifference", "CallFacts", "CallRecord", "RejectedCall", "Settlement"),
    "core.check_digits": ("CheckDigit",),
    "core.codes": ("DIGITS", "UNAMBIGUOUS", "CodeFormat", "plan_code_length"),
    "core.credit": ("UNLIMITED", "Amount", "Credit"),
    "core.drawing": ("RandomSource",),
    "core.expiry": ("Expiry",),
    "core.holds": ("Hold",),
    "core.ledger": ("CallCharge", "LedgerEntry"),
    "core.license": ("License", "LicenseState", "Quota", "SignedLicense"),
    "core.pins": ("NO_PIN", "PinFormat"),
    "core.policy": ("Policy",),
    "core.profiles": ("Profile",),
    "core.query": ("CardQuery",),
    "core.rating": ("Convention", "Rate", "RateDeck", "Tariff"),
    "core.reports": (
        *("ChargedCall", "CostGroup", "CostRow", "CreditGroup", "CreditRow", "RechargeGroup", "RechargeRow", "Report"),
        *("ReportColumn", "RevealedCall", "UseRow"),
    ),
    "core.settings": ("CallerIDSource", "ExtensionSettings"),
    "core.throttle": ("DEFAULT_LIMITS", "NIST_LIMITS", "GuessLimits"),
    "core.uploads": ("UploadReport",),
    "decks": ("DeckVersion",),
    "errors": ("VoipcardError",),
    "extension": ("Extension",),
    "guessing": ("CardGuesses", "GuessWatch"),
    "licensing": ("issue_license", "read_license"),
    "opening": ("open_book",),
    "providers": ("KeyCallback", "KeyFile", "KeyPassphrase", "KeyProvider", "KeyVariable"),
    "rotating": ("Rotation",),
    "searching": ("Page",),
    "signing": ("SigningKey", "VerifyKey"),
    "targets": ("Cards",),
    "trail": ("AuditEntry", "Hook"),
    "transact": ("Clock",),
    "verifying": ("Finding", "Verification"),
}


def __getattr__(name: str) -> object:
    if name in {"aio", "errors", "sheets", "stores"}:
        return import_module(f"{__name__}.{name}")
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return __all__
