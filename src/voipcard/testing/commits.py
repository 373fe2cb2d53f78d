"""
Laws 1, 2, 6 and 8: what a commit promises when nobody else is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

import attrs

from voipcard.core.query import CardQuery, EntryQuery
from voipcard.errors import CeilingError, DuplicateError, StaleError, StoreError
from voipcard.stores.contract import CardRecord, Changes, CounterChange, Document, EntryRecord, Store
from voipcard.testing import samples
from voipcard.testing.proofs import Proofs, proves, refused

__all__ = ["CommitContract"]

MANY: Final = 3000
"""More than a database takes as parameters of one statement."""


class CommitContract(Proofs):
    """
    The tests of what is committed and what is refused.
    """

    @proves("law 1")
    def test_law_1_a_refused_commit_changes_nothing(self) -> None:
        """
        A commit that raised has changed nothing, whichever of its parts was refused.
        """
        with self.opened() as store:
            samples.begin_steps(store)
            store.commit(samples.step(1))
            before = samples.contents(store)
            whole = samples.step(2)
            spoiled = {
                "a stale card": attrs.evolve(whole, remove=[(samples.card(20).id, 7)]),
                "a stale document": attrs.evolve(whole, require=[("step/000001", 9)]),
                "a stale document to forget": attrs.evolve(whole, forget=[("step/000001", 9)]),
                "a taken index": attrs.evolve(whole, new=samples.Flood(30, first=500, repeat=20)),
                "a taken operation": attrs.evolve(whole, entries=[_operated(whole.entries[0], 1)]),
                "an entry that is there": attrs.evolve(
                    whole, entries=[*whole.entries, samples.entry(samples.tally_after(1))]
                ),
                "a counter at its ceiling": attrs.evolve(
                    whole, counters=[CounterChange("active", 1, 1), CounterChange("steps", 1, 1)]
                ),
                "an entry that comes twice": attrs.evolve(whole, entries=[*whole.entries, _unnamed(whole.entries[0])]),
                "an audit entry that is there": attrs.evolve(whole, audit=[samples.audit(9), samples.audit(1)]),
                "an audit entry that comes twice": attrs.evolve(whole, audit=[samples.audit(9), samples.audit(9)]),
            }
            for what, changes in spoiled.items():
                assert not _accepted(store, changes), f"{what} was not refused"
                assert before == samples.contents(store), f"{what} was refused, but something was written"
            store.commit(whole)

            assert samples.contents_after(2) == samples.contents(store)

    @proves("law 1")
    def test_law_1_a_caller_that_fails_changes_nothing(self) -> None:
        """
        Where the cards of a commit fail while they are iterated, nothing is changed, and the store goes on.

        The exception is the caller's own, and comes back to the caller unchanged.
        """

        def failing(size: int) -> Iterator[tuple[CardRecord, EntryRecord]]:
            yield from samples.Flood(size, first=500)
            raise LookupError(size)

        with self.opened() as store:
            samples.begin_steps(store)
            store.commit(samples.step(1))
            for size in (10, 5000):
                failure = refused(store, attrs.evolve(samples.step(2), new=failing(size)), LookupError)

                assert failure.args == (size,)
                assert samples.contents_after(1) == samples.contents(store)
            store.commit(samples.step(2))

            assert samples.contents_after(2) == samples.contents(store)

    @proves("law 1")
    def test_law_1_every_handle_sees_a_commit(self) -> None:
        """
        What one handle has committed every other sees at once, also after the first was closed.
        """
        with self.fresh() as open_store, closing(open_store()) as early:
            with closing(open_store()) as store:
                samples.begin_steps(store)
                assert samples.contents_after(0) == samples.contents(early)

                store.commit(samples.step(1))

                assert samples.contents_after(1) == samples.contents(early)
            with closing(open_store()) as late:
                assert samples.contents_after(1) == samples.contents(late)

    @proves("law 2")
    def test_law_2_all_stale_versions_are_named(self) -> None:
        """
        `StaleError` names all cards and documents that have another version than expected, and no other.
        """
        with self.opened() as store:
            cards = [samples.card(number) for number in range(8)]
            store.commit(Changes(new=samples.new(*range(7)), documents=[_document(key, 0) for key in "abcd"]))
            store.commit(Changes(replace=[(samples.recharged(card)[0], 1) for card in cards[:2]]))
            twice = samples.recharged(samples.recharged(cards[2])[0])[0]
            refusal = refused(
                store,
                Changes(
                    new=samples.new(50),
                    replace=[(samples.recharged(cards[number])[0], 1) for number in (0, 3)] + [(twice, 2)],
                    remove=[(cards[number].id, 1) for number in (1, 4, 7)],
                    documents=[_document("a", 1), _document("b", 0), _document("missing", 1), _document("new", 0)],
                    require=[("c", 2), ("d", 1), ("absent", 0), ("gone", 3)],
                ),
                StaleError,
            )

            assert {cards[number].id for number in (0, 1, 2, 7)} == refusal.cards
            assert {"b", "missing", "c", "gone"} == refusal.documents

    @proves("law 2")
    def test_law_2_a_missing_card_is_stale(self) -> None:
        """
        A card that is not there is stale whatever version is expected, also 0, and also if it was there once.
        """
        with self.opened() as store:
            store.commit(Changes(new=samples.new(1, 2), documents=[_document("a", 0)]))
            store.commit(Changes(remove=[samples.removed_version(samples.card(2))]))
            before = samples.contents(store)
            gone, never = samples.card(2), samples.card(3)
            for expected in (0, 1):
                replaced, removed = [(samples.recharged(gone)[0], expected)], [(never.id, expected)]
                removed_alone = Changes(remove=removed, documents=[_document("b", 0)])

                assert {gone.id} == refused(store, Changes(replace=replaced), StaleError).cards
                assert {never.id} == refused(store, removed_alone, StaleError).cards
                assert {gone.id, never.id} == refused(
                    store, Changes(replace=replaced, remove=[*removed, (samples.card(1).id, 1)]), StaleError
                ).cards
            assert before == samples.contents(store)

    @proves("law 2")
    def test_law_2_a_repeated_version_is_stale(self) -> None:
        """
        A card that comes twice in a commit is stale the second time.
        """
        with self.opened() as store:
            store.commit(Changes(new=samples.new(1, 2, 3)))
            one, two, three = (samples.card(number) for number in (1, 2, 3))
            first, again = samples.recharged(one)[0], samples.recharged(one, 2)[0]
            changes = Changes(
                replace=[(first, 1), (again, 1), (samples.recharged(two)[0], 1), (samples.recharged(three)[0], 1)],
                remove=[samples.removed_version(two)],
            )

            assert {one.id, two.id} == refused(store, changes, StaleError).cards
            assert one == store.find(id=one.id)

    @proves("law 2")
    def test_law_2_all_duplicates_are_named(self) -> None:
        """
        `DuplicateError` names all ids, indexes, serials and operations that are taken, and no other.
        """
        with self.opened() as store:
            old = [(card, _operated(entry, number)) for number, (card, entry) in enumerate(samples.new(*range(4)))]
            store.commit(Changes(new=old))
            (id_taken, serial_taken, index_taken, free), moved = (
                samples.new(10, 11, 12, 13),
                samples.recharged(old[3][0]),
            )
            id_taken = (id_taken[0]._replace(id=old[0][0].id), id_taken[1])
            serial_taken = (serial_taken[0]._replace(serial=old[1][0].serial), serial_taken[1])
            index_taken = (index_taken[0]._replace(index=old[2][0].index), _operated(index_taken[1], 1))
            changes = Changes(
                new=[id_taken, serial_taken, free, index_taken],
                replace=[(moved[0]._replace(index=old[1][0].index), 1)],
                entries=[_operated(moved[1], 2)],
            )
            refusal = refused(store, changes, DuplicateError)

            assert {old[0][0].id} == refusal.ids
            assert {old[1][0].serial} == refusal.serials
            assert {old[1][0].index, old[2][0].index} == refusal.indexes
            assert {samples.operation(1), samples.operation(2)} == refusal.operations

    @proves("law 2")
    def test_law_2_repeats_within_a_commit_are_named(self) -> None:
        """
        What a commit itself has twice is named as if it had been there before.
        """
        with self.opened() as store:
            store.commit(Changes(new=samples.new(1, 2)))
            cards = samples.new(*range(10, 20))
            cards[1] = (cards[1][0]._replace(index=cards[0][0].index), _operated(cards[1][1], 5))
            cards[3] = (cards[3][0]._replace(serial=cards[2][0].serial), _operated(cards[3][1], 5))
            refusal = refused(store, Changes(new=cards), DuplicateError)

            assert not refusal.ids
            assert {cards[0][0].index} == refusal.indexes
            assert {cards[2][0].serial} == refusal.serials
            assert {samples.operation(5)} == refusal.operations

    @proves("law 2")
    def test_law_2_cards_that_move_to_one_index_are_named(self) -> None:
        """
        Where a commit gives two cards the same new index, as a change of keys could, the index is named.
        """
        with self.opened() as store:
            store.commit(Changes(new=samples.new(1, 2)))
            moved = [samples.recharged(samples.card(number))[0]._replace(index=b"same") for number in (1, 2)]

            assert {b"same"} == refused(store, Changes(replace=[(card, 1) for card in moved]), DuplicateError).indexes

    @proves("law 2")
    def test_law_2_thousands_of_offenders_are_named(self) -> None:
        """
        However many offenders there are, all are named.
        """
        with self.opened() as store:
            store.commit(Changes(new=samples.Flood(MANY)))
            cards = [
                (card._replace(index=samples.card(number).index), entry)
                for number, (card, entry) in enumerate(samples.Flood(MANY, first=MANY))
            ]

            assert {samples.card(number).index for number in range(MANY)} == refused(
                store, Changes(new=cards), DuplicateError
            ).indexes
            assert {samples.card(number).id for number in range(MANY)} == refused(
                store, Changes(remove=[(samples.card(number).id, 2) for number in range(MANY)]), StaleError
            ).cards

    @proves("law 2")
    def test_law_2_ceilings_hold(self) -> None:
        """
        A counter rises to its ceiling and no further, and moves down from anywhere. All offenders are named.
        """
        with self.opened() as store:
            store.commit(Changes(counters=[CounterChange("a", 5, 5), CounterChange("b", 9), CounterChange("c", 1, 7)]))
            changes = Changes(
                counters=[
                    CounterChange("a", 1, 5),
                    CounterChange("b", 1, 3),
                    CounterChange("c", 6, 7),
                    CounterChange("d", 2, 1),
                ]
            )
            refusal = refused(store, changes, CeilingError)

            assert {("a", 5), ("b", 9), ("d", 0)} == set(refusal.counters)

            store.commit(
                Changes(counters=[CounterChange("b", -1, 3), CounterChange("a", 0, 2), CounterChange("c", 6, 7)])
            )

            assert dict(store.counters("abcd")) == {"a": 5, "b": 8, "c": 7, "d": 0}

    @proves("law 2")
    def test_law_2_the_first_class_is_raised(self) -> None:
        """
        Where several classes are breached it is `StaleError` before `DuplicateError` before `CeilingError`.
        """
        with self.opened() as store:
            store.commit(Changes(new=samples.new(1), counters=[CounterChange("full", 1)]))
            above = [CounterChange("full", 1, 1)]
            taken = [(samples.card(2)._replace(index=samples.card(1).index), samples.entry(samples.card(2)))]
            refused(store, Changes(new=taken, counters=above), DuplicateError)
            refused(store, Changes(new=taken, counters=above, require=[("missing", 1)]), StaleError)
            refused(store, Changes(counters=above, remove=[(samples.card(1).id, 2)]), StaleError)

    @proves("law 2")
    def test_law_2_operations_stay_taken(self) -> None:
        """
        An operation stays taken when its card is removed; the index of the card is free again.
        """
        with self.opened() as store:
            [(card, entry)] = samples.new(1)
            store.commit(Changes(new=[(card, _operated(entry, 1))]))
            store.commit(Changes(remove=[samples.removed_version(card)]))
            [(again, entry)] = samples.new(2)
            again = again._replace(index=card.index)
            refusal = refused(store, Changes(new=[(again, _operated(entry, 1))]), DuplicateError)

            assert not refusal.indexes
            assert {samples.operation(1)} == refusal.operations

            store.commit(Changes(new=[(again, entry)]))

            assert again == store.find(index=card.index)

    @proves("law 2")
    def test_law_2_what_a_card_left_is_free(self) -> None:
        """
        The index and serial that a replaced or removed card had find nothing, and the next commit can take them.
        """
        with self.fresh() as open_store, closing(open_store()) as store, closing(open_store()) as other:
            one, two, three = (samples.card(number) for number in (1, 2, 3))
            store.commit(Changes(new=samples.new(1, 2, 3)))
            for handle in (store, other):
                _check_where(handle, there=[one, two, three], left=[])
            moved = _moved_to(one, samples.card(11))
            store.commit(Changes(replace=[(moved, 1)], remove=[samples.removed_version(two)]))
            for handle in (store, other):
                _check_where(handle, there=[moved, three], left=[one, two])

            heirs = [_named_like(samples.card(21), one), _named_like(samples.card(22), two)]
            other.commit(Changes(new=[(heir, samples.entry(heir)) for heir in heirs]))
            for handle in (store, other):
                _check_where(handle, there=[moved, three, *heirs], left=[])

            store.commit(Changes(remove=[samples.removed_version(moved), samples.removed_version(heirs[0])]))
            back, late = _moved_to(three, one), _named_like(samples.card(23), moved)
            store.commit(Changes(replace=[(back, 1)], new=[(late, samples.entry(late))]))
            for handle in (store, other):
                _check_where(handle, there=[back, late, heirs[1]], left=[three])

    @proves("law 2")
    def test_law_2_what_is_required_was_there_before(self) -> None:
        """
        What is required is the version before the commit, also of a document that the commit changes.
        """
        with self.opened() as store:
            store.commit(Changes(documents=[_document("a", 0)], require=[("a", 0), ("b", 0)]))
            after = Changes(documents=[_document("a", 1)], require=[("a", 2)])

            assert {"a"} == refused(store, after, StaleError).documents

            store.commit(attrs.evolve(after, require=[("a", 1)]))

            assert _document("a", 1)[0] == store.document("a")

    @proves("law 2")
    def test_law_2_what_is_forgotten_is_absent(self) -> None:
        """
        A document that was forgotten is read no more, neither by another handle, and its key can be taken as a new one.
        """
        with self.fresh() as open_store, closing(open_store()) as store, closing(open_store()) as other:
            many = [Document(f"many/{number:04}", b"", 1, samples.EPOCH) for number in range(MANY)]
            store.commit(Changes(documents=[*((each, 0) for each in many), *(_document(key, 0) for key in "abc")]))
            store.commit(Changes(documents=[_document("b", 1)]))
            store.commit(Changes(forget=[("b", 2)], require=[("b", 2), ("c", 1)], audit=[samples.audit(1)]))
            other.commit(Changes(forget=[(each.key, 1) for each in many[1:]]))
            for reader in (store, other):
                assert reader.document("b") is None
                assert list(reader.documents("b")) == list(reader.find_documents(["b", many[-1].key])) == []
                assert many[:1] == list(reader.documents("", expired_at=samples.EPOCH))
                assert ["a", "c", many[0].key] == [each.key for each in samples.every_document(reader)]

            store.commit(Changes(documents=[_document("b", 0)], require=[(many[1].key, 0)]))

            assert _document("b", 0)[0] == store.document("b") == other.document("b")

    @proves("law 2")
    def test_law_2_only_what_is_as_expected_is_forgotten(self) -> None:
        """
        A document to forget is stale that has another version, is not there, or is in the commit twice, and named.
        """
        with self.opened() as store:
            store.commit(Changes(new=samples.new(1), documents=[_document(key, 0) for key in "abcdef"]))
            store.commit(Changes(documents=[_document("b", 1)]))
            before = samples.contents(store)
            forget = [("a", 1), ("b", 1), ("c", 2), ("d", 0), ("e", 1), ("e", 1), ("gone", 1), ("none", 0), ("f", 1)]
            again = [_document("f", 1), _document("new", 0)]
            whole = Changes(forget=forget, documents=again, remove=[(samples.card(1).id, 2)], require=[("a", 1)])

            assert {"b", "c", "d", "e", "f", "gone", "none"} == refused(store, whole, StaleError).documents
            for stale in ([("b", 1)], [("gone", 1)], [("none", 0)], [("a", 1), ("a", 1)]):
                assert {key for key, _ in stale} == refused(store, Changes(forget=stale), StaleError).documents
            for key, expected in (("f", 0), ("f", 1), ("new", 0)):
                put = (Document(key, b"put", version=1), expected)
                both = Changes(forget=[(key, 1)], documents=[put])
                assert {key} == refused(store, both, StaleError).documents
            assert {"a"} == refused(store, Changes(forget=[("a", 1)], require=[("a", 2)]), StaleError).documents
            assert before == samples.contents(store)

    @proves("law 6")
    def test_law_6_history_stays(self) -> None:
        """
        Entries stay as they are when their card is changed or removed, and cannot be written a second time.
        """
        with self.opened() as store:
            [(card, entry)] = samples.new(1)
            after, recharge = samples.recharged(card)
            store.commit(Changes(new=[(card, _operated(entry, 1))], audit=[samples.audit(1)]))
            store.commit(Changes(replace=[(after, 1)], entries=[recharge]))
            history = [_operated(entry, 1), recharge]

            assert history == list(store.entries(EntryQuery(card=card.id)))

            store.commit(Changes(remove=[samples.removed_version(after)]))

            assert not _accepted(store, Changes(entries=[recharge._replace(amount=7)]))
            assert not _accepted(store, Changes(audit=[samples.audit(1)._replace(actor="mallory")]))
            assert store.find(id=card.id) is None
            assert history == list(store.entries(EntryQuery(card=card.id)))
            assert history[:1] == list(store.entries(EntryQuery(operation=samples.operation(1))))
            assert [(card.id,)] == [total.group for total in store.totals(EntryQuery(), ["card"])]
            assert [samples.audit(1)] == list(store.audit())

    @proves("law 8")
    def test_law_8_a_refusal_is_certain(self) -> None:
        """
        A refusal for a breached precondition says that nothing was applied, and asking again tells the truth.
        """
        with self.opened() as store:
            [(card, entry)] = samples.new(1)
            once = Changes(new=[(card, _operated(entry, 1))], counters=[CounterChange("active", 1, 1)])
            store.commit(once)
            duplicate = refused(store, once, DuplicateError)
            refusals: list[StoreError] = [
                duplicate,
                refused(store, Changes(remove=[(card.id, 3)]), StaleError),
                refused(store, Changes(counters=once.counters), CeilingError),
            ]

            assert [refusal.maybe_applied for refusal in refusals] == [False] * 3
            assert {samples.operation(1)} == duplicate.operations == store.known(operations=duplicate.operations)
            assert [_operated(entry, 1)] == list(store.entries(EntryQuery(operation=samples.operation(1))))


def _operated(entry: EntryRecord, number: int) -> EntryRecord:
    return entry._replace(operation=samples.operation(number))


def _unnamed(entry: EntryRecord) -> EntryRecord:
    return entry._replace(operation=None)


def _named_like(card: CardRecord, other: CardRecord) -> CardRecord:
    return card._replace(index=other.index, serial=other.serial)


def _moved_to(card: CardRecord, other: CardRecord) -> CardRecord:
    return _named_like(card, other)._replace(version=card.version + 1)


def _check_where(store: Store, *, there: Sequence[CardRecord], left: Sequence[CardRecord]) -> None:
    """
    Check that the cards are found by what they have now, and nothing by what was left.
    """
    every = [*there, *left]
    for card in there:
        assert card == store.find(id=card.id) == store.find(serial=card.serial) == store.find(index=card.index)
        assert card == store.nearest(card.index)
    for card in left:
        following = [each for each in there if each.index >= card.index] or there
        assert store.find(serial=card.serial) is None, "a serial finds a card that has another one now"
        assert store.find(index=card.index) is None, "an index finds a card that has another one now"
        assert min(following, key=lambda each: each.index) == store.nearest(card.index)
        assert 0 == store.count(CardQuery(serial=card.serial)) == store.count(CardQuery(index=card.index))

    assert {each for card in there for each in (card.index, card.serial)} == store.known(
        indexes=[card.index for card in every], serials=[card.serial for card in every]
    )


def _document(key: str, expected: int) -> tuple[Document, int]:
    return Document(key, b"", version=expected + 1), expected


def _accepted(store: Store, changes: Changes) -> bool:
    try:
        store.commit(changes)
    except StoreError:
        return False

    return True
