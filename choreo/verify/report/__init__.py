"""The formats of a verdict, for people, scripts, code review and build servers."""

from collections.abc import Callable

from choreo.verify.report.github import github
from choreo.verify.report.json_report import as_json
from choreo.verify.report.junit import junit
from choreo.verify.report.sarif import sarif
from choreo.verify.report.text import text
from choreo.verify.verdict import Verdict

FORMATS: dict[str, Callable[[Verdict], str]] = {
    "text": text,
    "json": as_json,
    "sarif": sarif,
    "junit": junit,
    "github": github,
}

__all__ = ["FORMATS"]
