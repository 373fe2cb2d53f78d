"""
The Calling Card extensions that a book has.
"""

from __future__ import annotations

from voipcard import registry
from voipcard.book.bound import Bound
from voipcard.extension import Extension

__all__ = ["WithExtensions"]


class WithExtensions(Bound):
    """
    Has extensions.
    """

    def extension(self, number: str) -> Extension:
        """
        Give a Calling Card extension. The book knows it from its first card or label on; asking writes nothing.

        Args:
            number: Its extended number, such as `0003*215`: 1 to 64 printable ASCII characters without spaces.

        Raises:
            InvalidValueError: If *number* cannot be one.
        """
        return Extension(self._engine, registry.checked_number(number))

    def extensions(self) -> list[Extension]:
        """
        Give all extensions that the book knows, in the order of their numbers.
        """
        return [Extension(self._engine, facts.number) for facts in registry.known_extensions(self._engine)]

    def label_extension(self, number: str, label: str, *, operation: str | None = None) -> Extension:
        """
        Say what people call an extension.

        Args:
            number: The extension.

            label: At most 255 characters; empty for none.

            operation: A name of your own for this call, so that it is done only once.

        Raises:
            InvalidValueError: If *number* or *label* cannot be one.

            OperationConflictError: If *operation* was used for something else.
        """
        extension = self.extension(number)
        registry.change(self._engine, extension.number, "label_extension", label=label, operation=operation)

        return extension

    def disable_extension(self, number: str, *, operation: str | None = None) -> Extension:
        """
        Disable an extension. Its cards are kept as they are and still count against the license.

        Args:
            number: The extension.

            operation: A name of your own for this call, so that it is done only once.

        Raises:
            InvalidValueError: If *number* cannot be one.

            OperationConflictError: If *operation* was used for something else.

        Source: VoipNow user guide, "Manage Card Codes".
        """
        extension = self.extension(number)
        registry.change(self._engine, extension.number, "disable_extension", enabled=False, operation=operation)

        return extension

    def enable_extension(self, number: str, *, operation: str | None = None) -> Extension:
        """
        Enable an extension again. A new one is enabled.

        Args:
            number: The extension.

            operation: A name of your own for this call, so that it is done only once.

        Raises:
            InvalidValueError: If *number* cannot be one.

            OperationConflictError: If *operation* was used for something else.
        """
        extension = self.extension(number)
        registry.change(self._engine, extension.number, "enable_extension", enabled=True, operation=operation)

        return extension
