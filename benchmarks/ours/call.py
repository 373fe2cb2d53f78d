"""
Calls that are begun and ended one after another, each paid by a random card.
"""

from __future__ import annotations

import itertools

import voipcard
from benchmarks.ours.book import copied
from benchmarks.prices import Paid, Terms, paid_calls, price_list
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Open a copy of the book with a price list; a block begins and ends calls of random cards.
    """
    facts = parameters.facts()
    book = copied(parameters)
    terms = price_list(**parameters.options)
    book.install_deck(voipcard.RateDeck(voipcard.Rate(prefix, _tariff(each)) for prefix, each in terms.items()))
    extension = book.acting_as("bench").extension(facts.extension)
    every, names = paid_calls([*terms], facts.serials), itertools.count()

    def made(call: Paid, name: str) -> tuple[str, int]:
        entry = extension.begin_call(call.serial, call.number, call_id=name).end(call.seconds)

        return call.serial, entry.credit_left.micros

    def block() -> Done:
        calls = [(call, f"call-{next(names)}") for call in itertools.islice(every, parameters.block)]
        done = [made(call, name) for call, name in calls]

        return Done(len(done), lambda: done)

    return block


def _tariff(terms: Terms) -> voipcard.Tariff:
    price, first, following = terms

    return voipcard.Tariff(price=voipcard.Credit.from_micros(price), first_interval=first, next_interval=following)
