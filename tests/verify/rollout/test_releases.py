"""Releases by hand: each kind of change, and what `choreo verify --against` says of it."""

from __future__ import annotations

import pytest

from choreo.graph import choreography_of
from choreo.verify import Verdict, verify
from tests.verify.choreography_text import read_choreography

BASE = """
o.fail of start < PayFailed | Refunded > Failed
p.pay < Started > Paid / PayFailed
p.refund of p.pay < ShipFailed | Unshipped > Refunded
s.ship < Paid > Shipped / ShipFailed
s.unship of s.ship < PackFailed > Unshipped
k.pack pivot < Shipped > Completed / PackFailed
"""
INSERTED = """
o.fail of start < PayFailed | Refunded > Failed
p.pay < Started > Paid / PayFailed
p.refund of p.pay < CheckFailed | Unchecked > Refunded
c.check < Paid > Checked / CheckFailed
c.uncheck of c.check < ShipFailed | Unshipped > Unchecked
s.ship < Checked > Shipped / ShipFailed
s.unship of s.ship < PackFailed > Unshipped
k.pack pivot < Shipped > Completed / PackFailed
"""
CHANGES = {
    "nothing": (BASE, []),
    "observers": (BASE + "r.look < Completed | Failed >\n", []),
    "renamed": (BASE.replace("p.pay", "p.take"), ["CHO803"]),
    "to another participant": (BASE.replace("p.pay", "q.pay").replace("p.refund", "q.refund"), ["CHO803"]),
    "inserted": (INSERTED, ["CHO801"]),
    "added at the end, by whom it is new": (
        BASE.replace("> Completed", "> Packed") + "n.tell retriable < Packed > Completed\n",
        [],
    ),
    "added at the end, by whom was there": (
        BASE.replace("> Completed", "> Packed") + "o.tell retriable < Packed > Completed\n",
        ["CHO804"],
    ),
    "a compensation that is called by another event": (
        BASE.replace("< PackFailed > Unshipped", "< PayFailed > Unshipped"),
        [],
    ),
}


def across(old: str, new: str) -> Verdict:
    choreographies = [choreography_of(read_choreography(text)) for text in (old, new)]
    return verify(choreographies[1], older=choreographies[0], levels={"CHO301": "off"})


@pytest.mark.parametrize("change", [name for name in CHANGES if "another event" not in name])
def test_a_change_is_told_as_what_it_is(change: str) -> None:
    new, expected = CHANGES[change]

    assert [each.rule for each in across(BASE, new).findings] == expected


def test_the_order_is_printed() -> None:
    (found,) = across(BASE, CHANGES["added at the end, by whom was there"][0]).findings

    assert found.message == "right only if deployed in this order: o, k"
    assert [(line.step, line.what) for line in found.run if line.what == "upgraded"] == [
        ("k", "upgraded"),
        ("o", "upgraded"),
    ]
