"""The README and the pages of the manual, taken apart: code blocks, command lines, links."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import choreo

ROOT = Path(__file__).parents[2]
FOLDER = Path(choreo.__file__).parent / "docs"

_FILE = re.compile(r"# (\S+\.(?:py|toml))\n")


class Page(NamedTuple):
    """One Markdown file."""

    path: Path

    def __str__(self) -> str:
        return self.path.stem

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def blocks(self, language: str) -> list[str]:
        """Return the code blocks of a language."""
        return re.findall(rf"^```{language}\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)

    @property
    def files(self) -> dict[str, str]:
        """Return the blocks that are a file, which their first line names: ``# shop/orders.py``."""
        found = (*self.blocks("python"), *self.blocks("toml"))
        return {name[1]: block for block in found if (name := _FILE.match(block))}

    @property
    def snippets(self) -> str:
        """Return the Python that is no file, as one module, each line where it stands in the page."""
        parts = re.split(r"^```python\n(.*?)^```$", self.text, flags=re.MULTILINE | re.DOTALL)
        for index, part in enumerate(parts):
            if index % 2 == 0:
                parts[index] = "\n" * part.count("\n") + "\n"
            elif _FILE.match(part):
                parts[index] = "\n" * part.count("\n")
        return "".join(parts)

    def commands(self, program: str) -> list[str]:
        """Return the command lines of a program that are shown, without comments, pipes and redirections."""
        shown = (*self.blocks("console"), *self.blocks("text"))
        lines = (line for block in shown for line in block.splitlines() if line.startswith(f"$ {program} "))
        return [re.split(r" #|[|>]", line[2:])[0].strip() for line in lines]

    @property
    def links(self) -> list[str]:
        """Return where links lead to, without anchors."""
        prose = re.sub(r"^```.*?^```$", "", self.text, flags=re.MULTILINE | re.DOTALL)
        return [link for link in re.findall(r"\]\(([^)#\s]+)\)", prose.replace("\n", " ")) if link]


README = Page(ROOT / "README.md")
PAGES = {path.stem: Page(path) for path in sorted(FOLDER.glob("*.md"))}
ALL = (README, *PAGES.values())
