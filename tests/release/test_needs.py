"""What sagas in flight need of a release: which of its handlers serve it."""

from __future__ import annotations

import pytest

from choreo.records import Work
from choreo.release.needs import Handlers
from tests.verify.choreography_text import SAGA, read_choreography

TOGETHER = """
a.pay async partial < Started > Paid Owed / NotPaid
a.refund of a.pay result=Paid,Owed < NotSent > Refunded
"""

APART = """
a.pay async < Started > Paid Owed / NotPaid
a.refund of a.pay result=Paid < NotSent > Refunded
a.forgive of a.pay result=Owed < NotSent > Forgiven
"""


@pytest.mark.parametrize(
    ("text", "result", "is_served"),
    [
        (TOGETHER, "", True),
        (TOGETHER, "g.Owed", True),
        (APART, "g.Owed", True),
        (APART, "g.Else", False),
        (APART, "", False),
    ],
)
def test_what_undoes_an_attempt_without_a_result_is_the_only_one(
    text: str, result: str, is_served: bool
) -> None:
    """An attempt that raised is undone, and has returned nothing by which one of several could be chosen."""
    (manifest,) = read_choreography(text)
    work = Work("1", SAGA, 1, "compensating", 0, "schedule", "compensation", "a.pay", result=result)
    assert Handlers(manifest).serve(work) == is_served
