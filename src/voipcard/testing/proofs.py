"""
What every test of the kit stands on: a store on fresh data, and a failure that says which promise was broken.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, ClassVar, TypeVar

from voipcard.stores.contract import Changes, Store
from voipcard.testing.children import Opener, UnpicklableError

__all__ = ["Proofs", "proves", "raised", "refused"]

F = TypeVar("F", bound=Callable[..., None])
E = TypeVar("E", bound=Exception)


def proves(promise: str) -> Callable[[F], F]:
    """
    Let a failing test say which promise of `Store` the store has broken.
    """

    def decorate(test: F) -> F:
        @functools.wraps(test)
        def wrapper(*arguments: Any, **fixtures: Any) -> None:  # noqa: ANN401 - whatever the test takes
            try:
                test(*arguments, **fixtures)
            except UnpicklableError:
                raise
            except Exception as error:
                error.add_note(f"This store breaks {promise} of voipcard.stores.Store: {inspect.getdoc(test)}")
                raise

        return wrapper  # type: ignore[return-value]

    return decorate


class Proofs:
    """
    The part of `StoreContract` that the author of a store fills in.

    Attributes:
        shared: Whether processes can share the data. Then laws 1 and 3 are tried with child processes.
        in_memory: Whether the store keeps everything in memory, so that law 9 cannot bound it.
        bulk: How many cards are committed at once to prove law 9.
        deadline: For how many seconds other writers wait at most while they are committed.
    """

    shared: ClassVar[bool] = True
    in_memory: ClassVar[bool] = False
    bulk: ClassVar[int] = 20_000
    deadline: ClassVar[float] = 30.0

    def fresh(self) -> AbstractContextManager[Opener]:
        """
        Make an empty place for data, and give a function that opens one more handle on it. Clean up afterwards.

        It is called many times. Where `shared` is true the function has to be picklable: a `functools.partial` of the
        store's class is.
        """
        raise NotImplementedError

    @proves("the protocol")
    def test_it_is_a_store(self) -> None:
        """
        The store has every method of the protocol.
        """
        # Here, because pytest runs the tests of a base class first: whatever is missing, all of it is said at once.
        names = [name for name in vars(Store) if not name.startswith("_")]
        with self.fresh() as open_store:
            store = open_store()
            missing = [name for name in names if not callable(getattr(store, name, None))]
            if "close" not in missing:
                store.close()

        assert not missing, f"the store has no {', '.join(missing)}"

    @contextmanager
    def opened(self) -> Iterator[Store]:
        """
        Give one handle on fresh data.
        """
        with self.fresh() as open_store, closing(open_store()) as store:
            yield store


def refused(store: Store, changes: Changes, error: type[E]) -> E:
    """
    Commit what cannot be committed and give the refusal.

    Raises:
        AssertionError: If it is not refused, or with another error.
    """
    return raised(lambda: store.commit(changes), error)


def raised(attempt: Callable[[], object], error: type[E]) -> E:
    """
    Attempt what is not possible and give the error.

    Raises:
        AssertionError: If it is possible, or fails with another error.
    """
    try:
        attempt()
    except Exception as other:
        if type(other) is error:
            return other
        message = f"{error.__name__} was expected, not {other!r}"
        raise AssertionError(message) from other

    message = f"{error.__name__} was expected, but nothing was raised"
    raise AssertionError(message)
