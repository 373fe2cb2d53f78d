"""
Calls: how long they may take, and what they cost.
"""

from __future__ import annotations

from datetime import timedelta

from voipcard import calling
from voipcard.access import Access
from voipcard.calling import WARN_BEFORE, Call
from voipcard.core.cards import CardCode
from voipcard.extension.bound import Bound

__all__ = ["Calling"]


class Calling(Bound):
    """
    Lets cards pay for calls.
    """

    def begin_call(
        self,
        caller: Access | CardCode | str,
        destination: str,
        *,
        call_id: str,
        reserve: timedelta | None = None,
        expires_in: timedelta | None = None,
        warn_before: timedelta = WARN_BEFORE,
    ) -> Call:
        """
        Rate a call and hold credit for it, so that it can be charged whatever else happens to the card.

        It is rated by the price list that is set for the extension (`ExtensionSettings.deck`), in the version that
        holds now, by the longest prefix of the number; that price stays until the call is settled. The hold is for all
        that the call may cost: for as many seconds as the available credit pays for, and no more than
        `max_call_seconds`. If the switch dies, the hold runs out, and an import of calls settles what really happened.
        The same call again, on the same card to the same number, goes on instead of beginning twice.

        Args:
            caller: What `authenticate` gave; or a card or its serial, where somebody else has let the caller in.

            destination: The number that is called, with the country code first, or as it is dialed in the extension's
                region: 1 to 32 digits. Only its rated prefix is kept in clear text.

            call_id: The switch's name for the call, unique in the book: 1 to 255 characters, and spaces around it are
                dropped. Only a keyed hash is kept.

            reserve: Hold credit for so much time ahead only, so that a card can pay for several calls at a time. Then
                `keep_alive` has to be called before that has passed. None for as long as there is credit.

            expires_in: For how long the hold lasts if nobody calls `keep_alive`, at most 366 days; None for as long as
                the call may take, and two minutes more.

            warn_before: How long before the end the caller is to be warned.

        Returns:
            How long the call may take, when to warn and what to announce; and how to keep it alive and end it.

        Raises:
            CardUnusableError: If the card, its batch or the extension is disabled, or the card has expired.

            TooManyCallsError: If the card has as many calls running as it may have
                (`ExtensionSettings.concurrent_calls`).

            InsufficientCreditError: If less is available than the extension's minimum, or than the first second costs.

            UnknownDestinationError: If the price list has no rate for the number.

            UnknownDeckError: If the extension's price list is not there.

            CallEndedError: If a call of this name has been settled already.

            OperationConflictError: If a call of this name is running on the card to another number.

            UnknownCardError: If the extension has no such card.

            AmountError: If even the first second costs more than an amount can be.

            InvalidValueError: If another argument is out of its range.

        Example:
            >>> book = voipcard.open_book()
            >>> _ = book.install_deck(voipcard.RateDeck([voipcard.Rate("40", voipcard.Tariff(price="0.06"))]))
            >>> extension = book.extension("0003*215")
            >>> [handout] = extension.generate(1, credit="1.00")
            >>> access = extension.authenticate(handout.code, pin=handout.pin)
            >>> call = extension.begin_call(access, "+40 21 312 3456", call_id="1764460800.17")
            >>> call.max_duration, call.warn_after
            (1000, 940)
            >>> entry = call.end(95)
            >>> entry.amount, entry.credit_left
            (Credit('-0.095'), Credit('0.905'))

        Source: VoipNow user guide, "Calling Card Extension".
        """
        return calling.begin(
            self._engine,
            self.number,
            caller,
            destination,
            call_id=call_id,
            reserve=reserve,
            expires_in=expires_in,
            warn_before=warn_before,
        )

    def call(
        self,
        card: CardCode | str,
        *,
        call_id: str,
        reserve: timedelta | None = None,
        expires_in: timedelta | None = None,
        warn_before: timedelta = WARN_BEFORE,
    ) -> Call:
        """
        Give a call that is running, to keep it alive or end it from another process than the one that began it.

        Args:
            card: The card that pays, or its serial.

            call_id: As for `begin_call`.

            reserve: As for `begin_call`.

            expires_in: As for `begin_call`.

            warn_before: As for `begin_call`.

        Raises:
            UnknownHoldError: If the call has ended, or its hold has run out: then import it.

            UnknownCardError: If the extension has no such card.

            InvalidValueError: If another argument is out of its range.
        """
        return calling.running_call(
            self._engine,
            self.number,
            card,
            call_id=call_id,
            reserve=reserve,
            expires_in=expires_in,
            warn_before=warn_before,
        )
