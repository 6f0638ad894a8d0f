"""For code review tools: SARIF 2.1.0 (OASIS standard), the trace as a code flow."""

from __future__ import annotations

import json
from typing import Any

from choreo.verify.finding import Finding
from choreo.verify.rules import RULES, id_of, name_of, page_of
from choreo.verify.verdict import Verdict
from choreo.version import __version__

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(verdict: Verdict) -> str:
    """Write a verdict as a SARIF log with one run."""
    rules = [
        {
            "id": id_of(rule),
            "name": name_of(rule),
            "shortDescription": {"text": page_of(rule).partition("\n")[0]},
            "fullDescription": {"text": page_of(rule)},
        }
        for rule in RULES
    ]
    places = {
        handler.name: handler.place for graph in verdict.choreography.sagas for handler in graph.handlers
    }
    places |= {
        step.name: step.place
        for graph in verdict.choreography.sagas
        for step in graph.steps.values()
        if step.place
    }
    driver = {"name": "choreo", "version": __version__, "rules": rules}
    results = [_result(finding, places) for finding in verdict.findings]
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
    return json.dumps(log, indent=2, ensure_ascii=False)


def _result(finding: Finding, places: dict[str, str]) -> dict[str, Any]:
    text = "\n".join(filter(None, (finding.message, finding.why, finding.help)))
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "level": finding.level,
        "message": {"text": text},
        "partialFingerprints": {"choreo/v1": finding.fingerprint},
        "locations": [_location(finding.place)] if finding.place else [],
    }
    if finding.related:
        result["relatedLocations"] = [
            {**_location(place), "id": number, "message": {"text": what}}
            for number, (place, what) in enumerate(finding.related, 1)
        ]
    if finding.trace:
        result["codeFlows"] = [
            {"threadFlows": [{"locations": [_flow(line, places) for line in finding.trace]}]}
        ]
    return result


def _flow(line: Any, places: dict[str, str]) -> dict[str, Any]:
    message = {"text": f"{line.step} {line.what}: {line.consumed} -> {line.emitted} {line.remark}".rstrip()}
    place = places.get(line.step, "")
    return {"location": {**(_location(place) if place else {}), "message": message}}


def _location(place: str) -> dict[str, Any]:
    file, _, line = place.rpartition(":")
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": file},
            "region": {"startLine": int(line) if line.isdigit() and int(line) else 1},
        }
    }
