"""
The conformance kit: prove that a store keeps the laws of `voipcard.stores.Store`. Needs pytest and Hypothesis.
"""

import pytest

for _module in ("children", "commits", "contract", "machine", "proofs", "reads", "samples", "values"):
    pytest.register_assert_rewrite(f"{__name__}.{_module}")

from voipcard.testing import strategies  # noqa: E402 - the assertions have to be registered first
from voipcard.testing.children import Opener  # noqa: E402
from voipcard.testing.contract import StoreContract  # noqa: E402
from voipcard.testing.machine import STORY, StoreMachine, check_story, store_machine  # noqa: E402

__all__ = ["STORY", "Opener", "StoreContract", "StoreMachine", "check_story", "store_machine", "strategies"]
