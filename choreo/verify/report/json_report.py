"""The report for scripts: a verdict as JSON."""

from __future__ import annotations

import json
from typing import Any

from choreo.verify.engine.run_file import plain
from choreo.verify.finding import Finding
from choreo.verify.scope import Scope
from choreo.verify.verdict import Verdict


def as_json(verdict: Verdict) -> str:
    """Return a verdict as a JSON object."""
    return json.dumps(
        {
            "findings": [_finding(finding) for finding in verdict.findings],
            "errors": verdict.errors,
            "warnings": verdict.warnings,
            "scope": _scope(verdict.scope),
        },
        indent=2,
        ensure_ascii=False,
    )


def _scope(scope: Scope) -> dict[str, Any]:
    release = scope.release._asdict() if scope.release else None
    return {**scope._asdict(), "release": release, "text": str(scope)}


def _finding(finding: Finding) -> dict[str, Any]:
    own = {name: value for name, value in finding._asdict().items() if name not in ("run", "run_file")}
    return {
        **own,
        "where": finding.where._asdict(),
        "related": [link._asdict() for link in finding.related],
        "trace": [line._asdict() for line in finding.run],
        "schedule": plain(finding.run_file) if finding.run_file else None,
        "fingerprint": finding.fingerprint,
    }
