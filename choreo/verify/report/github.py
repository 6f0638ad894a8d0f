"""The report for GitHub: workflow commands that show each finding beside its line.

Source: GitHub documentation, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

from choreo.escape import escaped_lines
from choreo.verify.finding import Finding
from choreo.verify.verdict import Verdict


def github(verdict: Verdict) -> str:
    """Return a command for each finding, then the scope.

    Names and messages are escaped: they can neither end a command nor begin another one.
    """
    lines = [_command(finding) for finding in verdict.findings]
    return "\n".join([*lines, f"verified {verdict.scope}"])


def _command(finding: Finding) -> str:
    file, _, line = finding.place.rpartition(":")
    fix = "\n".join(filter(None, (finding.help, *finding.imports, *finding.paste)))
    body = "\n".join(filter(None, (finding.message, finding.why, f"help: {fix}" if fix else "")))
    where = f"file={_property(file)},line={_property(line)}," if file else ""
    title = _property(f"{finding.rule} {finding.name}")
    return f"::{finding.level} {where}title={title}::{_data(body)}"


def _data(text: str) -> str:
    return escaped_lines(text).replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
