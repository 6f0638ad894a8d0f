"""The report for code review tools: SARIF 2.1.0, with runs as code flows.

Source: OASIS, *Static Analysis Results Interchange Format (SARIF) Version 2.1.0* (2020).
"""

from __future__ import annotations

import json
from typing import Any

from choreo.manifest.manifest import Link
from choreo.verify.engine.run import RunLine
from choreo.verify.finding import Finding
from choreo.verify.release import OF_RELEASES
from choreo.verify.rule import Rule
from choreo.verify.rules import RULES
from choreo.verify.verdict import Verdict
from choreo.version import __version__

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/")
"""Bytes that need no escape in the path of a URI: RFC 3986, section 2.3."""

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(verdict: Verdict) -> str:
    """Return a verdict as a SARIF log with one SARIF run."""
    driver = {"name": "choreo", "version": __version__, "rules": [_rule(rule) for rule in RULES]}
    sagas = verdict.choreography.sagas
    places = {step.name: step.place for graph in sagas for step in graph.steps.values()}
    places |= {handler.name: handler.place for graph in sagas for handler in graph.handlers}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(verdict)],
        "results": [_result(finding, places) for finding in verdict.findings],
        "properties": {"scope": str(verdict.scope)},
    }
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False)


def _invocation(verdict: Verdict) -> dict[str, Any]:
    """Return what was not looked at: a rule that was not applied everywhere is not one without results."""
    asked = {rule.id for rule in RULES} - (OF_RELEASES if verdict.scope.release is None else set())
    missing = [(n, rule) for n, rule in enumerate(RULES) if rule.id not in verdict.applied_to("")]
    return {
        "executionSuccessful": not verdict.scope.unfinished,
        "ruleConfigurationOverrides": [
            {"descriptor": {"id": rule.id, "index": number}, "configuration": {"enabled": False}}
            for number, rule in missing
            if all(finding.rule != rule.id for finding in verdict.findings)
        ],
        "toolExecutionNotifications": [
            {"level": "note", "message": {"text": f"saga {saga}: not looked at: {', '.join(sorted(rest))}"}}
            for saga, applied in verdict.applied.items()
            if (rest := asked - applied)
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.page},
        "help": {"text": f"{rule.page}\n\nchoreo rule {rule.id}"},
        "defaultConfiguration": {"level": rule.level},
    }


def _result(finding: Finding, places: dict[str, str]) -> dict[str, Any]:
    words = (finding.message, finding.why, finding.help, *finding.imports, *finding.paste)
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": next(number for number, rule in enumerate(RULES) if rule.id == finding.rule),
        "level": finding.level,
        "message": {"text": "\n".join(filter(None, words))},
        "partialFingerprints": {"choreo/v1": finding.fingerprint},
        "locations": [_location(finding.where)] if finding.place else [],
    }
    related = [link for link in finding.related if link.place]
    if related:
        result["relatedLocations"] = [
            {**_location(link), "id": number} for number, link in enumerate(related, 1)
        ]
    if finding.run:
        steps = [{"location": _step(line, places)} for line in finding.run]
        flow = {"message": {"text": finding.scenario}, "threadFlows": [{"locations": steps}]}
        result["codeFlows"] = [flow]
    return result


def _step(line: RunLine, places: dict[str, str]) -> dict[str, Any]:
    events = f"{line.consumed} -> {line.emitted} " if line.emitted else ""
    text = f"{line.step} {line.what}: {events}{line.remark}".rstrip()
    return _location(Link(places.get(line.step, ""), text))


def _location(link: Link) -> dict[str, Any]:
    message = {"message": {"text": link.text}} if link.text else {}
    if not link.place:
        return message
    file, _, line = link.place.rpartition(":")
    region = {"startLine": max(int(line), 1) if line.isdigit() else 1}
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(file)}, "region": region}, **message}


def _uri(file: str) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in file.encode())
