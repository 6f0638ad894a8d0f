"""For build servers: JUnit XML, a case for each saga and rule."""

from __future__ import annotations

from xml.etree import ElementTree

from choreo.verify.finding import Finding
from choreo.verify.report.text import finding_lines, plain
from choreo.verify.rules import RULES, id_of, name_of
from choreo.verify.verdict import Verdict


def junit(verdict: Verdict) -> str:
    """Write a verdict; warnings are no failures."""
    found: dict[tuple[str, str], list[Finding]] = {}
    for finding in verdict.findings:
        if finding.level == "error":
            found.setdefault((finding.saga, finding.rule), []).append(finding)
    cases = [(graph.name, rule) for graph in verdict.choreography.sagas for rule in RULES]
    suite = ElementTree.Element(
        "testsuite",
        name="choreo verify",
        tests=str(len(cases)),
        failures=str(len(found)),
        errors="0",
        skipped="0",
        time=f"{verdict.scope.seconds:.3f}",
    )
    for saga, rule in cases:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"choreo.{saga}", name=f"{id_of(rule)} {name_of(rule)}", time="0"
        )
        for finding in found.get((saga, id_of(rule)), [])[:1]:
            failure = ElementTree.SubElement(case, "failure", message=finding.message, type=finding.rule)
            told = found[saga, id_of(rule)]
            failure.text = "\n\n".join("\n".join(finding_lines(each, plain)) for each in told)
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)
