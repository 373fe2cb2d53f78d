"""
Somebody who holds, charges and recharges the credit of cards at random, and notes each step before and after it.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from tests.book_world import EXTENSION
from tests.labs.journal import ENDS, MAKES, Answer, Ask, Journal, Verb, steps_in
from voipcard import CardBook, Credit
from voipcard.calling import Call
from voipcard.core.holds import Hold
from voipcard.core.ledger import LedgerEntry
from voipcard.core.moments import from_micros, to_micros
from voipcard.errors import StoreError, VoipcardError

__all__ = ["DESTINATION", "LONGEST", "SECOND", "Client", "now", "stop"]

T = TypeVar("T")

Result: TypeAlias = Hold | Call | LedgerEntry | int

LONGEST: Final = 1_500_000
"""How long credit is held at most, in microseconds: so short that much of it runs out before it is charged."""

DESTINATION: Final = "40213123456"
SECOND: Final = 100_000
"""What a second of a call costs, in millionths."""

_STOP: Final = "stop"
"""The file that tells all clients to come to an end."""


class Client:
    """
    Somebody who does this and that with the credit of cards, and notes each step before and after it.

    Args:
        book: The book.

        folder: Where all clients write.

        cards: The serials of the cards.

        number: Which of them it is. It goes on where the one of this number that was killed has stopped.

        life: The how-manieth of this number it is.
    """

    def __init__(self, book: CardBook, folder: Path, cards: Sequence[str], number: int, life: int) -> None:
        self._book: Final = book
        self._extension: Final = book.extension(EXTENSION)
        self._folder: Final = folder
        self._cards: Final = cards
        self._name: Final = f"{number}-{life}"
        self._chance: Final = random.Random(self._name)  # noqa: S311 - it is to be the same again
        self._steps: Final = itertools.count()
        path = folder / f"{number}.journal"
        self._before: Final = steps_in(path) if path.exists() else []
        self._journal: Final = Journal(path)
        self._holds: Final[list[Hold]] = []
        self._calls: Final[list[Call]] = []

    def run(self) -> None:
        """
        Work until it is enough.
        """
        self._take_over()
        moves: list[tuple[Callable[[], object], int]] = [
            (self._hold, 4),
            (self._begin, 4),
            (self._extend, 3),
            (self._keep_alive, 2),
            (self._capture, 4),
            (self._release, 2),
            (self._end, 4),
            (self._recharge, 3),
            (self._meddle, 1),
            (self._leave, 1),
            (self._sweep, 1),
        ]
        acts, weights = zip(*moves, strict=True)
        while not (self._folder / _STOP).exists():
            [act] = self._chance.choices(acts, weights)
            act()

    def _do(self, ask: Ask, act: Callable[[], Result]) -> Result | None:
        """
        Do something between two lines of the journal, and give what came of it; None if it was refused.
        """
        step = f"{self._name}-{next(self._steps)}"
        self._journal.write("ask", *ask._replace(step=step, at=_micros()))
        result = None
        try:
            result = act()
            answer = _answer(result)
        except VoipcardError as error:
            is_unsure = isinstance(error, StoreError) and error.maybe_applied
            answer = Answer(_micros(), type(error).__name__, is_unsure)
        self._journal.write(step, *answer)

        return result

    # What was left by who was killed

    def _take_over(self) -> None:
        """
        Ask again for what there was no answer to, one time out of two, and take over half of what is held.
        """
        if self._before and self._before[-1].answer is None and self._chance.random() < 0.5:
            self._ask_again(self._before[-1].ask)
        ended = {step.ask.subject for step in self._before if step.ask.verb in ENDS}
        for ask, answer in self._before:
            if ask.verb not in MAKES or answer is None or not answer.is_yes or answer.hold in ended:
                continue
            if answer.expires_at + LONGEST < _micros() or self._chance.random() < 0.5:
                continue
            if ask.verb == "hold":
                self._holds.append(_hold_of(ask, answer))
            else:
                with contextlib.suppress(VoipcardError):  # It has run out.
                    self._calls.append(self._running(ask))

    def _ask_again(self, ask: Ask) -> None:
        if ask.verb == "hold":
            self._hold(ask)
        elif ask.verb == "begin":
            self._begin(ask)
        elif ask.verb == "recharge":
            self._recharge(ask)
        elif ask.verb == "end":
            made = next(step.ask for step in self._before if step.answer and step.answer.hold == ask.subject)
            with contextlib.suppress(VoipcardError):
                self._end_call(self._running(made), ask.amount // SECOND)
        elif ask.verb in ENDS:
            hold = Hold(ask.subject, ask.serial, Credit(0), now(), now())
            self._end_hold(hold, ask.amount if ask.verb == "capture" else None)

    def _running(self, ask: Ask) -> Call:
        return self._extension.call(ask.serial, call_id=ask.subject, **_terms(ask))

    # Steps

    def _hold(self, again: Ask | None = None) -> None:
        ask = again or self._new("hold", self._chance.randrange(0, 8_000_000))
        act = functools.partial(
            self._extension.hold,
            ask.serial,
            Credit.from_micros(ask.amount),
            expires_in=_span(ask.expires_in),
            operation=ask.subject,
        )
        hold = self._do(ask, act)
        if isinstance(hold, Hold):
            self._holds.append(hold)

    def _begin(self, again: Ask | None = None) -> None:
        ask = again or self._new("begin", self._chance.randrange(5, 60) * SECOND)
        act = functools.partial(self._extension.begin_call, ask.serial, DESTINATION, call_id=ask.subject, **_terms(ask))
        call = self._do(ask, act)
        if isinstance(call, Call):
            self._calls.append(call)

    def _extend(self) -> None:
        if not self._holds:
            return
        place = self._chance.randrange(len(self._holds))
        hold, amount = self._holds[place], self._chance.choice([None, self._chance.randrange(0, 8_000_000)])
        expires_in = self._chance.randrange(50_000, LONGEST)
        wanted = None if amount is None else Credit.from_micros(amount)
        act = functools.partial(self._extension.extend, hold, amount=wanted, expires_in=_span(expires_in))
        after = self._do(_about("extend", hold), act)
        if isinstance(after, Hold):
            self._holds[place] = after

    def _keep_alive(self) -> None:
        if not self._calls:
            return
        place = self._chance.randrange(len(self._calls))
        call = self._calls[place]
        after = self._do(_about("keep_alive", call.hold), call.keep_alive)
        if isinstance(after, Call):
            self._calls[place] = after

    def _capture(self) -> None:
        hold = self._drawn(self._holds)
        if hold is None:
            return
        held = hold.amount.micros
        more = held + self._chance.randrange(1, 10_000_000)
        cost = self._chance.choice([0, held, held // 2, self._chance.randint(0, held), more])
        self._end_hold(hold, cost)
        if self._chance.random() < 0.2:
            self._end_hold(hold, self._chance.choice([cost, cost + 1, None]))

    def _release(self) -> None:
        hold = self._drawn(self._holds)
        if hold is not None:
            self._end_hold(hold, None)

    def _end(self) -> None:
        call = self._drawn(self._calls)
        if call is None:
            return
        seconds = self._chance.choice([0, self._chance.randrange(0, 90)])
        self._end_call(call, seconds)
        if self._chance.random() < 0.2:
            self._end_call(call, seconds + self._chance.choice([0, 1]))

    def _recharge(self, again: Ask | None = None) -> None:
        amount = self._chance.choice([-1, 1]) * self._chance.randrange(1, 5_000_000)
        ask = again or self._new("recharge", amount)
        act = functools.partial(
            self._extension.recharge, ask.serial, Credit.from_micros(ask.amount), order_number=ask.subject
        )
        self._do(ask, act)

    def _meddle(self) -> None:
        """
        End what somebody else holds, who goes on with it.
        """
        journal = self._chance.choice(sorted(self._folder.glob("*.journal")))
        made = [step for step in steps_in(journal, last=20) if step.ask.verb in MAKES]
        holds = [_hold_of(ask, answer) for ask, answer in made if answer is not None and answer.is_yes]
        if holds:
            self._end_hold(holds[-1], self._chance.choice([None, holds[-1].amount.micros]))

    def _leave(self) -> None:
        self._drawn(self._chance.choice([self._holds, self._calls]))  # type: ignore[arg-type]

    def _sweep(self) -> None:
        self._do(Ask("", 0, "sweep", "", ""), self._book.sweep)

    def _end_hold(self, hold: Hold, cost: int | None) -> None:
        if cost is None:
            self._do(_about("release", hold), functools.partial(self._extension.release, hold))
        else:
            act = functools.partial(self._extension.capture, hold, Credit.from_micros(cost))
            self._do(_about("capture", hold, cost), act)

    def _end_call(self, call: Call, seconds: int) -> None:
        self._do(_about("end", call.hold, seconds * SECOND), functools.partial(call.end, seconds))

    def _new(self, verb: Verb, amount: int) -> Ask:
        name = f"{self._name}-{next(self._steps)}"
        expires_in = self._chance.randrange(50_000, LONGEST)

        return Ask("", 0, verb, self._chance.choice(self._cards), name, amount, expires_in)

    def _drawn(self, among: list[T]) -> T | None:
        return among.pop(self._chance.randrange(len(among))) if among else None


def stop(folder: Path) -> None:
    """
    Tell the clients that write here to come to an end.
    """
    (folder / _STOP).touch()


def now() -> datetime:
    """
    Give the time. The books of a laboratory go by it as well, so that both can be compared.
    """
    return datetime.now(UTC)


def _micros() -> int:
    return to_micros(now())


def _answer(result: Result) -> Answer:
    """
    Tell what somebody was told.
    """
    at = _micros()
    if isinstance(result, int):
        return Answer(at, "done", amount=result)
    outcome = "replayed" if result.replayed else "done"
    if isinstance(result, LedgerEntry):
        return Answer(
            at,
            outcome,
            amount=result.amount.micros,
            shortfall=result.shortfall.micros,
            sequence=result.sequence,
            credit_left=result.credit_left.micros,
        )
    hold = result.hold if isinstance(result, Call) else result

    return Answer(
        at,
        outcome,
        hold=hold.id,
        amount=hold.amount.micros,
        begun_at=to_micros(hold.begun_at),
        expires_at=to_micros(hold.expires_at),
    )


def _hold_of(ask: Ask, answer: Answer) -> Hold:
    return Hold(
        answer.hold,
        ask.serial,
        Credit.from_micros(answer.amount),
        from_micros(answer.begun_at),
        from_micros(answer.expires_at),
    )


def _about(verb: Verb, hold: Hold, amount: int = 0) -> Ask:
    return Ask("", 0, verb, hold.serial, hold.id, amount)


def _terms(ask: Ask) -> dict[str, timedelta]:
    """
    Give on what terms a call begins, and goes on.
    """
    return {"reserve": timedelta(seconds=ask.amount // SECOND), "expires_in": _span(ask.expires_in)}


def _span(microseconds: int) -> timedelta:
    return timedelta(microseconds=microseconds)
