"""
Files that people work with: cards, hand-outs and histories as CSV and Excel, and uploads in VoipNow's format.
"""

from __future__ import annotations

from voipcard.sheets.export import write
from voipcard.sheets.upload import Upload, read_upload

__all__ = ["Upload", "read_upload", "write"]
