"""
Exactly once: whoever asks at the same time, and whoever is killed before the answer.
"""

from __future__ import annotations

import inspect
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from tests.book_world import (
    EXTENSION,
    MORNING,
    BareKey,
    Clock,
    DiesAfterCommit,
    DiesBeforeCommit,
    book_on,
    everything,
    file_book,
    in_process,
    in_processes,
    in_threads,
    killed,
    new_book,
    outcome,
    seeded,
    sound,
    verbs_of,
)
from voipcard import (
    Batch,
    CardBook,
    CardCode,
    CardQuery,
    Credit,
    Hold,
    LedgerEntry,
    License,
    NewCard,
    Quota,
    Rate,
    RateDeck,
    Tariff,
)
from voipcard.errors import InvalidValueError, OperationConflictError, QuotaExceededError
from voipcard.stores import Changes, SQLiteStore

TIMES: Final = 4
"""How many threads or processes work at once."""

# Side by side


class Careless(SQLiteStore):
    """
    A store that believes whatever it is told: it keeps no version, no uniqueness of operations and no ceiling.
    """

    def commit(self, changes: Changes) -> None:
        """
        Make every precondition fit, and give others the time to come between.
        """
        time.sleep(0.01)
        replace = [(card, known.version if (known := self.find(id=card.id)) else 0) for card, _ in changes.replace]
        entries = [entry._replace(operation=None, sequence=time.monotonic_ns()) for entry in changes.entries]
        counters = [change._replace(ceiling=None) for change in changes.counters]
        documents = [
            (document, found.version if (found := self.document(document.key)) else 0)
            for document, _ in changes.documents
        ]
        super().commit(
            attrs.evolve(changes, replace=replace, entries=entries, counters=counters, documents=documents, require=())
        )


def on_file(store: type[SQLiteStore], path: Path) -> CardBook:
    """
    Open the book in a file through a kind of store.
    """
    return book_on(store(path))


def recharge_once(store: type[SQLiteStore], path: Path, serial: str, number: int) -> list[tuple[bool, Credit]]:
    """
    Recharge a card for ten orders that everybody else recharges it for, too.
    """
    with on_file(store, path) as book:
        extension = book.extension(EXTENSION)
        entries = [
            extension.recharge(serial, 5, order_number=f"PO-{(place + number) % 10}", operation=None)
            for place in range(10)
        ]

    return [(entry.replayed, entry.credit_left) for entry in entries]


def recharge_apart(store: type[SQLiteStore], path: Path, serial: str, number: int) -> int:
    """
    Recharge a card for orders of one's own, and once without any.
    """
    with on_file(store, path) as book:
        extension = book.extension(EXTENSION)
        entries = [extension.recharge(serial, 1, order_number=f"PO-{number}-{place}") for place in range(9)]
        entries.append(extension.recharge(serial, 1))

    return sum(not entry.replayed for entry in entries)


def fill_up(store: type[SQLiteStore], path: Path, made: Sequence[str], number: int) -> int:
    """
    Enable cards of one's own and generate others, one after the other, until the license says no.
    """
    done = 0
    with on_file(store, path) as book:
        extension = book.extension(EXTENSION)
        for serial in made[number::TIMES]:
            answer = outcome(lambda s=serial: extension.enable(s))  # type: ignore[misc]
            if isinstance(answer, int):
                done += answer
            drawn = outcome(lambda: extension.generate(1))
            done += isinstance(drawn, Batch)

    return done


def transfer_back_and_forth(store: type[SQLiteStore], path: Path, made: Sequence[str], number: int) -> int:
    """
    Move credit around, each in another direction.
    """
    with on_file(store, path) as book:
        extension = book.extension(EXTENSION)
        pair = made[number % 2], made[1 - number % 2]

        return sum(isinstance(outcome(lambda: extension.transfer(*pair, amount=1)), tuple) for _ in range(8))


Together = Callable[..., list[Any]]


def threads(work: Callable[..., Any], *arguments: object) -> list[Any]:
    """
    Do the work in threads, each with its own handle.
    """
    return in_threads(lambda number: work(*arguments, number), TIMES)


def processes(work: Callable[..., Any], *arguments: object) -> list[Any]:
    """
    Do the work in processes.
    """
    return in_processes(work, *arguments, times=TIMES)


@pytest.fixture(params=[threads, processes])
def together(request: pytest.FixtureRequest) -> Together:
    """
    Give both ways to work at the same time.
    """
    way: Together = request.param

    return way


def check_one_order(together: Together, store: type[SQLiteStore], path: Path) -> None:
    """
    Everybody recharges the same card for the same orders.
    """
    with file_book(path) as book:
        extension = book.extension(EXTENSION)
        [handout] = extension.generate(1, credit=10)
        answers = together(recharge_once, store, path, handout.serial)
        history = [entry.order_number for entry in extension.history(handout.serial)]

        assert sum(not replayed for answer in answers for replayed, _ in answer) == 10
        assert ["", *(f"PO-{number}" for number in range(10))] == sorted(history)
        assert Credit(60) == extension[handout.serial].credit
        assert sound(book) == ()


def check_own_orders(together: Together, store: type[SQLiteStore], path: Path) -> None:
    """
    Everybody recharges the same card for orders of their own.
    """
    with file_book(path) as book:
        extension = book.extension(EXTENSION)
        [handout] = extension.generate(1)
        answers = together(recharge_apart, store, path, handout.serial)

        assert answers == [10] * TIMES
        assert Credit(10 * TIMES) == extension[handout.serial].credit
        assert extension[handout.serial].recharge_count == 10 * TIMES
        assert sound(book) == ()


def check_quota(together: Together, store: type[SQLiteStore], path: Path) -> None:
    """
    Everybody activates as many codes as possible.
    """
    with file_book(path, license=License(13)) as book:
        extension = book.extension(EXTENSION)
        made = [handout.serial for handout in extension.generate(5 * TIMES, enabled=False)]
        answers = together(fill_up, store, path, made)

        assert sum(answers) == 13
        assert Quota(13, 13) == book.quota
        assert extension.count(enabled=True) == 13
        assert sound(book) == ()


def test_the_same_order_is_credited_once_whoever_asks(together: Together, tmp_path: Path) -> None:
    """
    However many threads or processes recharge one card for the same orders at once, each is credited exactly once.
    """
    check_one_order(together, SQLiteStore, tmp_path / "cards.db")


def test_different_orders_all_count(together: Together, tmp_path: Path) -> None:
    """
    Recharges of one card for different orders at the same moment all count, and so do those without one.
    """
    check_own_orders(together, SQLiteStore, tmp_path / "cards.db")


def test_the_license_is_used_up_exactly(together: Together, tmp_path: Path) -> None:
    """
    Those who enable and generate codes at the same moment activate exactly as many as the license allows.
    """
    check_quota(together, SQLiteStore, tmp_path / "cards.db")


@pytest.mark.parametrize("check", [check_one_order, check_own_orders, check_quota])
def test_a_store_that_looks_at_nothing_is_found_out(check: Callable[..., None], tmp_path: Path) -> None:
    """
    The three laws above fail on a store without preconditions: what they prove is not luck.
    """
    with pytest.raises(AssertionError, match=r"^assert "):
        check(threads, Careless, tmp_path / "cards.db")


def test_credit_that_is_moved_around_is_conserved(together: Together, tmp_path: Path) -> None:
    """
    Transfers between two cards in both directions at once neither lose nor make credit.
    """
    with file_book(tmp_path / "cards.db") as book:
        extension = book.extension(EXTENSION)
        made = [handout.serial for handout in extension.generate(2, credit=100)]
        answers = together(transfer_back_and_forth, SQLiteStore, tmp_path / "cards.db", made)

        assert answers == [8] * TIMES
        assert [Credit(100), Credit(100)] == [extension[serial].credit for serial in made]
        assert sound(book) == ()


def generate_once(path: Path, number: int) -> tuple[bool, list[str]]:
    """
    Generate codes under one operation.
    """
    with file_book(path, source=seeded(f"{number}")) as book:
        batch = book.extension(EXTENSION).generate(3, operation="once")

        return batch.replayed, [handout.code for handout in batch]


def test_one_operation_makes_one_batch_whoever_asks(together: Together, tmp_path: Path) -> None:
    """
    However many generate under the same operation at once, all get the same codes, and one made them.
    """
    path = tmp_path / "cards.db"
    with file_book(path) as book:
        answers = together(generate_once, path)

        assert sum(not replayed for replayed, _ in answers) == 1
        assert len({tuple(codes) for _, codes in answers}) == 1
        assert book.extension(EXTENSION).count() == 3
        assert sound(book) == ()


def test_threads_can_share_one_handle() -> None:
    """
    A book in memory, or one handle on a file, can be used by many threads at once.
    """
    book = new_book(license=License(30))
    extension = book.extension(EXTENSION)
    [handout] = extension.generate(1)

    def work(number: int) -> int:
        extension.recharge(handout.serial, 1, order_number="PO-1")
        extension.recharge(handout.serial, 1, order_number=f"PO-1{number}")

        return sum(isinstance(outcome(lambda: extension.generate(1)), Batch) for _ in range(10))

    assert sum(in_threads(work, 8)) == 29
    assert Credit(9) == extension[handout.serial].credit
    assert sound(book) == ()


# After a crash


Call = Callable[[CardBook, Sequence[str], Path, str], object]

VERBS: Final[dict[str, Call]] = {
    "generate": lambda book, _, __, o: book.extension(EXTENSION).generate(3, credit=5, operation=o),
    "add": lambda book, _, __, o: book.extension(EXTENSION).add(["880000", "+40999"], credit=5, operation=o),
    "upload": lambda book, _, folder, o: book.extension(EXTENSION).upload(uploaded(folder), operation=o),
    "edit": lambda book, made, _, o: book.extension(EXTENSION).edit(made[0], code="88", pin="8068", operation=o),
    "enable": lambda book, made, _, o: book.extension(EXTENSION).enable(made[::3], operation=o),
    "disable": lambda book, made, _, o: book.extension(EXTENSION).disable(made[:2], operation=o),
    "remove": lambda book, made, _, o: book.extension(EXTENSION).remove(made[1:3], operation=o),
    "remove_unused": lambda book, _, __, o: book.extension(EXTENSION).remove_unused(
        older_than=timedelta(0), operation=o
    ),
    "set_expiry": lambda book, made, _, o: book.extension(EXTENSION).set_expiry(made[2:5], MORNING, operation=o),
    "label_cards": lambda book, made, _, o: book.extension(EXTENSION).label_cards(made[1:4], add=["vip"], operation=o),
    "disable_expired": lambda book, _, __, o: book.disable_expired(operation=o),
    "enable_batch": lambda book, made, _, o: book.extension(EXTENSION).enable_batch(batch_of(made[0]), operation=o),
    "disable_batch": lambda book, made, _, o: book.extension(EXTENSION).disable_batch(batch_of(made[0]), operation=o),
    "label_batch": lambda book, made, _, o: book.extension(EXTENSION).label_batch(
        batch_of(made[0]), add=["shipped"], operation=o
    ),
    "configure": lambda book, _, __, o: book.extension(EXTENSION).configure(minimum_credit="0.50", operation=o),
    "unblock": lambda book, made, _, o: book.extension(EXTENSION).unblock(made[0], operation=o),
    "recharge": lambda book, made, _, o: book.extension(EXTENSION).recharge(made[0], 5, operation=o),
    "recharge_many": lambda book, made, _, o: book.extension(EXTENSION).recharge_many(
        [(made[0], 5), (made[1], "unlimited"), (made[0], -1)], order_number="PO-1", operation=o
    ),
    "transfer": lambda book, made, _, o: book.extension(EXTENSION).transfer(made[0], made[1], amount=3, operation=o),
    "hold": lambda book, made, _, o: book.extension(EXTENSION).hold(
        made[0], 3, expires_in=timedelta(hours=1), operation=o
    ),
    "label_extension": lambda book, _, __, o: book.label_extension(EXTENSION, "Main", operation=o),
    "enable_extension": lambda book, _, __, o: book.enable_extension(EXTENSION, operation=o),
    "disable_extension": lambda book, _, __, o: book.disable_extension(EXTENSION, operation=o),
    "install_license": lambda book, _, __, o: book.install_license(License(5000), operation=o),
    "install_deck": lambda book, _, __, o: book.install_deck(RateDeck([Rate("40", Tariff(price=1))]), operation=o),
    "rotate_keys": lambda book, _, __, o: book.rotate_keys(operation=o),
    "change_key": lambda book, _, __, o: book.change_key(BareKey(), operation=o),
}
"""Everything that takes an operation."""

MANY: Final[dict[str, Call]] = {
    "generate": lambda book, _, __, o: book.extension(EXTENSION).generate(2100, operation=o),
    "enable": lambda book, made, _, o: book.extension(EXTENSION).enable(made, operation=o),
    "disable": lambda book, _, __, o: book.extension(EXTENSION).disable(CardQuery(), operation=o),
    "remove": lambda book, _, __, o: book.extension(EXTENSION).remove(CardQuery(), operation=o),
    "remove_unused": VERBS["remove_unused"],
    "set_expiry": lambda book, made, _, o: book.extension(EXTENSION).set_expiry(made, MORNING, operation=o),
    "label_cards": lambda book, made, _, o: book.extension(EXTENSION).label_cards(made, add=["vip"], operation=o),
    "recharge_many": lambda book, made, _, o: book.extension(EXTENSION).recharge_many(
        [(serial, 1) for serial in made], operation=o
    ),
}
"""What takes more than one commit for many cards, and a commit of very many."""

GIVES_OUT: Final = {"generate", "add", "upload"}


def batch_of(serial: str) -> str:
    """
    Give the batch that a card was made in.
    """
    return serial.partition("-")[0]


def uploaded(folder: Path) -> Path:
    """
    Write a file to upload.
    """
    path = folder / "upload.csv"
    path.write_text("880001,0482,PO-1,10\n+40998,,PO-1,u\n", encoding="utf-8")

    return path


def plain(answer: object) -> object:
    """
    Write an answer so that it can go from process to process and be compared.
    """
    match answer:
        case Batch():
            return [(h.serial, h.code, h.pin, h.credit, h.order_number) for h in answer]
        case list() | tuple():
            return [plain(part) for part in answer]
        case Hold():
            return attrs.evolve(answer, id="0" * 32)  # What no source of chance but the system's gives.
        case CardCode() | LedgerEntry() | Quota() | int() | str():
            return answer
        case _:
            return repr(answer)


@attrs.frozen
class Prepared:
    """
    A book to try a verb on, in a file that is copied for each try.

    Attributes:
        path: The file.
        made:
            The serials of its cards: half of them have expired, half are disabled. The first has not expired, but has
            been used, and somebody did not know its PIN.
        steps: How many audit entries it has.
    """

    path: Path
    made: list[str]
    steps: int

    @classmethod
    def of(cls, path: Path, count: int) -> Prepared:
        """
        Make the book.
        """
        # The day before: moments tell the audit entries of different processes apart.
        with file_book(path, source=seeded("prepared"), clock=Clock(MORNING - timedelta(days=1))) as book:
            extension = book.extension(EXTENSION)
            enabled = extension.generate(count, credit=10, expires_at=MORNING - timedelta(hours=1))
            disabled = extension.generate(count, enabled=False)
            extension.set_expiry(enabled[0].serial, None)
            extension.recharge(enabled[0].serial, 1)
            outcome(lambda: extension.authenticate(enabled[0].code, pin=enabled[0].pin[::-1] + "0"))
            made = [handout.serial for batch in (enabled, disabled) for handout in batch]

            return cls(path, made, len(verbs_of(book)))

    def copy(self, name: str, folder: Path) -> Path:
        """
        Give a copy of the book.
        """
        return Path(shutil.copy(self.path, folder / f"{name}.db"))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """
    Make a book of a few cards.
    """
    return Prepared.of(tmp_path_factory.mktemp("few") / "cards.db", 3)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """
    Make a book of many cards.
    """
    return Prepared.of(tmp_path_factory.mktemp("many") / "cards.db", 1001)


def state(book: CardBook) -> dict[str, object]:
    """
    Tell what can be compared between two books to which the same was done.
    """
    extension = book.extension(EXTENSION)
    cards = [attrs.evolve(card, id=b"") for card in extension.search(order="serial")]

    return {
        "cards": cards,
        "history": [list(extension.history(card.serial)) for card in cards[:2] + cards[-2:]],
        "quota": book.quota,
        "license": book.license,
        "decks": book.decks(),
        "extension": (extension.label, extension.enabled, extension.settings),
        "batches": extension.batches(),
        "guesses": [extension.guesses(card.serial) for card in cards[:3]],
        # What several processes did at the same moment is in no order.
        "trail": sorted(
            (
                (entry.created_at, entry.verb, {**entry.detail, "hold": bool(entry.detail.get("hold"))})
                for entry in book.audit_trail()
            ),
            key=str,
        ),
    }


def call_and_die(verbs: str, verb: str, path: Path, made: list[str], lives: int | None, _: int) -> None:
    """
    Do it in a process that is killed before the first commit, or after one of them.
    """
    store: Any = DiesBeforeCommit(path) if lives is None else DiesAfterCommit(path)
    store.lives = lives
    book = book_on(store, source=seeded("child"))
    globals()[verbs][verb](book, made, path.parent, "once")


def call(verbs: str, verb: str, path: Path, made: list[str], seed: str, _: int = 0) -> object:
    """
    Do it in a process that lives.
    """
    with file_book(path, source=seeded(seed)) as book:
        return plain(globals()[verbs][verb](book, made, path.parent, "once"))


def check_crash(verbs: str, verb: str, prepared: Prepared, folder: Path, lives: int | None, *, told: int = 1) -> None:
    """
    Compare a call that was killed and asked for again with one that was not disturbed.

    Where it was killed after a commit, *told* audit entries tell of it until then.
    """
    quiet, crashed = prepared.copy("quiet", folder), prepared.copy("crashed", folder)
    expected = call(verbs, verb, quiet, prepared.made, "child")
    killed(call_and_die, verbs, verb, crashed, prepared.made, lives)
    with file_book(crashed) as book:
        entries = verbs_of(book)
    # Where nothing was made before the crash, the codes are those of whoever asks again.
    answer = in_process(call, verbs, verb, crashed, prepared.made, "child" if lives is None else "other chance")
    again = in_process(call, verbs, verb, crashed, prepared.made, "yet another")
    with file_book(quiet) as undisturbed, file_book(crashed) as book:
        wanted, found = state(undisturbed), state(book)
        replays = [step for step in found["trail"] if step[1] == "replay"]  # type: ignore[attr-defined]
        found["trail"] = [step for step in found["trail"] if step[1] != "replay"]  # type: ignore[attr-defined]

        assert prepared.steps + (0 if lives is None else told) == len(entries)
        assert expected == answer == again
        assert wanted == found
        assert (verb in GIVES_OUT) * (1 + (lives is not None)) == len(replays)
        assert sound(book) == ()


@pytest.mark.parametrize("lives", [None, 0], ids=["before", "after"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_call_that_was_killed_is_done_once(verb: str, lives: int | None, few: Prepared, tmp_path: Path) -> None:
    """
    A call that was killed before or after its commit, and is asked for again, is done once.

    Fresh processes get the answer of an undisturbed call each time, its effects happened once, and one audit entry
    tells of it.
    """
    check_crash("VERBS", verb, few, tmp_path, lives)


@pytest.mark.parametrize(
    "verb, lives", [(verb, lives) for verb in MANY for lives in (0, 1) if (verb, lives) != ("generate", 1)]
)
def test_many_cards_are_changed_once_wherever_it_stopped(verb: str, lives: int, many: Prepared, tmp_path: Path) -> None:
    """
    The same where the process is killed after any of several commits: the call goes on where it stopped.
    """
    told = 1 if verb == "generate" else lives + 1
    check_crash("MANY", verb, many, tmp_path, lives, told=told)


@pytest.mark.parametrize("verb", VERBS)
def test_an_operation_is_one_thing(verb: str, few: Prepared, tmp_path: Path) -> None:
    """
    Every call leaves one audit entry, its repetition none, and any other verb with its operation is a conflict.

    Only codes that are given out again leave a `replay`. Neither changes the book.
    """
    with file_book(few.copy("once", tmp_path)) as book:
        first = plain(VERBS[verb](book, few.made, tmp_path, "once"))
        before, trail = everything(book), verbs_of(book)
        again = plain(VERBS[verb](book, few.made, tmp_path, "once"))
        others = {
            other: outcome(lambda call=call: call(book, few.made, tmp_path, "once"))  # type: ignore[misc]
            for other, call in VERBS.items()
            if other != verb
        }
        told = {"recharge_many": ["recharge"], "rotate_keys": ["rotate_keys"] * 2}.get(verb, [verb])

        assert first == again
        assert dict.fromkeys(others, OperationConflictError) == {
            other: answer[0] if isinstance(answer, tuple) else answer for other, answer in others.items()
        }
        assert before == everything(book)
        assert told == trail[few.steps :]
        assert ["replay"] * (verb in GIVES_OUT) == verbs_of(book)[len(trail) :]
        assert sound(book) == ()


def test_every_verb_with_an_operation_is_tried() -> None:
    """
    No verb that takes an operation is left out of the tests above.
    """
    taking = {
        name
        for face in (CardBook, type(new_book().extension(EXTENSION)))
        for name, member in inspect.getmembers(face, callable)
        if "operation" in getattr(member, "__annotations__", {})
    }

    assert taking == set(VERBS)


def test_an_order_number_survives_a_crash(few: Prepared, tmp_path: Path) -> None:
    """
    A recharge that was killed after its commit is found by its order number, too.
    """
    path = few.copy("order", tmp_path)
    killed(recharge_and_die, path, few.made[0])
    with file_book(path) as book:
        entry = book.extension(EXTENSION).recharge(few.made[0], 5, order_number="PO-1")

        assert (True, Credit(16)) == (entry.replayed, entry.credit_left)
        assert verbs_of(book)[few.steps :] == ["recharge"]


def recharge_and_die(path: Path, serial: str, _: int) -> None:
    """
    Recharge in a process that is killed after the commit.
    """
    book_on(DiesAfterCommit(path)).extension(EXTENSION).recharge(serial, 5, order_number="PO-1")


def test_a_refused_call_leaves_its_operation_free() -> None:
    """
    What was refused was not done: the same operation can be used when it fits.
    """
    book = new_book(license=License(1))
    extension = book.extension(EXTENSION)
    refused = outcome(lambda: extension.add([NewCard("7700"), NewCard("7701")], operation="once"))
    book.install_license(License(2))

    assert (QuotaExceededError, 1, 0, 2) == refused
    assert not extension.add(["7700", "7701"], operation="once").replayed


# The name of an operation


class Written(str):
    """
    A text that shows itself otherwise, such as that of a template or of an enumeration.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{id(self)}>"


def test_an_operation_is_known_by_its_characters() -> None:
    """
    Of what class the text is does not matter.
    """
    book = new_book()
    for name in ("once", Written("once"), Written("once")):
        book.label_extension(EXTENSION, "Main", operation=name)

    assert verbs_of(book) == ["label_extension"]


@pytest.mark.parametrize("name", [5, True, 5.0, uuid.UUID(int=5), object(), ["once"], ""])
def test_what_is_no_name_of_an_operation_is_refused(name: Any) -> None:  # noqa: ANN401 - what is refused
    """
    An object that shows itself by its address would be another operation each time.
    """
    book = new_book()

    with pytest.raises(InvalidValueError):
        book.label_extension(EXTENSION, "Main", operation=name)
    assert verbs_of(book) == []
