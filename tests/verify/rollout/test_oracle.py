"""Random releases: what the search says of them, against participants that run each for itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from random import Random

import pytest

from choreo.graph import SagaGraph, choreography_of
from choreo.verify import verify
from choreo.verify.engine.budget import DEFAULT, Meter, no_clock
from choreo.verify.rollout.judgement import Judgement, judge
from choreo.verify.rollout.mixture import Rollout
from tests.verify.choreography_text import read_choreography
from tests.verify.rollout.naive import replayed, walks
from tests.verify.rollout.pairs import released, sketch

LONG = bool(os.environ.get("CHOREO_FUZZ"))
BLOCKS = range(200) if LONG else range(1)
PAIRS, WALKS = 10, 200 if LONG else 20


def sound(text: str) -> SagaGraph | None:
    """Return the graph of a choreography, None where it has an error of its own."""
    choreography = choreography_of(read_choreography(text))
    return None if verify(choreography).errors else choreography.sagas[0]


@lru_cache(maxsize=1)
def pairs(block: int) -> list[tuple[str, Rollout, Judgement]]:
    return list(_pairs(block))


def _pairs(block: int) -> Iterator[tuple[str, Rollout, Judgement]]:
    for number in range(block * PAIRS, (block + 1) * PAIRS):
        random = Random(number)
        old = sketch(random)
        release = released(random, old)
        if release is None:
            continue
        graphs = [sound(each.text()) for each in (old, release[1])]
        if graphs[0] and graphs[1]:
            rollout = Rollout(graphs[0], graphs[1])
            yield f"{number} {release[0]}", rollout, judge(rollout, 1, Meter(DEFAULT, no_clock))


@pytest.mark.parametrize("block", BLOCKS)
def test_what_is_clean_breaks_in_no_run(block: int) -> None:
    """Nor does a release that is deployed in the order that is printed."""
    for name, rollout, judgement in pairs(block):
        own = walks(rollout.old, rollout.old, name, WALKS) + walks(rollout.new, rollout.new, name, WALKS)
        if not (judgement.certain or judgement.others):
            assert not walks(rollout.old, rollout.new, name, WALKS) - own, name
        elif judgement.order and not judgement.certain:
            assert not walks(rollout.old, rollout.new, name, WALKS, judgement.order) - own, name


@pytest.mark.parametrize("block", BLOCKS)
def test_what_is_told_breaks_participant_by_participant(block: int) -> None:
    """The run that shows it is one of participants that each have their own state."""
    for name, rollout, judgement in pairs(block):
        for found in (*judgement.certain, *judgement.others):
            if found.signature.how != "omitted":
                assert replayed(rollout, found) == found.signature.how, (name, found.signature)
