"""
Callers' numbers, written in one way whoever writes them: with their country code, where it can be told.
"""

from __future__ import annotations

from voipcard.core.cards import canonical_caller_id, is_caller_id
from voipcard.errors import InvalidValueError

__all__ = ["checked_region", "normalized"]


def normalized(number: str, region: str, *, international: bool = False) -> str:
    """
    Write a caller's number the one way it is stored: as the digits of E.164, if that is a possible number.

    Otherwise, as for the short number of a telephone in the house, and where no region is given, it is written as
    `canonical_caller_id` does.

    Args:
        number: 1 to 255 digits, besides separators and a leading `+`.

        region: The ISO 3166 code of the country in whose way it is written; empty for none. A leading `+` says more.

        international: Whether the country code comes first although there is no `+`.

    Raises:
        InvalidCodeError: If *number* cannot be a number.

        ImportError: If there is a region, and the extra `phone` is not installed.

    Example:
        >>> normalized("0722 123 456", "RO"), normalized("+44 20 7946 0123", "RO"), normalized("215", "RO")
        ('40722123456', '442079460123', '215')
    """
    digits = canonical_caller_id(number)
    if not region:
        return digits
    _need_the_extra()
    import phonenumbers

    plus = "+" if international or is_caller_id(number) else ""
    try:
        parsed = phonenumbers.parse(plus + digits, region)
    except phonenumbers.NumberParseException:
        return digits
    # What is possible only within a town would not be reached from anywhere else.
    if phonenumbers.is_possible_number_with_reason(parsed) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return digits

    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")


def checked_region(region: str) -> str:
    """
    Accept the code of a country whose numbers are known, or nothing.

    Raises:
        InvalidValueError: If no country of this code has numbers.

        ImportError: If the extra `phone` is not installed.
    """
    if not region:
        return ""
    _need_the_extra()
    import phonenumbers

    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise InvalidValueError("region", "has to be the ISO 3166 code of a country, such as RO")

    return region


def _need_the_extra() -> None:
    try:
        import phonenumbers  # noqa: F401
    except ImportError as error:
        message = "callers' numbers of a region need phonenumbers: install voipcard[phone]"
        raise ImportError(message, name="phonenumbers") from error
