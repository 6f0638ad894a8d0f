"""The rules as they are listed, explained, set to another level, and suppressed."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules

import pytest

from choreo.graph import choreography_of
from choreo.manifest import Manifest, Suppression
from choreo.project.manifests import compare
from choreo.verify import Verdict, rules, verify
from choreo.verify.policy import Levels
from choreo.verify.rule import Rule
from choreo.verify.rules import CHECKS, RULES
from tests.cli.command import assert_refused, invoke
from tests.verify.corpus.case import FOLDER, CorpusCase

SPECIFIED = {
    *(f"CHO{number}" for number in (*range(101, 115), *range(201, 213), *range(301, 305), 401)),
    *(f"CHO{number}" for number in (501, 502, 503, 505, *range(601, 607), 701, 702, *range(801, 806))),
    *(f"CHO{number}" for number in (901, 902, 903)),
}
WARNINGS = {
    *("CHO103", "CHO110", "CHO113", "CHO114", "CHO212", "CHO301", "CHO303", "CHO503", "CHO505"),
    *("CHO602", "CHO603", "CHO606", "CHO804", "CHO901", "CHO902", "CHO903"),
}


def test_every_rule_that_is_specified_is_there() -> None:
    """And no other."""
    assert {rule.id for rule in RULES} == SPECIFIED
    assert [rule.id for rule in RULES] == sorted(SPECIFIED)


def test_a_rule_stands_in_the_module_of_its_name() -> None:
    """The module's docstring begins with the rule's id and name."""
    modules = {
        module.name: import_module(f"{rules.__name__}.{module.name}")
        for module in iter_modules(rules.__path__)
    }

    assert modules.keys() == {rule.name.replace("-", "_") for rule in RULES}
    for name, module in modules.items():
        assert module.RULE.name == name.replace("_", "-")
        assert module.RULE.doc == module.__doc__
        assert (module.__doc__ or "").startswith(f"{module.RULE.id} {module.RULE.name}: ")


def test_levels_are_as_specified() -> None:
    assert {rule.id for rule in RULES if rule.level == "warning"} == WARNINGS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_page_teaches(rule: Rule) -> None:
    """What it finds, why that is bad, an example, how to fix it."""
    parts = re.split(r"\n\n(Why it is bad|For example|How to fix it)", rule.page)

    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name)
    assert rule.page.startswith(f"{rule.name}: ")
    assert parts[1::2] == ["Why it is bad", "For example", "How to fix it"]
    assert len(rule.summary) > 20
    assert all(len(part.strip()) > 10 for part in parts)
    assert all(len(line) <= 110 for line in rule.page.splitlines())


def test_rules_are_asked_after_those_that_make_them_superfluous() -> None:
    """Else one cause would be two findings."""
    order = {rule.id: number for number, (rule, _) in enumerate(CHECKS)}

    for rule, _ in CHECKS:
        assert all(order[other] < order[rule.id] for other in rule.unless), rule.id


def test_choreo_rule_prints_the_page() -> None:
    """By id in any case, or by name."""
    page = invoke("rule", "CHO204").output

    assert page.startswith("CHO204 compensation-order: a compensation may run before that of a later step.")
    assert "How to fix it:" in page
    assert invoke("rule", "cho204").output == page == invoke("rule", "compensation-order").output


def test_choreo_rule_lists_all() -> None:
    lines = invoke("rule").output.splitlines()

    assert [line.split()[0] for line in lines] == sorted(SPECIFIED)
    assert re.match(r"CHO103  orphan-event +warning  an event is emitted", lines[2])


def test_an_unknown_rule_is_one_line() -> None:
    result = invoke("rule", "CHO2044")

    assert_refused(result.exit_code, result.stderr, "no rule CHO2044", "did you mean CHO204?")


def judged(name: str, levels: Levels | None = None, *suppressions: Suppression) -> Verdict:
    """Verify a bad case with other levels, and with suppressions in its first manifest of that place."""
    case = CorpusCase(FOLDER / "bad" / f"{name}.py")
    manifests = [_suppressed(each, suppressions) for each in case.manifests]
    return verify(choreography_of(manifests), compare=compare, levels={"CHO301": "off", **(levels or {})})


def _suppressed(manifest: Manifest, suppressions: tuple[Suppression, ...]) -> Manifest:
    places = {handler.place for handler in manifest.handlers}
    own = tuple(each for each in suppressions if each.place in places)
    return replace(manifest, suppressions=(*manifest.suppressions, *own))


def place_of(name: str) -> str:
    return CorpusCase(FOLDER / "bad" / f"{name}.py").verdict.findings[0].place


def test_a_rule_can_be_off_or_at_another_level() -> None:
    assert judged("cho212_last_step", {"CHO212": "off"}).findings == ()
    assert judged("cho212_last_step", {"CHO212": "error"}).errors == 1
    assert judged("cho401_when_it_failed", {"CHO401": "warning"}).errors == 0


def test_a_suppression_with_a_reason_is_silent() -> None:
    """In the manifest, as it is in the source."""
    place = place_of("cho212_last_step")

    assert judged("cho212_last_step", None, Suppression("CHO212", place, "we know")).findings == ()


def test_a_suppression_of_another_rule_has_no_effect_and_is_said() -> None:
    place = place_of("cho212_last_step")
    found = judged("cho212_last_step", None, Suppression("CHO303", place, "we know")).findings

    assert sorted(each.rule for each in found) == ["CHO212", "CHO902"]


def test_a_suppression_without_a_reason_is_said() -> None:
    place = place_of("cho212_last_step")
    found = judged("cho212_last_step", None, Suppression("CHO212", place)).findings

    assert [each.rule for each in found] == ["CHO903"]


def test_what_is_suppressed_does_not_hide_what_runs_would_show() -> None:
    """An error that is reported does: then the graph isn't what was meant. One that is accepted must not."""
    off = judged("cho209_beside_the_pivot", {"CHO209": "off"})

    assert off.scope.scenarios > 0
    assert judged("cho209_beside_the_pivot").scope.scenarios == 0
