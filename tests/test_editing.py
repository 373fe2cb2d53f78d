"""
Changing cards: under a new code, as far as the license goes, and never without a trace.

Removed cards leave their history behind, and codes are revealed only to somebody who is named.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.book_world import (
    EXTENSION,
    LAX,
    MORNING,
    OTHER,
    Clock,
    Meddled,
    Recording,
    book_on,
    engine_of,
    everything,
    file_book,
    new_book,
    on_disk,
    outcome,
    seeded,
    serials,
    sound,
    verbs_of,
)
from voipcard import (
    UNLIMITED,
    CardBook,
    CardCode,
    CardQuery,
    Credit,
    Extension,
    License,
    NewCard,
    Policy,
    Quota,
)
from voipcard.core.query import EntryQuery
from voipcard.errors import (
    ActorRequiredError,
    CardExistsError,
    InvalidCodeError,
    InvalidPinError,
    InvalidValueError,
    OperationConflictError,
    QuotaExceededError,
    TamperedError,
    UnknownCardError,
    VoipcardError,
    WeakPinError,
)
from voipcard.testing import strategies

NOBODY: Final = "AAAA-000001"
"""What could be a serial."""


def one_of(extension: Extension, *cards: Any) -> CardCode:  # noqa: ANN401 - what `add` takes
    """
    Add cards and give the first.
    """
    return extension[extension.add(list(cards))[0].serial]


def is_part(pin: str, code: str) -> bool:
    """
    Tell whether a code begins or ends with a PIN, which no policy allows.
    """
    return bool(pin) and (code.startswith(pin) or code.endswith(pin))


class PulledPlugError(Exception):
    """
    What ends an attempt in these tests.
    """


def pulling(store: Meddled, when: int = 1000) -> Callable[[int, int | None], None]:
    """
    Make a progress function after which the next commit does not arrive.
    """

    def pull() -> None:
        raise PulledPlugError

    def tell(done: int, _: int | None) -> None:
        if done == when:
            store.meddle = pull

    return tell


# Editing


@settings(max_examples=60)
@given(strategies.new_cards(), strategies.new_cards(), st.booleans(), st.booleans())
def test_an_edited_card_is_found_under_its_new_code_only(
    before: NewCard,
    wanted: NewCard,
    code: bool,  # noqa: FBT001 - a parameter of a test
    pin: bool,  # noqa: FBT001 - a parameter of a test
) -> None:
    """
    Code or CallerID and PIN become the new ones where they are given, and stay otherwise.

    Serial, credit, history and all else stay in any case.
    """
    kept = wanted if code else before
    assume(not is_part(before.pin, before.code) and not is_part((wanted if pin else before).pin, kept.code))
    book = new_book(policy=LAX).acting_as("alice")
    extension = book.extension(EXTENSION)
    card = one_of(extension, before)
    history = list(extension.history(card))
    change: dict[str, Any] = {"code": wanted.code, "caller_id": wanted.caller_id} if code else {}
    if pin:
        change["pin"] = wanted.pin
    if not change:
        assert InvalidValueError is outcome(lambda: extension.edit(card))[0]  # type: ignore[index]
        return
    edited = extension.edit(card, **change)
    shown = extension.reveal(card)
    found = extension.find(**{"code" if kept.kind == "code" else "caller_id": kept.code})
    old = extension.find(**{"code" if before.kind == "code" else "caller_id": before.code})
    moved = (kept.kind, kept.code) != (before.kind, before.code)

    assert (kept.kind, kept.code, (wanted if pin else before).pin) == (shown.kind, shown.code, shown.pin)
    assert edited == found == extension[card.serial]
    assert (None if moved else edited) == old
    assert attrs.evolve(card, kind=kept.kind, has_pin=bool(shown.pin), version=card.version + 1) == edited
    assert history == list(extension.history(card))
    assert sound(book) == ()


def test_a_code_that_is_given_up_can_be_taken() -> None:
    """
    Codes can be passed on from card to card.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    first, second = one_of(extension, "7700"), one_of(extension, "7701")
    extension.edit(first, code="7702")
    extension.edit(second.serial, code="77 00")

    assert [second.serial, None, first.serial] == [
        card.serial if (card := extension.find(code=code)) else None for code in ("7700", "7701", "7702")
    ]
    assert sound(book) == ()


def test_a_code_can_become_a_caller_id_and_back() -> None:
    """
    A leading plus, or `caller_id=True`, makes a CallerID; a code without them is dialed. Digits may stay the same.
    """
    extension = new_book().extension(EXTENSION)
    card = one_of(extension, "40722")
    kinds = [
        extension.edit(card, **change).kind
        for change in (
            {"code": "+40722"},
            {"code": "40722"},
            {"code": "40722", "caller_id": True},
            {"pin": "8068"},
            {"code": "40722"},
        )
    ]

    assert kinds == ["caller_id", "code", "caller_id", "caller_id", "code"]


def test_a_code_that_another_card_has_is_refused() -> None:
    """
    The code of another card is a conflict and its own is not; nothing is written.
    """
    store = Recording()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    first, _ = one_of(extension, "7700"), one_of(extension, "7701", "+7702")
    commits = len(store.commits)
    refused = [outcome(lambda c=code: extension.edit(first, code=c)) for code in ("77-01", "+7702")]  # type: ignore[misc]

    assert [(CardExistsError, (1,))] * 2 == refused
    assert commits == len(store.commits)
    assert first.version + 1 == extension.edit(first, code="7700").version
    assert sound(book) == ()


def test_a_code_that_somebody_else_takes_meanwhile_is_refused() -> None:
    """
    Codes are unique at the moment of the commit, and what else changed meanwhile is not lost.
    """
    store = Meddled()
    extension, other = (book_on(s).extension(EXTENSION) for s in (store, store.another()))
    card = one_of(extension, "7700", "7701")
    store.meddle = lambda: other.add("7702")

    assert (CardExistsError, (1,)) == outcome(lambda: extension.edit(card, code="7702"))
    store.meddle = lambda: other.recharge(card, 5)
    assert Credit(5) == extension.edit(card, code="7703").credit


REFUSED: Final[dict[str, tuple[Callable[[Extension, str], object], type[VoipcardError]]]] = {
    "unknown": (lambda x, _: x.edit("ABCD-000001", code="7701"), UnknownCardError),
    "no code": (lambda x, serial: x.edit(serial, code="- "), InvalidCodeError),
    "no CallerID": (lambda x, serial: x.edit(serial, code="40a", caller_id=True), InvalidCodeError),
    "CallerID without number": (lambda x, serial: x.edit(serial, caller_id=True), InvalidValueError),
    "nothing": (lambda x, serial: x.edit(serial), InvalidValueError),
    "no PIN": (lambda x, serial: x.edit(serial, pin="123"), InvalidPinError),
    "weak PIN": (lambda x, serial: x.edit(serial, pin="1111"), WeakPinError),
    "PIN of the code": (lambda x, serial: x.edit(serial, pin="7700"), WeakPinError),
    "code of the PIN": (lambda x, serial: x.edit(serial, code="80681234"), WeakPinError),
    "code and PIN": (lambda x, serial: x.edit(serial, code="80931", pin="8093"), WeakPinError),
    "operation": (lambda x, serial: x.edit(serial, pin="", operation="a\nb"), InvalidValueError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_edit_that_is_refused_changes_nothing(name: str) -> None:
    """
    The card stays as it was.
    """
    verb, kind = REFUSED[name]
    store = Recording()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    card = one_of(extension, NewCard("770099", "8068"))
    commits = len(store.commits)
    answer: Any = outcome(lambda: verb(extension, card.serial))

    assert kind is answer[0]
    assert commits == len(store.commits)


def test_weak_pins_can_be_allowed() -> None:
    """
    Where the policy allows weak PINs they can be set, but no code ever begins or ends with its PIN.
    """
    extension = new_book(policy=Policy(allow_weak_pins=True)).extension(EXTENSION)
    card = one_of(extension, "770099")

    assert extension.edit(card, pin="1234").has_pin
    assert (WeakPinError, "pin", "part_of_code", 0) == outcome(lambda: extension.edit(card, pin="7700"))
    assert (WeakPinError, "pin", "part_of_code", 0) == outcome(lambda: extension.edit(card, code="551234"))
    assert not extension.edit(card, pin="").has_pin


def test_a_weak_pin_of_before_does_not_hinder_a_new_code(tmp_path: Path) -> None:
    """
    A PIN that an upload brought is judged again only for being part of the new code.
    """
    path = tmp_path / "cards.csv"
    path.write_text("770099,1234,,\n", encoding="utf-8")
    extension = new_book().extension(EXTENSION)
    [handout] = extension.upload(path)

    assert engine_of(extension).records.pin(engine_of(extension).card(EXTENSION, handout.serial)) == "1234"
    assert extension.edit(handout.serial, code="770088").has_pin
    assert (WeakPinError, "pin", "part_of_code", 0) == outcome(lambda: extension.edit(handout.serial, code="88 1234"))


def test_an_edit_happens_once_for_its_operation() -> None:
    """
    Repeated, it answers with the card and does not undo what came after; other content is a conflict.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    card, other = one_of(extension, "7700"), one_of(extension, "7701")
    first = extension.edit(card, code="7702", pin="8068", operation="edit")
    again = extension.edit(card, code="7702", pin="8068", operation="edit")
    extension.edit(card, code="7703")
    after = extension.edit(card, code="7702", pin="8068", operation="edit")

    assert first == again
    assert card.serial == after.serial == extension.get(code="7703").serial
    assert extension.find(code="7702") is None
    for change in (
        {"code": "7702"},
        {"code": "7702", "pin": "8093"},
        {"code": "7702", "pin": "8068", "caller_id": True},
    ):
        assert (OperationConflictError, "edit", "") == outcome(
            lambda c=change: extension.edit(card, **c, operation="edit")  # type: ignore[misc]
        )
    assert (OperationConflictError, "edit", "") == outcome(
        lambda: extension.edit(other, code="7702", pin="8068", operation="edit")
    )


# Enabling and disabling


WAYS: Final[dict[str, tuple[Callable[[Extension, list[str]], Any], int]]] = {
    "a serial": (lambda _, made: made[0], 1),
    "a card": (lambda x, made: x[made[0]], 1),
    "a list of serials": (lambda _, made: made[:3], 3),
    "a tuple of cards": (lambda x, made: tuple(x[serial] for serial in made[:3]), 3),
    "a generator": (lambda _, made: (serial for serial in made[:3]), 3),
    "a search": (lambda x, _: x.search(order_number="PO-1"), 3),
    "a page": (lambda x, _: x.page(limit=2), 2),
    "a set": (lambda _, made: set(made[:4]), 4),
    "one of them twice": (lambda _, made: [made[0], made[0]], 1),
    "nothing": (lambda _, __: [], 0),
    "a query": (lambda _, __: CardQuery(order_number="PO-1"), 3),
    "a query of this extension": (lambda _, __: CardQuery(extension=EXTENSION), 5),
    "a query in another order": (lambda _, __: CardQuery(order="credit", descending=True), 5),
    "a query by credit": (lambda _, __: CardQuery(credit_at_least=5, credit_below="10.01"), 3),
    "a query that finds nothing": (lambda _, __: CardQuery(unlimited=True), 0),
}


def five_cards(book: CardBook) -> list[str]:
    """
    Make three cards of an order with credit, and two others.
    """
    extension = book.extension(EXTENSION)
    made = [*extension.generate(3, credit=10, order_number="PO-1"), *extension.generate(2)]

    return [handout.serial for handout in made]


@pytest.mark.parametrize("way", WAYS)
def test_cards_can_be_named_in_every_way(way: str) -> None:
    """
    However cards are named, exactly those are disabled, enabled and removed.

    The answer counts the ones that changed, the quota follows, and each call leaves one audit entry.
    """
    name, count = WAYS[way]
    book = new_book(license=License(5))
    extension = book.extension(EXTENSION)
    made = five_cards(book)
    book.extension(OTHER).add("7700", enabled=False)
    disabled = [extension.disable(name(extension, made)) for _ in range(2)]
    off = extension.count(enabled=False)
    quota = book.quota
    enabled = [extension.enable(name(extension, made)) for _ in range(2)]
    dry = extension.remove(name(extension, made), dry_run=True)
    removed = extension.remove(name(extension, made))

    assert [count, 0] == disabled == enabled
    assert (count, Quota(5, 5 - count)) == (off, quota)
    assert (count, removed) == (len(removed), dry)
    assert set(made) - set(removed) == set(serials(extension))
    assert Quota(5, 5 - count) == book.quota
    assert [verb for verb in verbs_of(book) if verb in {"disable", "enable", "remove"}] == [
        "disable",
        "disable",
        "enable",
        "enable",
        "remove",
    ]
    assert book.extension(OTHER).count() == 1
    assert sound(book) == ()


@pytest.mark.parametrize("verb", ["enable", "disable", "remove"])
def test_what_the_extension_does_not_have_is_refused_before_anything_is_done(verb: str) -> None:
    """
    An unknown serial, a card of another extension or a query for one: nothing is written.
    """
    store = Recording()
    book = book_on(store, source=seeded("behind a thousand"))
    extension = book.extension(EXTENSION)
    made = [handout.serial for handout in extension.generate(1001, enabled=verb != "enable")]
    [other] = book.extension(OTHER).add("7700")
    first, last = (f"{batch}-{number}" for batch, number in (("A222", "000001"), ("ZZZZ", "999999")))
    commits = len(store.commits)
    call = getattr(extension, verb)

    assert first < made[0] < made[-1] < other.serial < last
    assert (UnknownCardError, NOBODY) == outcome(lambda: call(NOBODY))
    assert (UnknownCardError, first) == outcome(lambda: call([first, *made]))
    assert (UnknownCardError, last) == outcome(lambda: call([*made, last]))
    assert (UnknownCardError, other.serial) == outcome(lambda: call([other.serial, *made]))
    assert (UnknownCardError, other.serial) == outcome(lambda: call([*made, other.serial]))
    assert (UnknownCardError, other.serial) == outcome(lambda: call([made[0], other.serial]))
    assert InvalidValueError is outcome(lambda: call(CardQuery(extension=OTHER)))[0]
    assert commits == len(store.commits)


def test_enabling_goes_as_far_as_the_license() -> None:
    """
    What does not fit is refused whole and names the three numbers; enabling what is enabled takes nothing.
    """
    book = new_book(license=License(3))
    extension = book.extension(EXTENSION)
    made = [handout.serial for handout in extension.generate(5, enabled=False)]
    extension.enable(made[:2])

    assert (QuotaExceededError, 3, 2, 2) == outcome(lambda: extension.enable(made[1:4]))
    assert (QuotaExceededError, 3, 2, 3) == outcome(lambda: extension.enable(CardQuery()))
    assert extension.enable(made[:3]) == 1
    assert extension.enable(made[:3]) == 0
    assert Quota(3, 3) == book.quota
    assert not book.quota.can_add
    extension.disable(made[0])
    assert extension.enable(made[3]) == 1


def test_more_than_a_thousand_are_refused_before_the_first_is_enabled() -> None:
    """
    A request of several commits that does not fit the license is refused whole, too.
    """
    store = Recording()
    book = book_on(store, license=License(1500))
    extension = book.extension(EXTENSION)
    made = [handout.serial for handout in extension.generate(2001, enabled=False)]
    commits = len(store.commits)

    for cards in (made, CardQuery(), CardQuery(enabled=False)):
        assert (QuotaExceededError, 1500, 0, 2001) == outcome(lambda c=cards: extension.enable(c))  # type: ignore[misc]
    assert commits == len(store.commits)
    assert extension.enable(made[:1500]) == 1500


def test_disabling_is_possible_above_the_license() -> None:
    """
    Where the license shrank below what is active, codes can still be disabled and removed, edited and recharged.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    made = [handout.serial for handout in extension.generate(4)]
    book.install_license(License(1))
    extension.recharge(made[0], 5)
    extension.edit(made[0], code="7700")

    assert extension.disable(made[:2]) == 2
    assert (made[2],) == extension.remove(made[2])
    assert Quota(1, 1) == book.quota
    assert (QuotaExceededError, 1, 1, 1) == outcome(lambda: extension.enable(made[0]))


def test_a_card_that_somebody_else_changes_meanwhile_is_not_set_back() -> None:
    """
    Enabling and disabling change nothing else, and a card that was removed meanwhile is unknown.
    """
    store = Meddled()
    book, other = book_on(store), book_on(store.another())
    extension = book.extension(EXTENSION)
    card = one_of(extension, "7700")
    store.meddle = lambda: other.extension(EXTENSION).recharge(card, 5)
    extension.disable(card)
    store.meddle = lambda: other.extension(EXTENSION).enable(card)
    enabled = extension.enable(card)
    store.meddle = lambda: other.extension(EXTENSION).remove(card)

    assert (0, Credit(5), True) == (enabled, extension[card.serial].credit, extension[card.serial].enabled)
    assert (UnknownCardError, card.serial) == outcome(lambda: extension.disable(card))
    assert sound(book) == ()


# A thousand in a commit


def changing(extension: Extension, verb: str, cards: Any, **arguments: Any) -> Any:  # noqa: ANN401
    """
    Call a verb that changes many cards.
    """
    if verb == "remove_unused":
        return extension.remove_unused(older_than=timedelta(0), **arguments)

    return getattr(extension, verb)(cards, **arguments)


MANY: Final = ["enable", "disable", "remove", "remove_unused"]


@pytest.mark.parametrize("named", ["serials", "query"])
@pytest.mark.parametrize("verb", MANY)
def test_at_most_a_thousand_cards_are_changed_in_a_commit(verb: str, named: str) -> None:
    """
    Many cards take several commits of at most 1,000, and progress is told after each.

    Each commit tells the audit trail of its cards, and what was before of each.
    """
    store = Recording()
    book = book_on(store).acting_as("alice")
    extension = book.extension(EXTENSION)
    made = [handout.serial for handout in extension.generate(2001, enabled=verb != "enable")]
    told: list[int] = []
    commits = len(store.commits)
    cards = made if named == "serials" else CardQuery()
    answer = changing(extension, verb, cards, progress=lambda done, _: told.append(done))
    trail = [entry for entry in book.audit_trail() if entry.verb == verb]
    details = [entry.detail for entry in trail]

    assert (answer if isinstance(answer, int) else len(answer)) == 2001
    assert [size for size in store.sizes()[commits:] if size] == [1000, 1000, 1]
    assert told == [1000, 2000, 2001]
    assert {("alice", EXTENSION)} == {(entry.actor, entry.extension) for entry in trail}
    assert [detail.get("part") for detail in details] == [None, 2, 3]
    assert made == [serial for detail in details for serial in detail["before"]]
    if "serials" in details[0]:
        assert made == [serial for detail in details for serial in detail["serials"]]
        assert {detail["count"] for detail in details} == {2001}
    else:
        assert [detail.get("matching") for detail in details] == [2001, None, None]
    assert sound(book) == ()


@pytest.mark.parametrize("named", ["serials", "query"])
@pytest.mark.parametrize("verb", MANY)
def test_an_interrupted_call_goes_on(verb: str, named: str) -> None:
    """
    With an operation, a call that ended after some of its commits does the rest when it is asked again.

    It answers for all of it, again and again, and has left one audit entry for each commit.
    """
    store = Meddled()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    made = [handout.serial for handout in extension.generate(2001, enabled=verb != "enable")]
    cards = made if named == "serials" else CardQuery()

    with pytest.raises(PulledPlugError):
        changing(extension, verb, cards, operation="many", progress=pulling(store))
    active = book.quota.active
    answers = [changing(extension, verb, cards, operation="many") for _ in range(2)]

    assert (1000 if verb == "enable" else 1001) == active
    assert answers[0] == answers[1]
    assert (2001 if verb in {"enable", "disable"} else tuple(made)) == answers[0]
    assert {"enable": 2001, "disable": 0}.get(verb, 0) == book.quota.active
    assert verbs_of(book).count(verb) == 3
    assert sound(book) == ()


@pytest.mark.parametrize("verb", MANY)
def test_a_repetition_is_answered_before_anything_is_looked_at(verb: str) -> None:
    """
    The first result is given again although the cards, the license and the extension's contents are others by now.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    made = [handout.serial for handout in extension.generate(1001, enabled=verb != "enable")]
    first = changing(extension, verb, made, operation="many")
    extension.remove(CardQuery())
    book.install_license(License(0))
    extension.generate(2, enabled=False)
    before = everything(book)
    again = changing(extension, verb, made, operation="many")

    assert first == again
    assert before == everything(book)


def test_an_operation_is_for_the_same_cards() -> None:
    """
    Another selection, another verb or another extension under the same operation is a conflict.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    made = [handout.serial for handout in extension.generate(4)]
    extension.disable(made[:2], operation="two")
    extension.disable(CardQuery(credit_below=5), operation="query")
    extension.remove_unused(older_than=timedelta(days=1), operation="unused")

    for call in (
        lambda: extension.disable(made[:3], operation="two"),
        lambda: extension.disable(CardQuery(), operation="two"),
        lambda: extension.enable(made[:2], operation="two"),
        lambda: extension.remove(made[:2], operation="two"),
        lambda: extension.disable(CardQuery(credit_below=6), operation="query"),
        lambda: book.extension(OTHER).disable(CardQuery(credit_below=5), operation="query"),
        lambda: extension.remove_unused(older_than=timedelta(days=2), operation="unused"),
        lambda: extension.remove(CardQuery(), operation="unused"),
    ):
        assert OperationConflictError is outcome(call)[0]  # type: ignore[index]
    assert extension.disable(CardQuery(credit_below="5.0"), operation="query") + 2 == 4


def test_the_order_of_the_cards_does_not_matter_to_an_operation() -> None:
    """
    A set has another order in each process; it is the same request nevertheless.
    """
    extension = new_book().extension(EXTENSION)
    made = [handout.serial for handout in extension.generate(4)]

    assert extension.disable(made, operation="all") == 4
    assert extension.disable(made[::-1], operation="all") == 4
    assert extension.disable(set(made), operation="all") == 4


def test_a_query_means_now_each_time() -> None:
    """
    Whether a card has expired is asked of the clock when the call is made, and is no part of what an operation is for.
    """
    clock = Clock()
    extension = new_book(clock=clock).extension(EXTENSION)
    for hours in (1, 2):
        extension.add(f"770{hours}", expires_at=clock.now + timedelta(hours=hours))
    counts = []
    for _ in range(3):
        counts.append(extension.disable(CardQuery(expired=True)))
        clock.move(hours=1)
    extension.disable(CardQuery(expired=True), operation="expired")
    clock.move(hours=1)

    assert counts == [0, 1, 1]
    assert extension.disable(CardQuery(expired=True), operation="expired") == 0


def test_what_is_audited_names_no_secret() -> None:
    """
    The trail says which cards, by serial or by conditions, and never a code, a PIN or a CallerID.
    """
    book = new_book().acting_as("alice")
    extension = book.extension(EXTENSION)
    secrets = {"7700183422151", "40722123456", "83016495", "555000111"}
    [code, caller] = extension.add([NewCard("7700183422151", "83016495"), NewCard("+40722123456")])
    extension.edit(code.serial, code="555000111", pin="")
    extension.edit(caller.serial, code="7700183422151", pin="83016495")
    index = engine_of(extension).card(EXTENSION, code.serial).index
    extension.disable(CardQuery(index=index))
    extension.enable([code.serial])
    extension.disable(CardQuery(kind="code", credit_below=1, order_number=""))
    extension.recharge(code.serial, 1)
    extension.reveal(caller.serial)
    extension.remove(CardQuery())
    trail = list(book.audit_trail())

    assert [entry.verb for entry in trail] == [
        "add",
        "edit",
        "edit",
        "disable",
        "enable",
        "disable",
        "recharge",
        "reveal",
        "remove",
    ]
    shape = {"kind": "code", "has_pin": True}
    bare = {**shape, "has_pin": False}
    assert {"serial": code.serial, "code": True, "pin": True, "before": shape, "after": bare} == trail[1].detail
    assert {"serials": [code.serial], "count": 1, "before": {code.serial: False}} == trail[4].detail
    assert [secret for secret in secrets for entry in trail if secret in repr(entry)] == []


# Removing


def test_a_removed_card_leaves_its_history_and_frees_its_code() -> None:
    """
    The code can be used for a new card at once; the entries of the old one stay, and its serial is not given again.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    [handout] = extension.add("7700", credit=5)
    extension.recharge(handout.serial, 7)
    card = extension[handout.serial]
    removed = extension.remove(card)
    [again] = extension.add("7700")
    entries = engine_of(book).store.entries(EntryQuery(card=card.id))

    assert (handout.serial,) == removed
    assert extension.find(serial=handout.serial) is None
    assert handout.serial != again.serial == extension.get(code="7700").serial
    assert [(entry.kind, entry.amount) for entry in entries] == [("initial", 5_000_000), ("recharge", 7_000_000)]
    assert (UnknownCardError, handout.serial) == outcome(lambda: extension.history(handout.serial))
    assert sound(book) == ()


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["", "recharge", "take", "give", "disable", "edit"])), max_size=6
    ),
    st.integers(0, 6),
)
def test_what_is_unused_is_what_nothing_happened_to(made: list[tuple[int, str]], days: int) -> None:
    """
    Cards that were made so long ago or longer, and have no entry but the first, are removed.

    Enabled or not, edited or not; cards with a recharge or a transfer stay. The dry run gives the same serials before.
    """
    clock = Clock()
    book = new_book(clock=clock)
    extension = book.extension(EXTENSION)
    [till] = extension.add("7777", credit=100)
    extension.recharge(till.serial, 1)
    cards = []
    for number, (wait, use) in enumerate(made):
        clock.move(days=wait)
        [card] = extension.add(f"880{number}", credit=5)
        cards.append((card.serial, clock.now, use))
        match use:
            case "recharge":
                extension.recharge(card.serial, 1)
            case "take":
                extension.transfer(till.serial, card.serial, amount=1)
            case "give":
                extension.transfer(card.serial, till.serial, amount=1)
            case "disable":
                extension.disable(card.serial)
            case "edit":
                extension.edit(card.serial, code=f"990{number}")
    limit = clock.now - timedelta(days=days)
    expected = {serial for serial, moment, use in cards if moment <= limit and use in {"", "disable", "edit"}}
    before = everything(book)
    dry = extension.remove_unused(older_than=timedelta(days=days), dry_run=True)
    same = before == everything(book)
    wet = extension.remove_unused(older_than=timedelta(days=days))

    assert (dry, True) == (wet, same)
    assert expected == set(wet)
    assert {till.serial, *(serial for serial, _, _ in cards)} - expected == set(serials(extension))
    assert sound(book) == ()


def test_unused_before_the_beginning_of_time_is_nothing() -> None:
    """
    No time is too long; a negative one is refused.
    """
    extension = new_book().extension(EXTENSION)
    extension.add("7700")

    assert extension.remove_unused(older_than=timedelta.max) == ()
    with pytest.raises(InvalidValueError) as caught:
        extension.remove_unused(older_than=timedelta(microseconds=-1))
    assert caught.value.name == "older_than"


def test_a_dry_removal_writes_nothing(tmp_path: Path) -> None:
    """
    Dry runs leave the files as they are and answer as the real run, also for an operation that was done.
    """
    path = tmp_path / "cards.db"
    with file_book(path) as book:
        extension = book.extension(EXTENSION)
        made = [handout.serial for handout in extension.generate(5)]
        extension.remove(made[0], operation="done")
        before = on_disk(path)
        dry: list[Any] = [
            extension.remove(made[1:3], operation="new", dry_run=True),
            extension.remove(CardQuery(), dry_run=True),
            extension.remove_unused(older_than=timedelta(0), dry_run=True),
            outcome(lambda: extension.remove(made[0], dry_run=True)),
            extension.remove(made[0], operation="done", dry_run=True),
            outcome(lambda: extension.remove(made[1], operation="done", dry_run=True)),
        ]

        assert before == on_disk(path)
        assert [
            tuple(made[1:3]),
            tuple(made[1:]),
            tuple(made[1:]),
            (UnknownCardError, made[0]),
            (made[0],),
            (OperationConflictError, "remove", ""),
        ] == dry
        assert tuple(made[1:3]) == extension.remove(made[1:3], operation="new")


def test_a_dry_run_of_many_goes_on_where_the_real_one_stopped() -> None:
    """
    The answer of a dry run is that of the real one for thousands of cards, too, and for a call that was interrupted.
    """
    store = Meddled()
    extension = book_on(store).extension(EXTENSION)
    made = tuple(handout.serial for handout in extension.generate(1001))
    dry = [extension.remove(cards, dry_run=True) for cards in (CardQuery(), made)]
    with pytest.raises(PulledPlugError):
        extension.remove(CardQuery(), operation="all", progress=pulling(store))
    half = extension.remove(CardQuery(), operation="all", dry_run=True)

    assert dry == [made, made]
    assert extension.count() == 1
    assert half == extension.remove(CardQuery(), operation="all") == made


def test_a_query_for_a_page_is_no_selection() -> None:
    """
    Where all cards that match are changed, a cursor or the size of a page makes no sense and is refused.
    """
    extension = new_book().extension(EXTENSION)
    card = one_of(extension, "7700")

    for query in (CardQuery(limit=1), CardQuery(after=(0, card.id))):
        for call in (extension.enable, extension.disable, extension.remove):
            assert outcome(lambda c=call, q=query: c(q))[0] is InvalidValueError  # type: ignore[misc]


def test_a_card_that_is_used_meanwhile_is_not_removed_as_unused() -> None:
    """
    Whether a card is unused is decided at the moment of the commit.
    """
    store = Meddled()
    book, other = book_on(store), book_on(store.another())
    extension = book.extension(EXTENSION)
    first, second = (handout.serial for handout in extension.generate(2))
    store.meddle = lambda: other.extension(EXTENSION).recharge(first, 5)

    assert (second,) == extension.remove_unused(older_than=timedelta(0))
    assert [first] == serials(extension)


# Revealing


def test_a_card_is_revealed_to_somebody_who_is_named_and_audited() -> None:
    """
    The clear text is that of the hand-out, with the credit of now; who saw it is in the trail.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    [handout] = extension.generate(1, credit=5, order_number="PO-1")
    extension.recharge(handout.serial, "unlimited")
    shown = book.acting_as("alice").extension(EXTENSION).reveal(extension[handout.serial])
    [entry] = [entry for entry in book.audit_trail() if entry.verb == "reveal"]

    assert attrs.evolve(handout, credit=UNLIMITED) == shown
    assert ("alice", EXTENSION, {"serial": handout.serial}) == (entry.actor, entry.extension, entry.detail)
    assert handout.code not in repr(shown) + repr(entry)


def test_nothing_is_revealed_to_nobody() -> None:
    """
    Without an actor the answer is an error that names the verb, whether the card exists or not.
    """
    extension = new_book().extension(EXTENSION)
    [handout] = extension.generate(1)

    for serial in (handout.serial, NOBODY):
        assert (ActorRequiredError, "reveal") == outcome(lambda s=serial: extension.reveal(s))  # type: ignore[misc]


def test_an_unknown_card_cannot_be_revealed() -> None:
    """
    A card that does not exist or is another extension's is unknown.
    """
    book = new_book().acting_as("alice")
    [handout] = book.extension(OTHER).generate(1)

    for serial in (handout.serial, NOBODY):
        assert (UnknownCardError, serial) == outcome(lambda s=serial: book.extension(EXTENSION).reveal(s))  # type: ignore[misc]


def test_a_reveal_is_audited_before_it_is_tried() -> None:
    """
    Where the seal turns out to be broken, the trail says nevertheless who asked.
    """
    book = new_book().acting_as("alice")
    extension = book.extension(EXTENSION)
    [handout] = extension.generate(1)
    engine = engine_of(book)
    record = engine.card(EXTENSION, handout.serial)
    broken = engine.records.signed(
        record._replace(sealed_code=bytes([record.sealed_code[0] ^ 1, *record.sealed_code[1:]]), version=2)
    )
    engine.store.commit(attrs.evolve(engine.activating(EXTENSION, 0), replace=[(broken, 1)]))

    assert (TamperedError, handout.serial, "code") == outcome(lambda: extension.reveal(handout.serial))
    assert verbs_of(book) == ["generate", "reveal"]


def test_a_reveal_that_cannot_be_audited_does_not_happen() -> None:
    """
    Where the audit entry cannot be written, nothing is shown.
    """
    store = Meddled()
    book = book_on(store).acting_as("alice")
    [handout] = book.extension(EXTENSION).generate(1)

    def fail() -> None:
        raise PulledPlugError

    store.meddle = fail
    with pytest.raises(PulledPlugError):
        book.extension(EXTENSION).reveal(handout.serial)


def test_time_is_that_of_the_clock() -> None:
    """
    Audit entries are of the moment at which the book's clock stood.
    """
    clock = Clock()
    book = new_book(clock=clock)
    card = one_of(book.extension(EXTENSION), "7700")
    clock.move(days=1)
    book.extension(EXTENSION).disable(card)

    assert [MORNING, clock.now] == [entry.created_at for entry in book.audit_trail()]
