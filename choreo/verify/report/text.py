"""The report for people: each finding with its reason, a run that shows it, and code to paste."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from choreo.escape import escaped
from choreo.manifest.manifest import Link
from choreo.verify.engine.run import RunLine
from choreo.verify.finding import Finding
from choreo.verify.verdict import Verdict

Paint = Callable[[str, str], str]
"""Return a text in a colour: ``paint("error", "red")``."""

_COLOURS = {"error": "red", "warning": "yellow"}
_MARKS = {
    "ok": "green",
    "FAILED": "red",
    "LATE": "red",
    "undone": "yellow",
    "refused": "yellow",
    "upgraded": "cyan",
}


def plain(text: str, colour: str) -> str:
    """Return a text as it is."""
    del colour
    return text


def text(verdict: Verdict, paint: Paint = plain) -> str:
    """Return a verdict as text."""
    lines = [line for finding in verdict.findings for line in (*finding_lines(finding, paint), "")]
    errors, warnings = verdict.errors, verdict.warnings
    lines.append(f"verified {verdict.scope}")
    counts = f"{errors} error{'' if errors == 1 else 's'}, {warnings} warning{'' if warnings == 1 else 's'}"
    lines.append(paint(counts, "red" if errors else "yellow" if warnings else "green"))
    return "\n".join(lines)


def finding_lines(finding: Finding, paint: Paint = plain) -> Iterator[str]:
    """Return the lines of one finding."""
    head = paint(f"{finding.level}[{finding.rule}]", _COLOURS[finding.level])
    yield f"{head} {finding.name}: {escaped(finding.message)}"
    yield from _places(finding)
    if finding.why:
        yield f"  why    {escaped(finding.why)}."
    if finding.run:
        yield f"  trace  ({finding.scenario})"
        yield from _run(finding.run, paint)
    if finding.help:
        yield f"  help   {escaped(finding.help)}"
        yield from (f"           {escaped(line)}".rstrip() for line in finding.paste)
    for number, line in enumerate(finding.imports):
        yield f"  {'' if number else 'needs':7}{escaped(line)}"


def _places(finding: Finding) -> Iterator[str]:
    links = [(" -->", finding.where)] if finding.place else []
    links += [(" :::", link) for link in finding.related if link.place]
    width = max((len(link.place) for _, link in links), default=0)
    for arrow, link in links:
        yield f" {arrow} {_beside(link, width)}"


def _beside(link: Link, width: int) -> str:
    return escaped(f"{link.place:{width}}  {link.text}").rstrip()


def _run(lines: tuple[RunLine, ...], paint: Paint) -> Iterator[str]:
    step = max(len(line.step) for line in lines)
    what = max(len(line.what) for line in lines)
    consumed = max(len(line.consumed) for line in lines)
    emitted = max(len(line.emitted) for line in lines)
    for number, line in enumerate(lines, 1):
        mark = paint(f"{line.what:{what}}", _MARKS.get(line.what, "reset"))
        events = f"{line.consumed:{consumed}} -> {line.emitted:{emitted}}"
        if not line.emitted:  # a participant is upgraded
            events = " " * len(events)
        yield f"  {number:3} {line.step:{step}}   {mark}   {events}     {line.remark}".rstrip()
