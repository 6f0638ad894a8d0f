"""For people: the place, one sentence, why, a trace that can be followed, and the mend, to paste."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from choreo.verify.finding import Finding, TraceLine
from choreo.verify.verdict import Verdict

Paint = Callable[[str, str], str]
"""Colours a text: ``paint("error", "red")``."""

_COLOURS = {"error": "red", "warning": "yellow"}


def plain(text: str, colour: str) -> str:
    """Leave a text as it is."""
    del colour
    return text


def text(verdict: Verdict, paint: Paint = plain) -> str:
    """Write a verdict."""
    lines = [line for finding in verdict.findings for line in (*finding_lines(finding, paint), "")]
    errors, warnings = verdict.errors, verdict.warnings
    lines.append(f"verified {verdict.scope}")
    counts = f"{errors} error{'' if errors == 1 else 's'}, {warnings} warning{'' if warnings == 1 else 's'}"
    lines.append(paint(counts, "red" if errors else "yellow" if warnings else "green"))
    return "\n".join(lines)


def finding_lines(finding: Finding, paint: Paint) -> Iterator[str]:
    """Write one finding, line by line."""
    label = paint(f"{finding.level}[{finding.rule}]", _COLOURS[finding.level])
    yield f"{label} {finding.name}: {finding.message}"
    if finding.place:
        yield f"  --> {finding.place}"
    for place, what in finding.related:
        yield f"  ::: {place}  {what}"
    if finding.why:
        yield f"  why    {finding.why}"
    if finding.trace:
        yield f"  trace  ({finding.scenario})"
        yield from _trace(finding.trace)
    if finding.help:
        yield f"  help   {finding.help}"


def _trace(lines: tuple[TraceLine, ...]) -> Iterator[str]:
    step = max(len(line.step) for line in lines)
    what = max(len(line.what) for line in lines)
    consumed = max(len(line.consumed) for line in lines)
    for number, line in enumerate(lines, 1):
        row = (
            f"{number:3} {line.step:{step}}  {line.what:{what}}  {line.consumed:{consumed}} -> {line.emitted}"
        )
        yield f"  {row}  {line.remark}".rstrip()
