"""``choreo.testing.verify``: the whole graph in one line of a user's test."""

from __future__ import annotations

import pytest

from choreo.testing import verify
from examples.orders.inventory import inventory
from examples.orders.notifications import notifications
from examples.orders.orders import orders
from examples.orders.payments import payments
from examples.orders.shipping import shipping
from tests.verify.corpus.bad import cho204_textbook as textbook
from tests.verify.corpus.bad import cho212_last_step as last_step


def test_a_choreography_that_is_right_passes() -> None:
    """Strictly, and with two things going wrong."""
    verify(orders, inventory, payments, shipping, notifications, strict=True, deep=True)


def test_one_that_is_not_fails_with_the_report() -> None:
    """As `choreo verify` would print it."""
    with pytest.raises(AssertionError, match=r"error\[CHO204\] compensation-order") as failed:
        verify(textbook.orders, textbook.stock, textbook.payments, textbook.shipping, textbook.mail)
    assert "def release(event: Declined | Refunded" in str(failed.value)


def test_warnings_fail_when_it_is_strict() -> None:
    participants = (last_step.orders, last_step.stock, last_step.payments, last_step.shipping, last_step.mail)

    verify(*participants)
    with pytest.raises(AssertionError, match="CHO212"):
        verify(*participants, strict=True)
