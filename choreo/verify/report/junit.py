"""The report for build servers: JUnit XML, one test case for each saga and rule."""

from __future__ import annotations

from xml.etree import ElementTree

from choreo.escape import escaped, escaped_lines
from choreo.verify.finding import Finding
from choreo.verify.report.text import finding_lines
from choreo.verify.rule import Rule
from choreo.verify.rules import RULES
from choreo.verify.verdict import Verdict


def junit(verdict: Verdict) -> str:
    """Return a verdict as JUnit XML; a warning is output of its test case, not a failure.

    A rule that was not applied to a saga, or not to the end, is a skipped test case.
    """
    cases = [_case(verdict, saga, rule) for saga in _sagas(verdict) for rule in RULES]
    counts: dict[str, str] = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": "0",
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
        "time": f"{verdict.scope.seconds:.3f}",
    }
    root = ElementTree.Element("testsuites", {"name": "choreo verify", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": "choreo verify", **counts})
    suite.extend(cases)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _sagas(verdict: Verdict) -> list[str]:
    """Return the sagas, with an empty name where a finding belongs to none."""
    names = [graph.name for graph in verdict.choreography.sagas]
    return names + sorted({finding.saga for finding in verdict.findings} - set(names))


def _case(verdict: Verdict, saga: str, rule: Rule) -> ElementTree.Element:
    found = [each for each in verdict.findings if (each.saga, each.rule) == (saga, rule.id)]
    title = escaped(f"choreo.{saga}" if saga else "choreo")
    case = ElementTree.Element("testcase", classname=title, name=f"{rule.id} {rule.name}", time="0")
    errors = [each for each in found if each.level == "error"]
    warnings = [each for each in found if each.level != "error"]
    if errors:
        failure = ElementTree.SubElement(case, "failure", message=escaped(errors[0].message), type=rule.id)
        failure.text = _texts(errors)
    elif rule.id not in verdict.applied_to(saga):
        ElementTree.SubElement(case, "skipped", message="not looked at, or not to the end")
    if warnings:
        ElementTree.SubElement(case, "system-out").text = _texts(warnings)
    return case


def _texts(findings: list[Finding]) -> str:
    """Return the texts of findings, without the characters that XML 1.0 can't hold."""
    return escaped_lines("\n\n".join("\n".join(finding_lines(each)) for each in findings))
