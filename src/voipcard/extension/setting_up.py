"""
What an extension is called, and what is set for it.
"""

from __future__ import annotations

from typing import Unpack

from voipcard import registry
from voipcard.core.license import Quota
from voipcard.core.settings import ExtensionSettings, SettingsChanges
from voipcard.extension.bound import Bound

__all__ = ["SettingUp"]


class SettingUp(Bound):
    """
    What is known of an extension and set for it.
    """

    @property
    def label(self) -> str:
        """
        What people call it; empty if nothing.
        """
        return registry.facts_of(self._engine, self.number).label

    @property
    def enabled(self) -> bool:
        """
        Whether its cards may be used.
        """
        return registry.facts_of(self._engine, self.number).enabled

    @property
    def quota(self) -> Quota:
        """
        How many codes may be active, are, and can still be added.

        The license counts all extensions together. Where `max_active_codes` is set for this one and leaves less, that
        is what counts here: then these are the codes of this extension.

        Where no license holds the limit is 0, so that nothing can be added; `CardBook.license_state` tells why.
        """
        return self._engine.quota(self.number)

    @property
    def settings(self) -> ExtensionSettings:
        """
        What is set for it. One that the book does not know yet has the defaults of `ExtensionSettings`.
        """
        return registry.facts_of(self._engine, self.number).settings

    def configure(self, *, operation: str | None = None, **changes: Unpack[SettingsChanges]) -> ExtensionSettings:
        """
        Change what is set for the extension: what is given, and nothing else. It holds at once, for every process.

        The book knows the extension from then on. Cards that are there stay as they are: an `expiry` is for those that
        are made later without saying when they expire, and a `region` for callers' numbers that are written from then
        on. So the region is set first: a number that is stored already is found as it was written then.

        Args:
            operation: A name of your own for this call.

            changes: The settings that `ExtensionSettings` documents: `minimum_credit="0.50", pin_required=True`.

        Returns:
            All settings, as they are now.

        Raises:
            InvalidValueError: If a value is out of its range, or the region of no country.

            AmountError: If *minimum_credit* is negative or cannot be an amount.

            OperationConflictError: If *operation* was used for something else.

            ImportError: If there is a region, and the extra `phone` is not installed.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> extension.configure(minimum_credit="0.50", no_credit_sound="no-credit").minimum_credit
            Credit('0.50')
            >>> extension.settings.no_credit_sound
            'no-credit'

        Source: VoipNow user guide, "Setting the Calling Card Extension".
        """
        return registry.configure(self._engine, self.number, operation=operation, **changes)
