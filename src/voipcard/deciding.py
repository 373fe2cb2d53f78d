"""
Reading, deciding and committing, again where something changed meanwhile.

What several threads want of cards at a time is read, decided and committed by one of them.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Generic, Literal, TypeVar, cast

import attrs

from voipcard.core.cards import serial_or_nothing
from voipcard.errors import (
    CeilingError,
    DuplicateError,
    QuotaExceededError,
    StaleError,
    StoreBusyError,
    StoreClosedError,
    StoreError,
    TamperedError,
    VoipcardError,
    interrupted,
    said_again,
)
from voipcard.records import Records
from voipcard.stores.contract import AuditRecord, CardRecord, Changes, Store, joined
from voipcard.trail import Trail
from voipcard.turns import Turns

__all__ = ["CHUNK", "Decider", "Decision", "Reading", "found_by_serial"]

T = TypeVar("T")

CHUNK: Final = 1000
"""How many cards one commit changes at most, so that others need not wait for long."""

_ATTEMPTS: Final = 200
_TIMES_TOGETHER: Final = 5
"""How often what several threads want is decided again where another process was faster, before each goes on alone."""

_LONGEST_PAUSE: Final = 0.02


@attrs.frozen
class Decision(Generic[T]):
    """
    What a rule decided after reading: what to commit, what to answer, and what to remember of it.

    Attributes:
        changes: What to commit; None to write nothing.
        answer: What the caller is told.
        memo:
            What the answer can be built from once more, as JSON without secrets. Where nothing is changed either, None
            lets an operation be decided anew the next time.
        at_ceiling:
            What follows where a counter would rise too far: `refuse` for what the license allows, `again` to decide
            once more.
        links: What it left in the audit trail where another thread has committed it, for the hooks.
    """

    changes: Changes | None
    answer: T
    memo: Any = None
    at_ceiling: Literal["refuse", "again"] = "refuse"
    links: Sequence[AuditRecord] = ()


@attrs.frozen
class Reading:
    """
    What was read for a decision.

    Attributes:
        cards: The cards that were asked for, by their serials, as far as they exist. They are checked where used.
        operations: Those of the operations asked for that were done before.
        refusal: What the commit before was refused for; None at first.
    """

    cards: dict[str, CardRecord] = attrs.field(factory=dict)
    operations: frozenset[bytes | str] = frozenset()
    refusal: StoreError | None = None


@attrs.frozen(eq=False)
class _Task:
    """
    Something to decide, and what has to be read for it.
    """

    decide: Callable[[Reading], Decision[Any]]
    cards: Sequence[str]
    operations: Sequence[bytes]


class Decider:
    """
    Lets rules decide over what a store keeps.

    Args:
        store: The store.

        records: The keys of the book at work.

        trail: Writes to the store, and to the audit trail.
    """

    def __init__(self, store: Store, records: Records, trail: Trail) -> None:
        self._store: Final = store
        self._records: Final = records
        self._trail: Final = trail
        self.turns: Final[Turns[_Task, Decision[Any] | None]] = Turns(self._together, interrupted)

    def run(
        self,
        decide: Callable[[Reading], Decision[T]],
        *,
        cards: Sequence[str] = (),
        operations: Sequence[bytes] = (),
    ) -> T:
        """
        Decide and commit, again and again while others are faster.

        What several threads want of cards at a time is read and decided by one of them, and committed together: so
        threads that want the same card come one after another, instead of being refused.

        Args:
            decide: Decides.

            cards: The serials of the cards that it changes, to read them before.

            operations: Operations to look for before.
        """
        task = _Task(decide, cards, operations)
        decision = self.turns.take(task) if cards else None
        if decision is None:
            return cast("T", self._run_alone(task))
        # Not before the turn is over: a hook may take long, or wait for a thread that wants one.
        self._trail.tell(decision.links)

        return cast("T", decision.answer)

    def _run_alone(self, task: _Task) -> Any:  # noqa: ANN401  (whatever the task answers)
        refusal: StoreError | None = None
        attempt = 0
        while True:
            reading = _read(self._store, [task])
            decision = task.decide(attrs.evolve(reading, refusal=refusal) if refusal else reading)
            if decision.changes is None:
                return decision.answer
            try:
                self._trail.commit(decision.changes)
            except (StaleError, DuplicateError, CeilingError) as error:
                if isinstance(error, CeilingError) and decision.at_ceiling == "refuse":
                    raise _quota_exceeded(error, decision.changes) from error
                attempt += 1
                if attempt == _ATTEMPTS or (isinstance(error, StaleError) and error.lasting):
                    raise
                refusal = error
                time.sleep(min(_LONGEST_PAUSE, 0.0005 * 2 ** min(attempt, 10)) * os.urandom(1)[0] / 255)
            else:
                return decision.answer

    def _together(self, tasks: Sequence[_Task]) -> Sequence[Decision[Any] | Exception | None]:
        """
        Read and decide for several threads, and commit all of it at once.

        Returns:
            What was decided and done for each; None where the thread has to do it alone.
        """
        for _ in range(_TIMES_TOGETHER):
            outcomes = self._outcomes(tasks)
            writes = [changes for changes in map(_written, outcomes) if changes is not None]
            if not writes:
                return outcomes
            changes = writes[0] if len(writes) == 1 else joined(_chained(self._records, writes))
            if changes is None:
                break
            try:
                links = self._trail.write(changes)
            except StaleError as error:
                if not error.lasting:
                    continue
                return [said_again(error) if _written(outcome) else None for outcome in outcomes]
            except (DuplicateError, CeilingError):
                break
            except StoreError as error:
                if not (error.maybe_applied or isinstance(error, StoreBusyError | StoreClosedError)):
                    break  # One of them may be what the disk has no room for.
                # Who was refused, or had nothing to write, may have been so because of what was not committed now.
                return [said_again(error) if _written(outcome) else None for outcome in outcomes]
            return _with_links(outcomes, links) if self._trail.hooks else outcomes

        return [None for _ in tasks]

    def _outcomes(self, tasks: Sequence[_Task]) -> list[Decision[Any] | Exception | None]:
        """
        Decide one task after another, each upon what was decided before.
        """
        # The first one, and as many more as fit into one commit.
        sizes = itertools.accumulate(len(task.cards) for task in tasks)
        fitting = [task for task, size in zip(tasks, sizes, strict=True) if task is tasks[0] or size <= CHUNK]
        try:
            reading = _read(self._store, fitting)
        except StaleError as error:
            return [said_again(error) if error.lasting else None for _ in tasks]
        except VoipcardError:
            return [None for _ in tasks]
        outcomes: list[Decision[Any] | Exception | None] = []
        pending: set[bytes | None] = set()
        for task in tasks:
            # What another one has just decided to do is not there yet to be looked up.
            is_alone = task not in fitting or pending.intersection(task.operations)
            outcome = None if is_alone else _outcome(task, _own(task, reading))
            outcomes.append(outcome)
            if changes := _written(outcome):
                reading.cards.update((card.serial, card) for card, _ in changes.replace)
                pending.update(task.operations)
                pending.update(entry.operation for entry in changes.entries)

        return outcomes


def found_by_serial(store: Store, serials: Iterable[str]) -> dict[str, CardRecord]:
    """
    Give the cards with these serials. They are checked where they are used.

    Raises:
        TamperedError: If the store gives another card.
    """
    # What is no serial may be a code that was given by mistake: it is not even looked for.
    asked = {serial for serial in serials if serial_or_nothing(serial)}
    found = {record.serial: record for record in store.find_many(serials=asked)} if asked else {}
    if strangers := found.keys() - asked:
        raise TamperedError(min(asked - found.keys() or strangers), "record")

    return found


def _read(store: Store, tasks: Sequence[_Task]) -> Reading:
    cards = found_by_serial(store, (serial for task in tasks for serial in task.cards))
    operations = [operation for task in tasks for operation in task.operations]

    return Reading(cards, store.known(operations=operations) if operations else frozenset())


def _own(task: _Task, reading: Reading) -> Reading:
    """
    Give what was read for several without the operations that others asked for.
    """
    operations = reading.operations
    if not operations or operations.issubset(task.operations):  # As nearly always: most of what is asked for is new.
        return reading

    return attrs.evolve(reading, operations=operations.intersection(task.operations))


def _written(outcome: Decision[Any] | Exception | None) -> Changes | None:
    return outcome.changes if isinstance(outcome, Decision) else None


def _outcome(task: _Task, reading: Reading) -> Decision[Any] | Exception:
    try:
        return task.decide(reading)
    except Exception as error:  # noqa: BLE001 - it is raised in the thread that it belongs to
        return error


def _with_links(
    outcomes: Sequence[Decision[Any] | Exception | None], links: Sequence[AuditRecord]
) -> list[Decision[Any] | Exception | None]:
    """
    Give each decision what it left in the audit trail, which has that of all of them in their order.
    """
    left = iter(links)

    return [
        attrs.evolve(outcome, links=tuple(itertools.islice(left, len(outcome.changes.audit))))
        if isinstance(outcome, Decision) and outcome.changes is not None
        else outcome
        for outcome in outcomes
    ]


def _chained(records: Records, writes: Sequence[Changes]) -> Sequence[Changes]:
    """
    Let a card that is replaced several times be replaced once, by what it is in the end.
    """
    expected: dict[bytes, int] = {}
    latest: dict[bytes, CardRecord] = {}
    for card, version in (each for changes in writes for each in changes.replace):
        expected.setdefault(card.id, version)
        latest[card.id] = card
    replace = [
        (
            card if card.version == expected[id] + 1 else records.signed(card._replace(version=expected[id] + 1)),
            expected[id],
        )
        for id, card in latest.items()
    ]

    return [Changes(replace=replace), *(attrs.evolve(changes, replace=()) for changes in writes)]


def _quota_exceeded(error: CeilingError, changes: Changes) -> QuotaExceededError:
    values = dict(error.counters)
    hit = [change for change in changes.counters if change.key in values]
    tightest = min(hit, key=lambda change: (change.ceiling or 0) - values[change.key])

    return QuotaExceededError(tightest.ceiling or 0, values[tightest.key], tightest.delta)
