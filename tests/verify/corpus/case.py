"""One case of the corpus: a module, what is found in it, and what its comments expect."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType

from choreo.graph import choreography_of
from choreo.manifest import Manifest
from choreo.project.manifests import compare, manifest_from
from choreo.project.modules import participants_of
from choreo.verify import Finding, Levels, Verdict, verify

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[2]
NOWHERE = 0
"""The line of a finding that is in nobody's code."""


class CorpusCase:
    """A module of the corpus, by its file.

    What can't be declared is altered in the manifests: by the module's ``alter``, where it has one. CHO301,
    which nearly every saga without a deadline has, is on only where a case names it.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.text = file.read_text()

    def __str__(self) -> str:
        return f"{self.file.parent.name}/{self.file.stem}"

    @cached_property
    def module(self) -> ModuleType:
        return import_module(f"tests.verify.corpus.{self.file.parent.name}.{self.file.stem}")

    @cached_property
    def manifests(self) -> list[Manifest]:
        participants = dict.fromkeys(each for _, each in participants_of(self.module))
        found = [manifest_from(each) for each in participants]
        alter = getattr(self.module, "alter", None)
        return [alter(each) for each in found] if alter else found

    @cached_property
    def verdict(self) -> Verdict:
        levels: Levels = {} if "CHO301" in self.rules else {"CHO301": "off"}
        return verify(
            choreography_of(self.manifests),
            compare=compare,
            lock=getattr(self.module, "lock", None),
            levels=levels,
        )

    @property
    def expected(self) -> Counter[tuple[str, int]]:
        """Rules and lines, as the comments say; after ``nowhere:`` those without a line."""
        found: Counter[tuple[str, int]] = Counter()
        for number, line in enumerate(self.text.splitlines(), 1):
            for comment in re.findall(r"# expect: ([\w ,]+)", line):
                found.update((rule, number) for rule in re.findall(r"CHO\d{3}", comment))
            for comment in re.findall(r"# expect nowhere: ([\w ,]+)", line):
                found.update((rule, NOWHERE) for rule in re.findall(r"CHO\d{3}", comment))
        return found

    @property
    def found(self) -> Counter[tuple[str, int]]:
        return Counter((finding.rule, self.line(finding)) for finding in self.verdict.findings)

    def line(self, finding: Finding) -> int:
        """Return the line of a finding in this file; -1 where it is in another."""
        file, _, line = finding.place.rpartition(":")
        if not file:
            return NOWHERE
        return int(line) if (ROOT / file).resolve() == self.file.resolve() else -1

    @property
    def rules(self) -> set[str]:
        """The rules that it is a case of: those expected, or, of a good one, those that it nearly breaks."""
        good = re.findall(r"# good: ([\w ,]+)", self.text)
        return {rule for rule, _ in self.expected} | {
            r for each in good for r in re.findall(r"CHO\d{3}", each)
        }


@cache
def cases(folder: str) -> list[CorpusCase]:
    """Return the cases of ``bad`` or ``good``; each is verified once for all tests of a process."""
    return [CorpusCase(file) for file in sorted((FOLDER / folder).glob("*.py")) if file.stem != "__init__"]
