"""
A card book on a Galera cluster whose nodes crash and are cut off while clients write to all of them.

`nox -s galera` tries it with reads that wait for what other nodes have committed, without, and with all clients at one
node; and then the conformance kit over all nodes. It takes half an hour.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final, TypeAlias

import attrs

from tests import servers
from tests.book_world import in_processes
from tests.galera import Cluster
from tests.labs import race
from tests.labs.bank import CARDS, CREDIT, Run, at_work, calls_in, table, wait_for
from tests.labs.banks import BookBank, Statement
from tests.labs.kit import proofs
from tests.labs.roaming import Job, Meter, added, meter_of, serve
from voipcard import License
from voipcard.stores import SQLAlchemyStore

__all__ = ["Finding", "main"]

ROOM: Final = 60
"""How many codes besides the cards of the bank may be active."""


@attrs.frozen
class Way:
    """
    How clients use a cluster.

    Attributes:
        name: What it is called.
        homes: At how many nodes clients are at home.
        waits: Whether a read waits until its node has all that was committed anywhere before.
    """

    name: str
    homes: int
    waits: bool

    def urls(self, cluster: Cluster) -> list[str]:
        """
        Give the addresses that clients use.
        """
        return [waiting(node.url) if self.waits else node.url for node in cluster.nodes]


WAYS: Final = [
    Way("3 nodes, reads wait", homes=3, waits=True),
    Way("3 nodes, reads do not wait", homes=3, waits=False),
    Way("1 node", homes=1, waits=False),
]

GoOn: TypeAlias = Callable[[], None]
"""Waits until the clients had more answers."""


@attrs.frozen
class Finding:
    """
    What one run tells.

    Attributes:
        name: What was tried.
        meter: What the clients met.
        runs: The bank, as each node tells it.
        left: The quota after a race for it, as each node tells it.
        tallies: What the runners of that race tell.
    """

    name: str
    meter: Meter
    runs: Sequence[Run]
    left: Sequence[race.Outcome]
    tallies: Sequence[race.Tally]

    @property
    def faults(self) -> list[str]:
        """
        Tell what is wrong; nothing if all is well.
        """
        statements = [(sorted(run.statement.credits.items()), sorted(run.statement.changes)) for run in self.runs]
        facts = {
            "a node is wrong": all(run.is_right for run in self.runs),
            "the nodes do not agree": all(statement == statements[0] for statement in statements),
            "not exactly the limit is active": set(map(str, self.left)) == {str(_full())},
            "more than the limit was active": all(tally.peak <= ROOM for tally in self.tallies),
            "a refusal was wrong": not any(tally.wrong for tally in self.tallies),
        }

        return [fault for fault, is_not_so in facts.items() if not is_not_so]


def _full() -> race.Outcome:
    return race.Outcome(active=CARDS + ROOM, enabled=ROOM, balance=ROOM, findings=[])


# What happens to the nodes


def _crash(cluster: Cluster, go_on: GoOn) -> None:
    node = cluster.nodes[0]
    node.stop(immediate=True)
    go_on()
    node.start()


def _leave(cluster: Cluster, go_on: GoOn) -> None:
    node = cluster.nodes[2]
    node.stop(immediate=False)
    go_on()
    node.start()


def _cut_off(cluster: Cluster, go_on: GoOn) -> None:
    node = cluster.nodes[1]
    node.cut_off()
    go_on()
    node.reconnect()


def _fall_apart(cluster: Cluster, go_on: GoOn) -> None:
    """
    Let one node after another be cut off, so that the last one may not go on alone.
    """
    first, second, _ = cluster.nodes
    first.cut_off()
    go_on()
    second.cut_off()
    time.sleep(8)
    second.reconnect()
    first.reconnect()


def _crash_all(cluster: Cluster, _: GoOn) -> None:
    cluster.stop(immediate=True)
    cluster.start()


EVENTS: Final[Mapping[str, Callable[[Cluster, GoOn], None]]] = {
    "a node crashed and came back": _crash,
    "a node was cut off and came back": _cut_off,
    "a node left in order and came back": _leave,
    "two nodes were cut off, so that none could write": _fall_apart,
    "all nodes crashed at once": _crash_all,
}


# The laboratory


def tried(way: Way, *, clients: int, between: int, rounds: int) -> Finding:
    """
    Let clients work on a cluster while things happen to it, race for what the license leaves, and look at each node.

    Args:
        way: How they use it.

        clients: How many processes there are.

        between: After how many answers something happens.

        rounds: How often each thing happens.
    """
    _say(f"\n{way.name}")
    with servers.galera() as cluster, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        job = Job(way.urls(cluster), way.homes, _issued(cluster))
        with at_work(serve, job, folder=folder, times=clients) as answered:
            go_on = functools.partial(wait_for, between, answered)
            begin = time.monotonic()
            go_on()
            for event, happens in [*EVENTS.items()] * rounds:
                with _timed(event):
                    happens(cluster, go_on)
                    go_on()
            seconds = time.monotonic() - begin
        run = Run(way.name, clients, len(EVENTS) * rounds, seconds, calls_in(folder), _NOTHING)

        return _looked_at(run, way.urls(cluster), meter_of(folder))


_NOTHING: Final = Statement({}, [], 0, 0)


def _looked_at(run: Run, urls: Sequence[str], meter: Meter) -> Finding:
    """
    Race for what the license leaves, and ask each node.
    """
    gained = sum(call.amount for call in run.calls if not call.cards and call.answer != "refused")
    tallies = in_processes(_race, urls, times=len(urls))
    asked = list(map(waiting, urls))
    left = [race.outcome(SQLAlchemyStore(url), [race.Tally(gained, 0, 0, 0, []), *tallies]) for url in asked]

    return Finding(run.name, meter, [_as_told(run, url) for url in asked], left, tallies)


def _as_told(run: Run, url: str) -> Run:
    with contextlib.closing(BookBank(url)) as bank:
        return attrs.evolve(run, statement=bank.statement())


def _issued(cluster: Cluster) -> list[str]:
    """
    Make the book, and wait until all nodes have it.
    """
    with contextlib.closing(BookBank(cluster.nodes[0].url)) as bank:
        bank.book.install_license(License(max_active_codes=CARDS + ROOM))
        cards = bank.issue(CARDS, CREDIT)
    for node in cluster.nodes:
        BookBank(waiting(node.url)).close()

    return cards


def _race(urls: Sequence[str], number: int) -> race.Tally:
    return race.race(SQLAlchemyStore, urls[number], 20, number)


def waiting(url: str) -> str:
    """
    Give an address at which reads wait until the node has all that was committed anywhere before.
    """
    return url if "wsrep_sync_wait" in url else f"{url}&init_command=SET+wsrep_sync_wait%3D1"


def compared(*, clients: int, seconds: float, rounds: int) -> str:
    """
    Measure the ways side by side, on one cluster to which nothing happens, and say how fast they are.
    """
    speeds: dict[str, list[float]] = {way.name: [] for way in WAYS}
    meters: dict[str, list[Meter]] = {way.name: [] for way in WAYS}
    with servers.galera() as cluster:
        cards = _issued(cluster)
        for part, way in enumerate(WAYS * rounds):
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                job = Job(way.urls(cluster), way.homes, cards, part)
                with at_work(serve, job, folder=folder, times=clients) as answered:
                    first = answered()
                    time.sleep(seconds)
                    speeds[way.name].append((answered() - first) / seconds)
                meters[way.name].append(meter_of(folder))
    lines = [f"{'undisturbed':<34}{'a second':>13}{'from':>9}{'to':>9}"]
    for name, found in speeds.items():
        lines.append(f"{name:<34}{median(found):>13.0f}{min(found):>9.0f}{max(found):>9.0f}")

    return "\n".join([*lines, "", conflicts({name: functools.reduce(added, found) for name, found in meters.items()})])


@contextlib.contextmanager
def _timed(event: str) -> Iterator[None]:
    begin = time.monotonic()
    yield
    _say(f"{time.monotonic() - begin:6.1f} s  {event}")


def conflicts(meters: Mapping[str, Meter]) -> str:
    """
    Say for each run what clients met that they did not have to know.
    """
    errors = sorted({error for meter in meters.values() for error in meter.errors})
    heads = ["stale", "in a row", *errors]
    lines = [f"{'met on the way':<34}" + "".join(f"{head:>13}" for head in heads)]
    for name, meter in meters.items():
        counts = [meter.stale, meter.row, *(meter.errors[error] for error in errors)]
        lines.append(f"{name:<34}" + "".join(f"{count:>13,}" for count in counts))

    return "\n".join(lines)


def kit(bulk: int) -> bool:
    """
    Prove the laws over the nodes, with reads that wait and with reads that do not; tell whether the former all hold.
    """
    holds = True
    with servers.galera() as cluster:
        for waits in (True, False):
            found = list(proofs(cluster.nodes, waiting if waits else str, bulk=bulk))
            faults = [f"    {proof.name}: {proof.fault}" for proof in found if proof.fault]
            holds &= not (waits and faults)
            _say(
                f"the kit, reads {'wait' if waits else 'do not wait'}: {len(found) - len(faults)} of {len(found)} hold"
            )
            _say("\n".join(faults))

    return holds


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command, and give its exit status: 1 if something was wrong.
    """
    logging.disable()  # What a crash breaks would be told of for every connection.
    options = _parser().parse_args(arguments)
    clients = options.clients
    _say(compared(clients=clients, seconds=options.seconds, rounds=5))
    findings = [tried(way, clients=clients, between=options.between, rounds=options.rounds) for way in WAYS]
    runs = [
        attrs.evolve(run, name=f"{each.name}, node {node}") for each in findings for node, run in enumerate(each.runs)
    ]
    _say(f"\n{table(runs)}\n\n{conflicts({each.name: each.meter for each in findings})}\n")
    for each in findings:
        refused = sum(tally.refused for tally in each.tallies)
        _say(f"{each.name}: {'; '.join(each.faults) or 'all is well'}; {refused} refused in the race: {each.left[0]}")
    is_lawful = kit(options.bulk)

    return 0 if is_lawful and not any(each.faults for each in findings) else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nox -s galera --", description="Crash and cut off the nodes of a cluster.")
    parser.add_argument("--clients", type=int, default=9, help="how many processes there are (%(default)s)")
    parser.add_argument("--between", type=int, default=300, help="after how many calls something happens (%(default)s)")
    parser.add_argument("--seconds", type=float, default=6, help="how long each way is measured (%(default)s)")
    parser.add_argument("--bulk", type=int, default=3000, help="how many cards the kit commits at once (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="how often each thing happens (%(default)s)")

    return parser


if __name__ == "__main__":
    sys.exit(main())
