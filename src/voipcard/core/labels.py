"""
Labels: words that people attach to cards and batches, such as `printed` and `shipped`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from voipcard.core.arguments import checked_text
from voipcard.errors import InvalidValueError

__all__ = ["checked_labels", "relabeled"]

MAX_LABELS: Final = 100


def checked_labels(name: str, labels: Iterable[str]) -> tuple[str, ...]:
    """
    Accept labels: at most 100 of 1 to 255 characters.

    Raises:
        InvalidValueError: If there are more, or one is empty, too long or has control characters.
    """
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise InvalidValueError(name, "has to be a list of words, not one word")
    accepted = tuple(checked_text("label", label) for label in labels)
    if "" in accepted:
        raise InvalidValueError("label", "has no characters")
    if len(accepted) > MAX_LABELS:
        raise InvalidValueError(name, f"are more than {MAX_LABELS}")

    return accepted


def checked_change(add: Iterable[str], remove: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """
    Accept labels to add and labels to remove, some of either.

    Raises:
        InvalidValueError: If there are none, or one is to be added and removed.
    """
    added, removed = checked_labels("add", add), checked_labels("remove", remove)
    if not added and not removed:
        raise InvalidValueError("add, remove", "are what can be changed: give one of them")
    if set(added) & set(removed):
        raise InvalidValueError("add, remove", "have a label in common")

    return added, removed


def relabeled(labels: Sequence[str], *, add: Sequence[str], remove: Sequence[str]) -> tuple[str, ...]:
    """
    Give the labels after some were removed, and others added that were not there, in the order of their coming.

    Raises:
        InvalidValueError: If they would be more than 100.

    Example:
        >>> relabeled(["to print", "May"], add=["printed"], remove=["to print"])
        ('May', 'printed')
    """
    after = tuple(dict.fromkeys([*(label for label in labels if label not in remove), *add]))
    if len(after) > MAX_LABELS:
        raise InvalidValueError("labels", f"are more than {MAX_LABELS}")

    return after
