"""Each defect of the corpus is reported by the right rule at the right line, and nothing else is."""

from __future__ import annotations

from collections import Counter

import pytest

from choreo.verify.release import OF_RELEASES
from choreo.verify.report.text import text
from choreo.verify.rules import RULES
from tests.verify.corpus.case import CorpusCase, cases

BAD, GOOD = cases("bad"), cases("good")

# In one process, which verifies each case of the corpus once.
pytestmark = pytest.mark.xdist_group("corpus")

ELSEWHERE = {
    "CHO111": "test_forged_runs.py",
    "CHO205": "test_forged_runs.py",
    "CHO206": "test_forged_runs.py",
    "CHO207": "test_forged_runs.py",
    "CHO901": "test_inconclusive.py",
}
"""Rules on what can't be declared, and where they have their cases."""


@pytest.mark.parametrize("case", BAD, ids=str)
def test_a_defect_is_found_where_it_is(case: CorpusCase) -> None:
    """By the rule that its comment names, at that line; one cause, one finding."""
    assert case.expected
    assert case.found == case.expected, text(case.verdict)


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_what_is_right_is_left_alone(case: CorpusCase) -> None:
    """Not even a warning."""
    assert case.rules
    assert case.found == Counter(), text(case.verdict)


def test_there_are_sixty_defects_and_more() -> None:
    assert len(BAD) >= 60


@pytest.mark.parametrize("rule", [rule.id for rule in RULES if rule.id not in {*ELSEWHERE, *OF_RELEASES}])
def test_every_rule_has_a_bad_and_a_good_case(rule: str) -> None:
    """So that it is known to find, and known to be quiet; those on releases have pairs of choreographies."""
    assert any(rule in case.rules for case in BAD)
    assert any(rule in case.rules for case in GOOD)


@pytest.mark.parametrize("case", BAD, ids=str)
def test_a_finding_says_where_why_and_how_to_fix_it(case: CorpusCase) -> None:
    """Every one of them; with a place in code for every rule but those on what is missing."""
    for finding in case.verdict.findings:
        assert finding.why
        assert finding.help
        assert finding.place or finding.rule in ("CHO702", "CHO902")
        assert finding.steps
