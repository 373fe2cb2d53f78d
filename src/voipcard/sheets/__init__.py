"""
Files that people work with: cards, hand-outs and histories as CSV and Excel, uploads and price lists in VoipNow's.
"""

from __future__ import annotations

from voipcard.core.uploads import OnError, Upload
from voipcard.sheets.cdrs import read_cdrs
from voipcard.sheets.csv import Dialect
from voipcard.sheets.deck import read_deck
from voipcard.sheets.export import write
from voipcard.sheets.files import SupportsRead, SupportsWrite
from voipcard.sheets.found import FoundCell, FoundRow, Unusable
from voipcard.sheets.limits import Limits
from voipcard.sheets.reading import Format, read
from voipcard.sheets.upload import read_upload

__all__ = [
    "Dialect",
    "Format",
    "FoundCell",
    "FoundRow",
    "Limits",
    "OnError",
    "SupportsRead",
    "SupportsWrite",
    "Unusable",
    "Upload",
    "read",
    "read_cdrs",
    "read_deck",
    "read_upload",
    "write",
]
