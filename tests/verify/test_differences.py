"""Where the naive search once differed from `choreo verify`: choreographies, and the rules they break."""

from __future__ import annotations

import pytest

from tests.verify.choreography_text import read_choreography

from .judging import errors_of

CASES = {
    "one compensation for both events of a choice": (
        """
        p1.s1 < Started > S1A S1B / S1Failed
        p1.undo of p1.s1 result=S1A,S1B < S2Failed | S2Undone | S3Failed | S3Undone > S1Undone
        p2.s2 < S1A > S2 / S2Failed
        p2.undo of p2.s2 result=S2 < S4Failed > S2Undone
        p3.s3 < S1B > S3 / S3Failed
        p3.undo of p3.s3 result=S3 < S4Failed > S3Undone
        p4.s4 pivot < S2 | S3 > Completed / S4Failed
        p1.give_up of start < S1Failed | S1Undone > Failed
        """,
        [],
    ),
    "a good end that comes in vain": (
        """
        p1.s1 < Started > S1 / S1Failed
        p1.undo1 of p1.s1 result=S1 < S3Failed | CompletedUndone > S1Undone
        p1.s2 < Started > S2 / S2Failed
        p1.undo2 of p1.s2 result=S2 < S3Failed | CompletedUndone > S2Undone
        p1.s3 < S1 | S2 > Completed / S3Failed
        p1.undo3 of p1.s3 result=Completed < > CompletedUndone
        p1.give_up of start derived < > Failed
        """,
        [],
    ),
    "an event from outside comes in the end": (
        """
        p1 imports X
        p1.s1 < Started > S1 / S1Failed
        p1.undo1 of p1.s1 result=S1 < S2Failed > S1Undone
        p1.s2 pivot < S1 & X > Completed / S2Failed
        p1.give_up of start < S1Failed | S1Undone > Failed
        """,
        [],
    ),
    "a pivot that doesn't wait for one of two ways to it": (
        """
        p1.s1 < Started > S1 / S1Failed
        p1.undo1 of p1.s1 result=S1 < S3Failed > S1Undone
        p1.s2 < Started > S2 / S2Failed
        p1.undo2 of p1.s2 result=S2 < S4Failed | S4Undone > S2Undone
        p1.s4 < S2 > S4 / S4Failed
        p1.undo4 of p1.s4 result=S4 < S3Failed > S4Undone
        p1.s3 pivot < S1 | S4 > Completed / S3Failed
        p1.give_up of start derived < > Failed
        """,
        ["CHO209"],
    ),
    "an answer that can never come need not be heard": (
        """
        p1.s1 < Started > S1 / S1Failed
        p1.undo1 of p1.s1 result=S1 < S2Failed > S1Undone
        p1.s2 < S1 > Completed / S2Failed
        p1.undo2 of p1.s2 result=Completed < > CompletedUndone
        p1.give_up of start < S1Failed | S1Undone > Failed
        """,
        [],
    ),
    "two branches that can't both be undone": (
        """
        Cancelled
        p1.s1 < Started > S1 / S1Failed
        p1.undo1 of p1.s1 result=S1 < > S1Undone
        p2.s2 < Started > S2 / S2Failed
        p2.undo2 of p2.s2 result=S2 < > S2Undone
        p1.s3 retriable < S1 & S2 > Completed
        p1.give_up of start < S1Failed & S2Failed | S1Failed & S2Undone | S1Undone & S2Failed > Failed
        """,
        [],
    ),
    "a leaf that hears of one failure, and not of the other": (
        """
        p1.s1 < Started > S1 / S1Failed
        p1.undo1 of p1.s1 result=S1 < S3Failed > S1Undone
        p1.s2 < Started > S2 / S2Failed
        p1.undo2 of p1.s2 result=S2 < S3Failed > S2Undone
        p1.s3 pivot < S2 > Completed / S3Failed
        p1.give_up of start derived < > Failed
        """,
        ["CHO203"],
    ),
    "a successor that comes behind another one": (
        """
        p1.s1 < Started > S1 / S1Failed
        p1.undo1 of p1.s1 result=S1 < S2Failed | S2Undone > S1Undone
        p1.s2 < S1 > S2 / S2Failed
        p1.undo2 of p1.s2 result=S2 < S3Failed > S2Undone
        p1.s3 pivot < S1 & S2 > Completed / S3Failed
        p1.give_up of start < S1Failed | S1Undone > Failed
        """,
        [],
    ),
    "the failure of the one branch settles the join behind the other": (
        """
        p1.s1 < Started > S1 / S1Failed
        p1.undo1 of p1.s1 result=S1 < S3Failed > S1Undone
        p1.s2 < Started > S2 / S2Failed
        p1.undo2 of p1.s2 result=S2 < S3Failed | S1Failed > S2Undone
        p1.s3 pivot < S1 & S2 > Completed / S3Failed
        p1.give_up of start derived < > Failed
        """,
        [],
    ),
    "the deadline of one way, when the saga goes the other": (
        """
        p1.s1 < Started > S1A S1B / S1Failed
        p1.undo_a of p1.s1 result=S1A < S2Failed | S2Undone > S1AUndone
        p1.undo_b of p1.s1 result=S1B < S3Failed > S1BUndone
        p1.s2 < S1A > S2 / S2Failed
        p1.late late p1.s2 < S1A > S2Late
        p1.undo2 of p1.s2 result=S2 < S3Failed > S2Undone
        p1.s3 < S2 | S1B > Completed / S3Failed
        p1.undo3 of p1.s3 result=Completed < > CompletedUndone
        p1.give_up of start < S1Failed | S1AUndone | S1BUndone > Failed
        """,
        [],
    ),
    "a fork in one way of a choice, before a pivot": (
        """
        p1.s1 < Started > S1A S1B / S1Failed
        p1.undo_a of p1.s1 result=S1A derived < > S1AUndone
        p1.undo_b of p1.s1 result=S1B derived < > S1BUndone
        p2.s2 < S1A > S2 / S2Failed
        p2.undo2 of p2.s2 derived < > S2Undone
        p3.s3 < S1A > S3 / S3Failed
        p3.undo3 of p3.s3 derived < > S3Undone
        p1.s4 < S2 & S3 > S4 / S4Failed
        p1.undo4 of p1.s4 derived < > S4Undone
        p4.s5 pivot < S4 | S1B > Completed / S5Failed
        p1.give_up of start derived < > Failed
        """,
        [],
    ),
    "the deadline of the next step calls what names no event": (
        """
        p1.s1 < Started > S1 / S1Failed
        p1.undo1 of p1.s1 result=S1 < > S1Undone
        p1.s2 < S1 > Completed / S2Failed
        p1.undo2 of p1.s2 result=Completed < S2Failed > CompletedUndone
        p1.late late p1.s2 < S1 > S2Late
        p1.give_up of start < S1Failed | S1Undone > Failed
        """,
        ["CHO204"],
    ),
    "the failure on the other way of a choice": (
        """
        p2.s1 < Started > S1A S1B / S1Failed
        p2.undo1 of p2.s1 result=S1A,S1B < S2Failed | S2Undone | S3Failed | S3Undone > S1Undone
        p3.s2 < S1A > S2 / S2Failed
        p3.undo2 of p3.s2 result=S2 < S4Failed > S2Undone
        p3.s3 < S1B > S3 / S3Failed
        p3.undo3 of p3.s3 result=S3 < S4Failed | S2Failed > S3Undone
        p3.s4 pivot < S2 | S3 > Completed / S4Failed
        p1.give_up of start < S1Failed | S1Undone > Failed
        """,
        [],
    ),
    "a choice behind a choice, and what is final": (
        """
        p3.s1 < Started > S1A S1B / S1Failed
        p3.undo1a of p3.s1 result=S1A < S2Failed | S2Undone > S1AUndone
        p3.undo1b of p3.s1 result=S1B < S3Failed | S3AUndone | S3BUndone > S1BUndone
        p3.s4 < S3A > S4 / S4Failed
        p3.undo4 of p3.s4 result=S4 < > S4Undone
        p1.s2 < S1A > S2 / S2Failed
        p1.undo2 of p1.s2 result=S2 < > S2Undone
        p1.s5 retriable < S2 | S4 | S3B > Completed
        p1.give_up of start < S1Failed | S1AUndone | S1BUndone > Failed
        p4.s3 < S1B > S3A S3B / S3Failed
        p4.undo3a of p4.s3 result=S3A < S4Failed | S4Undone > S3AUndone
        p4.undo3b of p4.s3 result=S3B < > S3BUndone
        """,
        [],
    ),
    "a join of a step with what comes of it by a choice": (
        """
        p3.s1 < Started > S1 / S1Failed
        p3.undo1 of p3.s1 derived < > S1Undone
        p2.s2 < S1 > S2A S2B / S2Failed
        p2.undo2a of p2.s2 result=S2A < S3Failed | S3Undone > S2AUndone
        p2.undo2b of p2.s2 result=S2B < S4Failed > S2BUndone
        p2.s3 < S2A > S3 / S3Failed
        p2.undo3 of p2.s3 result=S3 < S4Failed > S3Undone
        p1.s4 pivot < S1 & S3 | S1 & S2B > Completed / S4Failed
        p1.give_up of start derived < > Failed
        """,
        [],
    ),
    "a deadline, and a compensation that its own step's failure calls": (
        """
        p1.s1 < Started > S1A S1B / S1Failed
        p1.undo1a of p1.s1 result=S1A < S2Failed | S2Undone > S1AUndone
        p1.undo1b of p1.s1 result=S1B < S3Failed > S1BUndone
        p1.s2 < S1A > S2 / S2Failed
        p1.undo2 of p1.s2 result=S2 < S3Failed | S2Failed > S2Undone
        p1.s3 pivot < S2 | S1B > S3 / S3Failed
        p2.s4 retriable < S3 > Completed
        p2.late late p1.s2 < S1A > S2Late
        p1.give_up of start derived < > Failed
        """,
        [],
    ),
    "the deadline of a step on the way not taken, counted from the start, beside a pivot": (
        """
        p1.s1 < Started > S1A S1B / S1Failed
        p1.undo1a of p1.s1 result=S1A derived < > S1AUndone
        p1.undo1b of p1.s1 result=S1B derived < > S1BUndone
        p1.s2 < S1A > S2 / S2Failed
        p1.undo2 of p1.s2 result=S2 derived < > S2Undone
        p1.late late p1.s2 < Started > S2Late
        p2.s3 pivot < S2 | S1B > S3 / S3Failed
        p1.s4 retriable < S3 > Completed
        p1.give_up of start derived < > Failed
        """,
        [],
    ),
    "the deadline of a step on the way not taken, counted from that way, beside a pivot": (
        """
        p1.s1 < Started > S1A S1B / S1Failed
        p1.undo1a of p1.s1 result=S1A derived < > S1AUndone
        p1.undo1b of p1.s1 result=S1B derived < > S1BUndone
        p1.s2 < S1A > S2 / S2Failed
        p1.undo2 of p1.s2 result=S2 derived < > S2Undone
        p1.late late p1.s2 < S1A > S2Late
        p2.s3 pivot < S2 | S1B > S3 / S3Failed
        p1.s4 retriable < S3 > Completed
        p1.give_up of start derived < > Failed
        """,
        [],
    ),
    "joins on both ways of a choice": (
        """
        p1.s1 < Started > S1A S1B / S1Failed
        p1.undo1a of p1.s1 result=S1A < S3Failed | S3Undone > S1AUndone
        p1.undo1b of p1.s1 result=S1B < S4Failed | S4Undone > S1BUndone
        p2.s2 < Started > S2 / S2Failed
        p2.undo2 of p2.s2 derived < > S2Undone
        p3.s3 < S1A & S2 > S3 / S3Failed
        p3.undo3 of p3.s3 derived < > S3Undone
        p4.s4 < S1B & S2 > S4 / S4Failed
        p4.undo4 of p4.s4 derived < > S4Undone
        p2.s5 pivot < S3 | S4 > Completed / S5Failed
        p1.give_up of start derived < > Failed
        """,
        [],
    ),
    "the join on the other way of a choice is refused, and calls too early": (
        """
        p1.s1 < Started > S1A S1B / S1Failed
        p1.undo1a of p1.s1 result=S1A < S3Failed | S3Undone | S4Failed > S1AUndone
        p1.undo1b of p1.s1 result=S1B < S4Failed | S4Undone > S1BUndone
        p2.s2 < Started > S2 / S2Failed
        p2.undo2 of p2.s2 derived < > S2Undone
        p3.s3 < S1A & S2 > S3 / S3Failed
        p3.undo3 of p3.s3 derived < > S3Undone
        p4.s4 < S1B & S2 > S4 / S4Failed
        p4.undo4 of p4.s4 derived < > S4Undone
        p2.s5 pivot < S3 | S4 > Completed / S5Failed
        p1.give_up of start derived < > Failed
        """,
        ["CHO204"],
    ),
    "a join of a step and of what comes of it on one of two ways": (
        """
        p1.s1 < Started > S1A S1B / S1Failed
        p1.undo1 of p1.s1 result=S1A,S1B derived < > S1Undone
        p2.s2 < S1A > S2 / S2Failed
        p2.undo2 of p2.s2 derived < > S2Undone
        p2.s3 < S2 | S1B > S3 / S3Failed
        p2.undo3 of p2.s3 derived < > S3Undone
        p2.s4 pivot < S2 & S3 | S1B & S3 > Completed / S4Failed
        p1.give_up of start derived < > Failed
        """,
        [],
    ),
    "a saga that nobody starts": (
        """
        p1.s1 < Started > S1 / S1Failed
        p1.undo1 of p1.s1 result=S1 < S3Failed | S2Failed > S1Undone
        p1.s2 < S1 > S2 / S2Failed
        p1.undo2 of p1.s2 result=S2 < S3Failed > S2Undone
        p1.s3 pivot < S2 > Completed / S3Failed
        """,
        ["CHO201", "CHO204"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_verify_sees_it_as_the_naive_search_does(name: str) -> None:
    """No error that no run shows, and none missed that one does."""
    text, rules = CASES[name]
    assert {finding.rule for finding in errors_of(tuple(read_choreography(text)))} == set(rules)
