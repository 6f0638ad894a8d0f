"""Where a limit is reached, that is the verdict: never a silent pass."""

from __future__ import annotations

import pytest

from choreo.cli.verify import exit_code
from choreo.graph import choreography_of
from choreo.project.manifests import manifest_from
from choreo.verify import Budget, Verdict, verify
from tests.verify.corpus import parts

PARTICIPANTS = (parts.orders, parts.stock, parts.payments, parts.shipping, parts.mail)


def looked_at(states: int) -> Verdict:
    return verify(
        choreography_of(map(manifest_from, PARTICIPANTS)),
        budget=Budget(states=states),
        levels={"CHO301": "off"},
    )


def test_a_limit_is_reported_and_exits_with_3() -> None:
    """As a finding, in the scope, and to whoever asks for the exit code."""
    verdict = looked_at(states=4)

    assert [finding.rule for finding in verdict.findings] == ["CHO901"]
    assert "4 states were reached" in verdict.findings[0].message
    assert exit_code(verdict, strict=False) == 3


@pytest.mark.parametrize("strict", [True, False])
def test_enough_room_is_conclusive(strict: bool) -> None:
    verdict = looked_at(states=1000)

    assert verdict.findings == ()
    assert exit_code(verdict, strict=strict) == 0
