"""
How many codes of a book may be active.
"""

from __future__ import annotations

import os

from voipcard import installing
from voipcard.book.bound import Bound
from voipcard.core.license import License, LicenseState, Quota

__all__ = ["WithLicense"]


class WithLicense(Bound):
    """
    Has a license.
    """

    @property
    def license(self) -> License:
        """
        How many codes of the book may be active: the license in force.

        None at all where the installed one fails.
        """
        return self._engine.license()[0].in_force

    @property
    def license_state(self) -> LicenseState:
        """
        What is installed as a license, whether it holds now, and why not.

        That is what a portal shows on its page about the license.
        """
        return self._engine.license()[0]

    @property
    def quota(self) -> Quota:
        """
        How many codes of the book may be active, are, and can still be added.

        Where no license holds the limit is 0.
        """
        return self._engine.quota()

    def install_license(self, license: License | str | os.PathLike[str], *, operation: str | None = None) -> Quota:
        """
        Set how many codes may be active. It holds at once, for every process that has the book open.

        A license below what is active disables nothing: until enough codes are disabled, no more can be added or
        enabled. Once a book has had a signed license it takes only signed ones that are not older.

        Args:
            license:
                The license: a number that you set yourself, as a `License`; or a signed text; or the path of a file
                with one. A signed one has to be signed by one of the `license_keys` that the book was opened with, to
                be for this book or any book, and to hold now.

            operation: A name of your own for this call, so that it is done only once.

        Returns:
            The quota under the new license.

        Raises:
            InvalidValueError: If *license* is something else.

            LicenseError: If the license does not hold, or is not signed and the book was opened with one that does not
                hold. The one before stays.

            OperationConflictError: If *operation* was used for something else.

        Example:
            >>> voipcard.open_book().install_license(voipcard.License(max_active_codes=1000))
            Quota(limit=1000, active=0, remaining=1000)
        """
        installing.install(self._engine, license, operation)

        return self.quota
