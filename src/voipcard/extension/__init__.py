"""
What can be done with the card codes of one Calling Card extension: one class, put together by subject.
"""

from __future__ import annotations

from voipcard.extension.batching import Batching
from voipcard.extension.calling import Calling
from voipcard.extension.changing import Changing
from voipcard.extension.crediting import Crediting
from voipcard.extension.finding import Finding
from voipcard.extension.holding import Holding
from voipcard.extension.letting_in import LettingIn
from voipcard.extension.making import Making
from voipcard.extension.reporting import Reporting
from voipcard.extension.setting_up import SettingUp
from voipcard.extension.settling import Settling

__all__ = ["Extension"]


class Extension(
    SettingUp, Making, Changing, LettingIn, Calling, Holding, Settling, Batching, Crediting, Finding, Reporting
):
    """
    One Calling Card extension and its card codes. Get one from `CardBook.extension`.

    Wherever a card is asked for, a `CardCode` or its serial will do. Every write leaves an entry in the audit trail
    and takes `operation=`, a name of your own for the call: the same call with the same name again, from whatever
    process, is not done twice, but answered with what it did the first time; cards, and the codes and PINs of a batch,
    are then given as they are by now. The same name for anything else is an `OperationConflictError`. An upload is done
    once without such a name, too, and so is whatever ends a hold or settles a call.

    Attributes:
        number: Its extended number.
    """
