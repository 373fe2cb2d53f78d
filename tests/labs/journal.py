"""
What clients wrote down before and after each step with the credit of cards, and what of it cannot be so.

Nothing here asks the library: that a hold lasts, that credit is spent once, and how often a card is in use follow from
the moments at which somebody asked and was answered.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

import attrs

__all__ = ["ENDS", "MAKES", "Account", "Answer", "Ask", "Entry", "Journal", "Step", "Verb", "faults", "steps_in"]

Verb: TypeAlias = Literal["hold", "extend", "capture", "release", "begin", "keep_alive", "end", "recharge", "sweep"]

MAKES: Final[frozenset[Verb]] = frozenset({"hold", "begin"})
ENDS: Final[frozenset[Verb]] = frozenset({"capture", "release", "end"})

_ANSWERED: Final = frozenset({"done", "replayed"})
_GONE: Final = frozenset({"UnknownHoldError", "CallEndedError"})


class Ask(NamedTuple):
    """
    Something that a client is about to do; amounts in millionths, moments and durations in microseconds.

    Attributes:
        step: Its name.
        at: When.
        verb: What.
        serial: The card.
        subject: The id of the hold; or, for what makes one, the operation or the id of the call; or the order number.
        amount: How much; for the end of a call, what it costs.
        expires_in: For how long credit is held.
    """

    step: str
    at: int
    verb: Verb
    serial: str
    subject: str
    amount: int = 0
    expires_in: int = 0


class Answer(NamedTuple):
    """
    What a client was told.

    Attributes:
        at: When.
        outcome: `done`, `replayed`, or the class of the error.
        is_unsure: Whether it may have been done all the same.
        hold: The id of the hold.
        amount: How much is held, or the amount of the entry.
        begun_at: When the hold began.
        expires_at: When it runs out.
        shortfall: What could not be taken.
        sequence: The number of the entry.
        credit_left: What was left on the card.
    """

    at: int
    outcome: str
    is_unsure: bool = False
    hold: str = ""
    amount: int = 0
    begun_at: int = 0
    expires_at: int = 0
    shortfall: int = 0
    sequence: int = 0
    credit_left: int = 0

    @property
    def is_yes(self) -> bool:
        """
        Whether it was done, now or before.
        """
        return self.outcome in _ANSWERED


class Step(NamedTuple):
    """
    What was asked, and what was answered; None if the client was killed before.
    """

    ask: Ask
    answer: Answer | None


class Journal:
    """
    A file to which one client at a time writes, in which every line outlives it.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._file: Final = path.open("a", encoding="utf-8")

    def write(self, *line: object) -> None:
        """
        Write a line.
        """
        self._file.write(f"{json.dumps(line)}\n")
        self._file.flush()


def steps_in(path: Path, *, last: int = sys.maxsize) -> list[Step]:
    """
    Read a journal, or no more than its last lines. The end of a line may be missing.
    """
    steps: dict[str, Step] = {}
    for line in path.read_text("utf-8").splitlines(keepends=True)[-last:]:
        if not line.endswith("\n"):
            break
        told, *fields = json.loads(line)
        if told == "ask":
            ask = Ask(*fields)
            steps[ask.step] = Step(ask, None)
        elif told in steps:
            steps[told] = steps[told]._replace(answer=Answer(*fields))

    return list(steps.values())


class Entry(NamedTuple):
    """
    A ledger entry, as the store has it.

    Attributes:
        serial: The card.
        sequence: Its number.
        kind: What it is.
        key: The id of the hold that it ended, or its order number; empty for an initial one.
        amount: What was added.
        shortfall: What could not be taken.
        credit_left: What was left.
        held_left: What was held.
        created_at: When it was decided.
        is_rated: Whether it is the charge of a call.
    """

    serial: str
    sequence: int
    kind: str
    key: str
    amount: int
    shortfall: int
    credit_left: int
    held_left: int
    created_at: int
    is_rated: bool

    def answers(self, ask: Ask) -> bool:
        """
        Tell whether it is what was asked for.
        """
        wanted = {
            "capture": ("charge", self.shortfall - self.amount),
            "end": ("charge", self.shortfall - self.amount if self.is_rated else -1),
            "release": ("release", self.amount),
            "recharge": ("recharge", self.amount),
        }

        return (self.serial, wanted.get(ask.verb)) == (ask.serial, (self.kind, ask.amount))


@attrs.frozen
class Account:
    """
    What was on the cards, what clients say about it, and what the ledger has.

    Attributes:
        initial: What was on each card at first.
        limit: How many holds a card may have at a time.
        steps: What the clients wrote down.
        credits: What is on each card in the end.
        entries: The ledger.
    """

    initial: int
    limit: int
    steps: Sequence[Step]
    credits: Mapping[str, int]
    entries: Sequence[Entry]


def faults(account: Account) -> dict[str, int]:
    """
    Count what is wrong; all is well if every number is 0.

    That is: answers that the ledger does not have; entries that nobody asked for, or that are there twice; entries and
    cards with less than nothing; entries with more held than there is; cards whose credit is not the sum of their
    entries; cards that certainly had more holds at a time than they may have; cards of which certainly more was held
    and spent than was ever on them; charges that were not met from a hold that was certainly there; holds that were
    denied although they were certainly there; and wrong words about what was done before or not done.
    """
    by_key: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in account.entries:
        by_key[entry.key].append(entry)
    asked = _grouped(account.steps)
    holds = [_Certain.of(ask, answer, asked[answer.hold]) for ask, answer in _made(account.steps)]
    sums: Counter[str] = Counter()
    for entry in account.entries:
        sums[entry.serial] += entry.amount

    return {
        "lost": sum(not _is_there(step, by_key[step.ask.subject]) for step in account.steps),
        "doubled": sum(
            len(found) > 1 or not any(found[0].answers(step.ask) for step in asked[key])
            for key, found in by_key.items()
            if found and found[0].kind != "initial"
        ),
        "negative": sum(left < 0 for left in (*account.credits.values(), *(e.credit_left for e in account.entries))),
        "overheld": sum(entry.held_left > entry.credit_left for entry in account.entries),
        "cards": sum(sums[serial] != credit for serial, credit in account.credits.items()),
        **_peaks(account, holds),
        "short": sum(hold.is_short(entry) for hold in holds for entry in by_key[hold.id][:1]),
        "vanished": sum(hold.denials for hold in holds),
        "mistold": sum(_is_mistold(step, asked[step.ask.subject], by_key[step.ask.subject]) for step in account.steps),
    }


# Holds that are certainly there


class _Span(NamedTuple):
    """
    A time in which so much was certainly held, and whether the hold was placed within the limit.
    """

    begin: int
    end: int
    amount: int
    is_counted: bool


@attrs.frozen
class _Certain:
    """
    When a hold was certainly there: from the answer that it was made to the question that ended it, or may have.

    Attributes:
        id: Its id.
        serial: The card.
        spans: When, and how much of it.
        until: When it runs out, by the last answer.
        is_known: Whether only what ended it could have changed it.
        denials: How often it was denied although it was there.
    """

    id: str
    serial: str
    spans: Sequence[_Span]
    until: int
    is_known: bool
    denials: int

    @classmethod
    def of(cls, asked: Ask, made: Answer, steps: Iterable[Step]) -> _Certain:
        """
        Follow a hold through all that was asked about it.
        """
        ends, changes = list[int](), list[tuple[Ask, Answer]]()
        blur = 2**63
        for ask, answer in steps:
            if ask.verb in ENDS:
                ends.append(ask.at)
            elif answer is None or answer.is_unsure:
                blur = min(blur, ask.at)
            else:
                changes.append((ask, answer))
        stop = min([blur, *ends])
        at, amount, until, is_counted = made.at, made.amount, made.expires_at, True
        spans, denials = list[_Span](), 0
        for ask, answer in sorted(changes, key=lambda change: change[0].at):
            if answer.outcome in _GONE:
                denials += answer.at < min(until, stop)
                stop = min(stop, ask.at)
                blur = min(blur, ask.at)
                break
            if not answer.is_yes:
                continue
            spans.append(_Span(at, min(ask.at, until), amount, is_counted))
            # While it is changed at least the smaller of both is held, for as long as it lasted before.
            spans.append(_Span(ask.at, min(answer.at, until), min(amount, answer.amount), is_counted))
            # A call may go on whose hold has run out, however many others there are by then.
            is_counted &= ask.verb == "extend" or answer.at < until
            at, amount, until = answer.at, answer.amount, answer.expires_at
        spans.append(_Span(at, until, amount, is_counted))
        clipped = [span._replace(end=min(span.end, stop)) for span in spans]

        return cls(
            made.hold,
            asked.serial,
            [span for span in clipped if span.begin < span.end],
            until,
            stop < blur,
            denials,
        )

    def is_short(self, entry: Entry) -> bool:
        """
        Tell whether less was taken by what ended it than was held for that.
        """
        if not (self.spans and self.is_known and entry.kind == "charge" and entry.created_at < self.until):
            return False
        cost = entry.shortfall - entry.amount

        return -entry.amount < min(cost, self.spans[-1].amount)


def _made(steps: Iterable[Step]) -> list[tuple[Ask, Answer]]:
    """
    Give the questions and answers that made a hold, each hold once.
    """
    made: dict[str, tuple[Ask, Answer]] = {}
    for ask, answer in steps:
        if ask.verb in MAKES and answer is not None and answer.is_yes:
            made.setdefault(answer.hold, (ask, answer))

    return list(made.values())


def _peaks(account: Account, holds: Iterable[_Certain]) -> dict[str, int]:
    """
    Count the cards that certainly had too many holds at a time, and those of which too much was held and spent.
    """
    moves: defaultdict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    for hold in holds:
        for begin, end, amount, is_counted in hold.spans:
            moves[hold.serial] += [(begin, 1, is_counted, amount), (end, 0, -int(is_counted), -amount)]
    known = set[str]()
    for at, serial, subject, spent in sorted(_money(account.steps)):
        if subject not in known:
            known.add(subject)
            moves[serial].append((at, int(spent > 0), 0, spent))
    peaks = {serial: _peak(sorted(each)) for serial, each in moves.items()}

    return {
        "crowded": sum(most > account.limit for most, _ in peaks.values()),
        "overspent": sum(most > account.initial for _, most in peaks.values()),
    }


def _peak(moves: Iterable[tuple[int, int, int, int]]) -> tuple[int, int]:
    """
    Give how many holds there were at most, and how much was held and spent more than was put on the card.
    """
    count = amount = most = highest = 0
    for _, _, more, held in moves:
        count, amount = count + more, amount + held
        most, highest = max(most, count), max(highest, amount)

    return most, highest


def _money(steps: Iterable[Step]) -> Iterable[tuple[int, str, str, int]]:
    """
    Give when credit may have been added at the earliest, and when it was certainly spent.
    """
    for ask, answer in steps:
        is_yes = answer is not None and answer.is_yes
        if ask.verb == "recharge" and ask.amount > 0:
            yield ask.at, ask.serial, ask.subject, -ask.amount
        elif answer is not None and is_yes and ask.verb in {*ENDS, "recharge"}:
            yield answer.at, ask.serial, ask.subject, -answer.amount


# What was said


def _grouped(steps: Iterable[Step]) -> defaultdict[str, list[Step]]:
    groups: defaultdict[str, list[Step]] = defaultdict(list)
    for step in steps:
        groups[step.ask.subject].append(step)

    return groups


def _is_there(step: Step, found: Sequence[Entry]) -> bool:
    """
    Tell whether the ledger has what a step was told, if it was told of an entry.
    """
    ask, answer = step
    if answer is None or not answer.is_yes or ask.verb not in {*ENDS, "recharge"}:
        return True
    told = (answer.sequence, answer.amount, answer.shortfall, answer.credit_left)

    return any(
        entry.answers(ask) and told == (entry.sequence, entry.amount, entry.shortfall, entry.credit_left)
        for entry in found
    )


def _is_mistold(step: Step, asked: Sequence[Step], found: Sequence[Entry]) -> bool:
    """
    Tell whether a step was told something that is not so.
    """
    ask, answer = step
    if answer is None or ask.verb not in {*ENDS, "recharge"}:
        return False
    if answer.outcome == "replayed":
        return len(asked) < 2
    if answer.outcome == "OperationConflictError":
        return not found or found[0].answers(ask)
    others = [each for each in asked if each is not step and found and found[0].answers(each.ask)]

    return not answer.is_yes and not answer.is_unsure and bool(found) and found[0].answers(ask) and not others
