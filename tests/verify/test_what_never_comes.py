"""What can't come in any run is no error; the same choreography, changed so that it comes, has one.

The naive search says which is which.
"""

from __future__ import annotations

import pytest

from choreo.graph import choreography_of
from choreo.project.manifests import compare
from choreo.verify import verify
from tests.verify import naive
from tests.verify.choreography_text import read_choreography

DEADLINE_AT_THE_END = """
p1.s1 < Started > S1 / S1Failed
p1.undo1 of p1.s1 < S2Failed > S1Undone
p2.s2 < S1 > S2 / S2Failed
p2.undo2 of p2.s2 < S2Failed > S2Undone
p1.s3 retriable < S2 > Completed
p1.late late p2.s2 < Completed > S2Late
p1.give_up of start < S1Failed | S1Undone > Failed
"""

NOT_ADMITTED = """
p1.s1 < Started > S1 / S1Failed
p1.undo1 of p1.s1 no-aborted < S2Failed > S1Undone
p2.s2 pivot < S1 > Completed / S2Failed
p1.late late p1.s1 < Completed > S1Late
p1.give_up of start < S1Failed | S1Undone > Failed
"""

CHOICE = """
p1.s1 < Started > S1A S1B / S1Failed
p1.undoa of p1.s1 result=S1A < S2Failed | S2Undone > S1AUndone
p1.undob of p1.s1 result=S1B < S1Failed > S1BUndone
p1.s2 < S1A > S2 / S2Failed
p1.undo2 of p1.s2 derived < > S2Undone
p2.s3 retriable < S1B | S2 > Completed
p2.late late p1.s2 < S1A > S2Late
p1.give_up of start < S1Failed | S1AUndone | S1BUndone > Failed
"""

JOIN = """
p1.s1 < Started > S1 / S1Failed
p1.undo1 of p1.s1 < CompletedUndone & S2Undone | S4Failed & (S2Failed | S2Undone) > S1Undone
p2.s2 < S1 > S2 / S2Failed
p2.undo2 of p2.s2 < CompletedUndone | S4Failed > S2Undone
p1.leaf < Started > L / LFailed
p1.undo of p1.leaf derived < > LUndone
p2.s4 < S1 & S2 > Completed / S4Failed
p2.undo4 of p2.s4 derived < > CompletedUndone
p1.give_up of start derived < > Failed
"""

LEAF = """
p1.s1 < Started > S1 / S1Failed
p1.undo1 of p1.s1 < (S2Failed | S2Undone) & S4Failed > S1Undone
p2.s2 < S1 > S2 / S2Failed
p2.undo2 of p2.s2 < S4Failed > S2Undone
p1.s3 < Started > S3 / S3Failed
p1.undo3 of p1.s3 derived < > S3Undone
p2.s4 pivot < S1 & S3 > Completed / S4Failed
p1.give_up of start derived < > Failed
"""

CALLED_IN_TURN = """
p1.s1 < Started > S1 / S1Failed
p1.undo1 of p1.s1 < (S2Failed | S2Undone) & (S3Failed | S3Undone) > S1Undone
p2.s2 < S1 > S2 / S2Failed
p2.undo2 of p2.s2 < S4Failed | CompletedUndone > S2Undone
p1.s3 < S1 > S3 / S3Failed
p1.undo3 of p1.s3 < S4Failed | CompletedUndone > S3Undone
p2.s4 < S1 & (S2 | S3) > Completed / S4Failed
p2.undo4 of p2.s4 derived < > CompletedUndone
p1.give_up of start < S1Failed | S1Undone > Failed
"""

CANCELLED = """
Cancelled
p1 imports X1
p1.s2 < X1 > S2 / S2Failed
p1.undo2 of p1.s2 derived < > S2Undone
p1.s3 < Started > S3 / S3Failed
p1.undo3 of p1.s3 derived < > S3Undone
p1.s4 retriable < S2 & S3 > Completed
p1.late late p1.s2 < X1 > S2Late
p1.give_up of start < S3Failed | S3Undone > Failed
"""

DERIVED_CHOICE = """
p1.s1 < Started > S1A S1B / S1Failed
p1.undo1 of p1.s1 derived < > S1Undone
p2.s2 < S1A > S2 / S2Failed
p2.undo2 of p2.s2 derived < > S2Undone
p1.s3 < Started > S3 / S3Failed
p1.undo3 of p1.s3 derived < > S3Undone
p2.s4 pivot < S1B | S2 > Completed / S4Failed
p1.give_up of start derived < > Failed
"""

NEVER = {
    "a deadline that is counted from the end, and a trigger without what it brings": (
        DEADLINE_AT_THE_END,
        "< Completed > S2Late",
        "< Started > S2Late",
    ),
    "a deadline that is counted from the end, and a compensation that takes no Aborted": (
        NOT_ADMITTED,
        "< Completed > S1Late",
        "< Started > S1Late",
    ),
    "a deadline of what another answer leads to": (CHOICE, "< S1A > S2Late", "< Started > S2Late"),
    "the failure of a step, and that a later one is undone": (
        JOIN,
        "CompletedUndone & S2Undone |",
        "CompletedUndone & S2Failed |",
    ),
    "a leaf that waits for a join that is refused": (LEAF, "S4Failed > S2Undone", "S3Undone > S2Undone"),
    "a compensation that waits for others that wait": (
        CALLED_IN_TURN,
        "p2.s2 < S4Failed | CompletedUndone >",
        "p2.s2 < S4Failed | S3Failed | CompletedUndone >",
    ),
    "a cancelled saga that waits for a deadline": (CANCELLED, "p1.late late p1.s2 < X1 > S2Late\n", ""),
}


@pytest.mark.parametrize("what", NEVER)
def test_only_what_comes_in_some_run_is_an_error(what: str) -> None:
    text, old, new = NEVER[what]
    assert old in text

    assert breaks(text) == errors(text) == []
    changed = text.replace(old, new)
    assert breaks(changed)
    assert errors(changed)


def test_a_choice_of_which_all_is_undone_alike_is_searched_as_it_is() -> None:
    """What fails beside the pivot is told; after the other answer, too, the choice is undone."""
    assert breaks(DERIVED_CHOICE) == errors(DERIVED_CHOICE) == []


def breaks(text: str) -> list[str]:
    """Return the first thing that goes wrong in some run."""
    manifests = read_choreography(text)
    found = naive.Search(manifests, manifests[0].sagas[0]).run(naive.Budget(), 100_000)
    return [found.wrong] if found.wrong else []


def errors(text: str) -> list[str]:
    verdict = verify(choreography_of(read_choreography(text)), compare=compare)
    return [f"{each.rule} {each.message}" for each in verdict.findings if each.level == "error"]
