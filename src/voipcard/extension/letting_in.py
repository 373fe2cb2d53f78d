"""
Letting callers in, and helping those who are locked out.
"""

from __future__ import annotations

from voipcard import access, guessing
from voipcard.access import Access, Question
from voipcard.core.cards import CardCode, serial_of
from voipcard.extension.bound import Bound
from voipcard.guessing import CardGuesses

__all__ = ["LettingIn"]


class LettingIn(Bound):
    """
    Lets callers in.
    """

    def authenticate(
        self,
        code: str,
        *,
        pin: str = "",
        source: str | None = None,
        ingress: str | None = None,
        call_id: str | None = None,
    ) -> Access:
        """
        Let a caller in who dials a code and, where the card has one, a PIN.

        The attempt is counted as failed, durably, before code and PIN are compared, and taken back if they are right.
        Too little credit to call is no reason not to be let in: `Access.may_call` tells it. Every attempt is in the
        audit trail, with the true reason of a refusal.

        Args:
            code: What the caller dialed. It never matches a CallerID card.

            pin: What the caller dialed as PIN; empty for nothing. A card without a PIN takes any.

            source:
                The number or address that the caller comes from; None or empty if it is not known. Only a keyed hash
                of it is kept.

            ingress:
                The trunk that the call came in through; None or empty if it does not matter. Callers of whom neither
                source nor ingress is known count as one ingress.

            call_id:
                The switch's name for the call, so that a call has three attempts; None or empty for any number of them.

        Returns:
            The card, and what the caller may do.

        Raises:
            AccessDeniedError: If the caller is not let in, for whatever reason; it does not say which.

            JoinedStoreError: In a transaction of the caller's: its rollback would give attempts back.

            InvalidCodeError: If *code* is no text.

            InvalidPinError: If *pin* is no text.

            InvalidValueError: If *source*, *ingress* or *call_id* is no line of text of at most 255 characters.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> [handout] = extension.generate(1, credit="10.00")
            >>> access = extension.authenticate(handout.code, pin=handout.pin, source="40722123456")
            >>> access.may_call, access.available
            (True, Credit('10.00'))

        Source: VoipNow user guide, "Calling Card Extension".
        """
        attempt = access.dialed(
            self._engine, self.number, code, pin=pin, source=source, ingress=ingress, call_id=call_id
        )
        # Reports of errors show the values of variables, and callers are denied every day.
        del code, pin, source

        return attempt.let_in()

    def authenticate_caller(
        self,
        number: str,
        *,
        pin: str = "",
        source: str | None = None,
        ingress: str | None = None,
        call_id: str | None = None,
    ) -> Access:
        """
        Let a caller in whose number is a CallerID card, without a code; a PIN is still asked for if the card has one.

        Ask `asks_for` first: an unknown number fails here like a wrong code, and counts against the caller.

        Args:
            number: The caller's number, with or without `+`. It never matches a dialed code.

            pin: As for `authenticate`.

            source: As for `authenticate`; None or empty for the number itself, if it is one.

            ingress: As for `authenticate`.

            call_id: As for `authenticate`.

        Returns:
            The card, and what the caller may do.

        Raises:
            AccessDeniedError: If the caller is not let in, for whatever reason; it does not say which.

            JoinedStoreError: In a transaction of the caller's.

            InvalidCodeError: If *number* is no text.

            InvalidPinError: If *pin* is no text.

            InvalidValueError: If another argument is no line of text of at most 255 characters.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> _ = extension.add("+40 722 123 456", credit="5.00")
            >>> extension.asks_for("40722123456")
            'nothing'
            >>> extension.authenticate_caller("40722123456").available
            Credit('5.00')

        Source: VoipNow user guide, "Calling Card Extension".
        """
        attempt = access.calling(
            self._engine, self.number, number, pin=pin, source=source, ingress=ingress, call_id=call_id
        )
        del number, pin, source

        return attempt.let_in()

    def asks_for(self, number: str) -> Question:
        """
        Tell what a caller with this number has to be asked for, before `authenticate` or `authenticate_caller`.

        Nothing is written or counted. Whoever can forge numbers learns which of them are CallerID cards, as by calling:
        give such cards a PIN.

        Args:
            number: The caller's number, with or without `+`.

        Returns:
            `nothing` if the number is a CallerID card without a PIN, `pin` if it is one with a PIN, `code` if it is
            none.

        Raises:
            InvalidCodeError: If *number* is no text.
        """
        return access.asks_for(self._engine, self.number, number)

    def guesses(self, card: CardCode | str) -> CardGuesses:
        """
        Give the wrong PINs in a row on a card, and whether it is locked or blocked because of them.

        Args:
            card: The card, or its serial.

        Raises:
            UnknownCardError: If the extension has no such card.
        """
        return guessing.guesses_on(self._engine, self.number, serial_of(card))

    def unblock(self, card: CardCode | str, *, operation: str | None = None) -> None:
        """
        Forget the wrong PINs on a card, so that it can be used again at once by who has attempts left.

        What counts against calls, sources and ingresses stays. Where the count was changed from outside, which `verify`
        finds and which lets nobody in, it begins anew as well.

        Args:
            card: The card, or its serial.

            operation: A name of your own for this call.

        Raises:
            UnknownCardError: If the extension has no such card.

            OperationConflictError: If *operation* was used for something else.
        """
        guessing.unblock(self._engine, self.number, serial_of(card), operation=operation)
