"""
The names of a book's documents and counters: which there are, and what is kept under each.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACTIVE",
    "BATCH",
    "BOOK",
    "CARDS",
    "EXTENSION",
    "GUESSES",
    "KEYRING",
    "LICENSE",
    "OPERATION",
    "ROTATION",
    "TOMBSTONE",
    "TRAIL",
]

# Documents

BOOK: Final = "book"
"""What the book is: its random id, its currency, what was chosen when it was made, the newest license it has seen."""

KEYRING: Final = "keyring"
"""The keys of the book, wrapped by a key that is kept elsewhere."""

ROTATION: Final = "rotation"
"""Where the newest rotation of keys stands."""

LICENSE: Final = "license"
"""How many codes may be active, or a signed text that says so."""

EXTENSION: Final = "extension/"
"""Begins the keys of what is known of each extension; its number follows."""

BATCH: Final = "batch/"
"""Begins the keys of how many cards each batch was made of; its id follows."""

OPERATION: Final = "operation/"
"""Begins the keys of what was done once and for all; the hash of its name follows."""

TOMBSTONE: Final = "tombstone/"
"""Begins the keys of what is kept of removed cards; the id of the card follows, in hexadecimal."""

TRAIL: Final = "trail/"
"""Begins the keys of the heads of the audit trail's lanes; the number of the lane follows, in two hexadecimal digits."""

GUESSES: Final = "guesses/"
"""Begins the keys of what was tried by whom, and of the counters of it: documents that expire."""

# Counters

ACTIVE: Final = "active"
"""The enabled cards of the book; with `/` and a number, those of one extension."""

CARDS: Final = "cards"
"""With `/` and a number: all cards of one extension."""
