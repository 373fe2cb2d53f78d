"""
The kit itself: each store that is broken on purpose is rejected by the law that it breaks, an intact one is not.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from hypothesis import Phase, settings

from tests.testing.broken import (
    REJECTED_BY,
    FiltersAfterLimit,
    FindsByOldIndex,
    FindsByOldSerial,
    ForgetsNothing,
    ForgetsOperations,
    ForgetsShortfalls,
    ForgetsWhateverIsThere,
    ForgetsWhatIsNotThere,
    HoldsExpireTooEarly,
    HoldsExpireTooLate,
    IgnoresCeilings,
    IgnoresVersions,
    IncludesTheEnd,
    KeepsForgottenKeysTaken,
    KeepsOldFields,
    KeepsOldIndexTaken,
    KnowsTheRemoved,
    LacksMethods,
    LeavesEmptyDocuments,
    LosesOneDocument,
    LosesTheLastPage,
    OnSQLite,
    OverlooksRepeats,
    PurgesTooEarly,
    PurgesTooLate,
    RemovesHistory,
    RepeatsTheCursor,
    SkipsTies,
    StartsAfterAnything,
    StartsBeforeAnything,
    StoresUnlimitedAsZero,
    kit,
)
from voipcard.stores import CardRecord, MemoryStore, SQLiteStore
from voipcard.testing import STORY, Opener, StoreContract, check_story, samples, store_machine

REPEATABLE: Final = settings(STORY, max_examples=400, derandomize=True, phases=[Phase.generate])
"""The same stories every time, and no time is spent on making a failing one shorter."""

FOUND_BY_STORIES: Final = [
    FiltersAfterLimit,
    FindsByOldIndex,
    FindsByOldSerial,
    KeepsForgottenKeysTaken,
    KeepsOldIndexTaken,
    KnowsTheRemoved,
    LeavesEmptyDocuments,
    ForgetsNothing,
    ForgetsOperations,
    ForgetsShortfalls,
    ForgetsWhateverIsThere,
    ForgetsWhatIsNotThere,
    HoldsExpireTooEarly,
    HoldsExpireTooLate,
    IgnoresCeilings,
    IgnoresVersions,
    IncludesTheEnd,
    LosesOneDocument,
    LosesTheLastPage,
    OverlooksRepeats,
    PurgesTooEarly,
    PurgesTooLate,
    RemovesHistory,
    RepeatsTheCursor,
    SkipsTies,
    StartsAfterAnything,
    StartsBeforeAnything,
    StoresUnlimitedAsZero,
]


def names(prefix: str) -> set[str]:
    """
    Give the names of the kit's tests.
    """
    return {name for name in dir(StoreContract) if name.startswith(prefix)}


@pytest.mark.parametrize("store, test", REJECTED_BY.items(), ids=[store.__name__ for store in REJECTED_BY])
def test_a_broken_store_is_rejected(store: type[MemoryStore | SQLiteStore], test: str) -> None:
    """
    The test of the law that a store breaks fails, and says which law that is.
    """
    with pytest.raises(Exception) as failure:  # noqa: PT011 - a broken store may fail in any way
        getattr(kit(store), test)()

    notes = " ".join(failure.value.__notes__)
    promise = "`"
    if test == "test_it_is_a_store":
        promise = "the protocol"
    elif test.startswith("test_law"):
        promise = f"law {test.split('_')[2]}"

    assert f"This store breaks {promise}" in notes


@pytest.mark.parametrize("test", sorted(set(REJECTED_BY.values())))
def test_an_intact_store_is_not_rejected(test: str) -> None:
    """
    What rejects the broken stores accepts the store that they were made from.
    """
    getattr(kit(MemoryStore), test)()


@pytest.mark.parametrize("field", [name for name in CardRecord._fields if name != "id"])
def test_no_field_of_a_replaced_card_can_be_kept(field: str) -> None:
    """
    A store that keeps a single old field of a card that is replaced is rejected, whichever field it is.
    """
    values = [getattr(samples.rewritten(1, times), field) for times in range(5)]

    assert all(before != after for before, after in itertools.pairwise(values)), "the kit does not change this field"

    class KeepsOne(KeepsOldFields):
        kept = (field,)

    with pytest.raises(Exception) as failure:  # noqa: PT011 - a broken store may fail in any way
        kit(KeepsOne).test_law_5_a_replaced_card_comes_back_equal()

    assert "This store breaks law 5" in " ".join(failure.value.__notes__)


def test_every_law_rejects_some_store() -> None:
    """
    There is a broken store for each law and for almost every test.
    """
    laws = {test.split("_")[2] for test in REJECTED_BY.values() if test.startswith("test_law")}

    assert set("123456789") == laws
    assert len(set(REJECTED_BY.values())) >= 20


def test_all_missing_methods_are_named() -> None:
    """
    Whoever has only begun a store is told once what is missing.
    """
    with pytest.raises(AssertionError, match="the store has no nearest, audit"):
        kit(LacksMethods).test_it_is_a_store()


def test_what_cannot_be_pickled_is_not_the_fault_of_the_store() -> None:
    """
    Where child processes cannot be given what `fresh` yields, the kit says so, and does not say that a law is broken.
    """

    class YieldsLambda(OnSQLite):
        @contextmanager
        def fresh(self) -> Iterator[Opener]:
            with super().fresh() as open_store:
                yield lambda: open_store()  # noqa: PLW0108 - what cannot be pickled

    with pytest.raises(TypeError, match="what `fresh` yields has to be picklable") as failure:
        YieldsLambda(SQLiteStore).test_law_3_no_recharge_is_lost()

    assert not getattr(failure.value, "__notes__", [])


@pytest.mark.parametrize("store", FOUND_BY_STORIES, ids=lambda store: store.__name__)
def test_stories_find_broken_stores(store: type[MemoryStore]) -> None:
    """
    The state machine rejects broken stores too, without having been told how they are broken.
    """
    with pytest.raises(Exception) as failure:  # noqa: PT011 - a broken store may fail in any way
        check_story(store_machine(kit(store).fresh), REPEATABLE)

    assert isinstance(failure.value, (AssertionError, KeyError))


def test_stories_are_worth_telling() -> None:
    """
    In the stories commits are accepted and refused for every reason, and searches find something.
    """
    tally = check_story(store_machine(kit(MemoryStore).fresh), REPEATABLE)

    assert tally["committed"] >= 500
    assert min(tally["StaleError"], tally["DuplicateError"]) >= 50
    assert tally["CeilingError"] >= 15
    assert min(tally["cards found"], tally["entries found"], tally["documents found"]) >= 20
    assert min(tally["expired found"], tally["forgotten"]) >= 10
    assert min(tally["expired holds found"], tally["calls found"]) >= 10
    assert tally["left taken"] >= 10
    assert tally["walks finished"] >= 3
