"""
Labels: which can be, and what becomes of those that are there.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voipcard.core.labels import checked_change, checked_labels, relabeled
from voipcard.errors import InvalidValueError

WORDS = st.lists(st.sampled_from("abcdefgh"), max_size=6, unique=True)


@given(WORDS, WORDS, WORDS)
def test_labels_are_sets_in_the_order_of_their_coming(before: list[str], add: list[str], remove: list[str]) -> None:
    """
    Afterwards there is what was there or is added, less what is removed, and what was there stays in its order.
    """
    remove = [label for label in remove if label not in add]
    after = relabeled(before, add=add, remove=remove)
    kept = [label for label in before if label not in remove]

    assert (set(before) | set(add)) - set(remove) == set(after)
    assert len(after) == len(set(after))
    assert tuple(kept) == after[: len(kept)]
    assert after == relabeled(after, add=add, remove=remove)


def test_nothing_has_more_than_a_hundred_labels() -> None:
    """
    A hundred are accepted, one more is refused.
    """
    hundred = [str(number) for number in range(100)]

    assert tuple(hundred) == relabeled(hundred[:50], add=hundred[50:], remove=())
    with pytest.raises(InvalidValueError, match="100"):
        relabeled(hundred, add=["one more"], remove=())


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: checked_labels("add", "word"), "add"),
        (lambda: checked_labels("add", 5), "add"),  # type: ignore[arg-type]
        (lambda: checked_labels("add", [""]), "label"),
        (lambda: checked_labels("add", ["a\nb"]), "label"),
        (lambda: checked_labels("add", ["a"] * 101), "add"),
        (lambda: checked_change([], []), "add, remove"),
        (lambda: checked_change(["a"], ["a"]), "add, remove"),
    ],
)
def test_what_cannot_be_a_label_is_refused(call: Callable[[], object], name: str) -> None:
    """
    The refusal names the argument.
    """
    with pytest.raises(InvalidValueError) as caught:
        call()

    assert name == caught.value.name
