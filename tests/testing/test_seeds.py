"""The examples under random trouble: sixty seeds here, ten thousand with `make simulate`."""

from __future__ import annotations

import pytest

from tests.programs.simulate import play

SEEDS = 60
PARTS = 3


@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_breaks_a_promise(part: int) -> None:
    """Whatever the seed says goes wrong, every saga ends as it must."""
    played = [play(seed) for seed in range(part * SEEDS // PARTS, (part + 1) * SEEDS // PARTS)]
    assert [each.complaint for each in played if each.complaint] == []
    assert all(played)
