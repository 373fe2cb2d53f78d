"""
The names of a book's documents and counters: which there are, and what is kept under each.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACTIVE",
    "ALARM",
    "ALARMS",
    "BATCH",
    "BOOK",
    "CARDS",
    "DECK",
    "EXTENSION",
    "GUESSES",
    "INGRESS",
    "KEYRING",
    "LICENSE",
    "NEWEST_LICENSE",
    "OPERATION",
    "RATES",
    "ROTATION",
    "TOMBSTONE",
    "TRAIL",
]

# Documents

BOOK: Final = "book"
"""What the book is: its random id, its currency, what was chosen when it was made, the newest license it has seen."""

NEWEST_LICENSE: Final = "newest_license"
"""Where that document says when the newest signed license was signed that the book has had."""

KEYRING: Final = "keyring"
"""The keys of the book, wrapped by a key that is kept elsewhere."""

ROTATION: Final = "rotation/"
"""Begins the keys of where each rotation of keys stands; the number of its new key follows."""

LICENSE: Final = "license"
"""How many codes may be active, or a signed text that says so."""

EXTENSION: Final = "extension/"
"""Begins the keys of what is known of each extension; its number follows."""

BATCH: Final = "batch/"
"""Begins the keys of how many cards each batch was made of; its id follows."""

DECK: Final = "deck/"
"""Begins the keys of which price lists there are of each name; the name follows."""

RATES: Final = "rates/"
"""Begins the keys of the rates of each price list; its digest follows, and behind `/` the number of the document."""

OPERATION: Final = "operation/"
"""Begins the keys of what was done once and for all; the hash of its name follows."""

TOMBSTONE: Final = "tombstone/"
"""Begins the keys of what is kept of removed cards; the id of the card follows, in hexadecimal."""

TRAIL: Final = "trail/"
"""Begins the keys of the heads of the audit trail's lanes; the number of the lane follows, in two hexadecimals."""

GUESSES: Final = "guesses/"
"""Begins the keys of what was tried by whom, and of the counters of it: documents that expire."""

INGRESS: Final = f"{GUESSES}ingress/"
"""Begins the keys of what came in through each ingress; its counters have `/` and their place in the ring behind it."""

ALARM: Final = f"{GUESSES}alarm"
"""What attempts failed when somebody looked last."""

# Counters

ALARMS: Final = tuple(f"{ALARM}/{shard}" for shard in range(16))
"""The attempts that failed, spread so that those who fail at once do not wait for each other."""

ACTIVE: Final = "active"
"""The enabled cards of the book; with `/` and a number, those of one extension."""

CARDS: Final = "cards"
"""With `/` and a number: all cards of one extension."""
