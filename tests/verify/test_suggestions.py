"""The code that a finding suggests is pasted as it is; afterwards the finding is gone."""

from __future__ import annotations

import ast
import re
from functools import cached_property
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType

import pytest

from choreo.verify import Finding
from tests.verify.corpus.case import FOLDER, CorpusCase, cases

# In one process, which verifies each case of the corpus once.
pytestmark = pytest.mark.xdist_group("corpus")

ROUNDS = 4
"""A pasted compensation emits a new event, for which others must wait: that is fixed next."""

FIXABLE = [
    case
    for case in cases("bad")
    if re.match("cho(201|203|204|211|302)_", case.file.stem) and "alter" not in case.text
]


class Draft(CorpusCase):
    """A case of the corpus, and the parts that it shares, in a folder where they are edited."""

    def __init__(self, text: str, parts: str, folder: Path, number: int) -> None:
        self.name, self.folder, self.number, self.parts = f"draft_{number}", folder, number, parts
        text = re.sub(r"(?<=from )(tests\.verify\.corpus\.parts|parts_\d+)", f"parts_{number}", text)
        (folder / f"parts_{number}.py").write_text(parts)
        (folder / f"{self.name}.py").write_text(text)
        super().__init__(folder / f"{self.name}.py")

    @cached_property
    def module(self) -> ModuleType:
        invalidate_caches()
        return import_module(self.name)

    def fixed(self) -> Draft:
        """Return the case with the first suggestion pasted."""
        finding = next(each for each in self.verdict.findings if each.paste)
        if finding.rule == "CHO201":
            text, parts = self._appended(finding.paste)
            return Draft(importing(text, finding), parts, self.folder, self.number + 1)
        line = "\n".join(finding.paste)
        if f"parts_{self.number}.py" in finding.place:
            parts = importing(retyped(self.parts, finding, line), finding)
            return Draft(self.text, parts, self.folder, self.number + 1)
        text = importing(retyped(self.text, finding, line), finding)
        return Draft(text, self.parts, self.folder, self.number + 1)

    def _appended(self, paste: tuple[str, ...]) -> tuple[str, str]:
        """Put a compensation at the end; a new event goes to what is shared, with the field all have."""
        code = "\n".join(paste)
        declared, compensation = re.match(r"(@event.*?\n\n)?(.*)", code, re.DOTALL).groups()  # type: ignore[union-attr]
        if not declared:
            return f"{self.text}\n\n{compensation}\n", self.parts
        (name,) = re.findall(r"class (\w+):", declared)
        text = self.text.replace("from choreo import", f"from parts_0 import {name}\nfrom choreo import", 1)
        event = re.sub(r'( +""".*""")', r"\1\n    order_id: str", declared)
        parts = self.parts.replace("orders = P", f"from choreo import event\n\n{event}\n\norders = P", 1)
        return f"{text}\n\n{compensation}\n", parts


def retyped(text: str, finding: Finding, line: str) -> str:
    """Put the head of a function in the place of the one that the finding is about."""
    at = int(finding.place.rpartition(":")[2])
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    (found,) = [each for each in functions if each.decorator_list and each.decorator_list[0].lineno == at]
    lines, body = text.splitlines(), found.body[0]
    rest = lines[body.lineno - 1][body.col_offset :]
    return "\n".join([*lines[: found.lineno - 1], f"{line} {rest}", *lines[body.end_lineno or 0 :]]) + "\n"


def importing(text: str, finding: Finding) -> str:
    """Import what a finding says that its code needs, and nothing else."""
    head, _, rest = text.partition("\n\n")
    return "\n".join([f"{head}\n", *finding.imports, rest])


@pytest.mark.parametrize("case", FIXABLE, ids=str)
def test_what_is_pasted_fixes(case: CorpusCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Round by round, until nothing is found; the first finding doesn't come back."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in (f"{kind}_{number}" for kind in ("draft", "parts") for number in range(ROUNDS + 1)):
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    draft = Draft(case.text, (FOLDER / "parts.py").read_text(), tmp_path, 0)
    first = next(each for each in draft.verdict.findings if each.paste)
    for _ in range(ROUNDS):
        draft = draft.fixed()
        assert first.fingerprint not in {each.fingerprint for each in draft.verdict.findings}
        if not draft.verdict.findings:
            return
    pytest.fail(str([each.message for each in draft.verdict.findings]))


def test_there_is_something_to_fix() -> None:
    """In each family of findings that the reverse edges fix."""
    assert {case.file.stem[:6] for case in FIXABLE} == {"cho201", "cho203", "cho204", "cho211", "cho302"}
    assert len(FIXABLE) >= 17


def test_a_parameter_keeps_its_name() -> None:
    """Whatever its order: the body goes by it."""
    case = CorpusCase(FOLDER / "bad" / "cho203_one_ending_of_a_branch.py")
    (finding,) = case.verdict.findings

    code = "\n".join(finding.paste)
    assert "payment: Declined | Refunded" in code
    assert "invoice: NotInvoiced | InvoiceVoided" in code
