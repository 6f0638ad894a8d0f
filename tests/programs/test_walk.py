"""What is counted while functions of a folder call each other."""

from __future__ import annotations

from pathlib import Path

from tests.programs.table import before
from tests.programs.walk import Walk

SOURCES = {
    "inside/a.py": "def one(two, foreign, three):\n    two()\n    foreign(three)\n    [x for x in ()]\n",
    "inside/b.py": "def two():\n    three()\n\ndef three():\n    pass\n",
    "outside/c.py": "def foreign(function):\n    function()\n",
}


def test_moves_and_crossings(tmp_path: Path) -> None:
    """From a to b, where two calls three; then from a through c, which lies outside, to b again."""
    names: dict[str, object] = {}
    for name, source in SOURCES.items():
        exec(compile(source, str(tmp_path / name), "exec"), names)
    walk = Walk(tmp_path / "inside")
    with walk.recording():
        names["one"](names["two"], names["foreign"], names["three"])  # type: ignore[operator]
    figures = walk.figures()
    assert (figures["files"], figures["functions"], figures["crossings"]) == (2, 3, 2)
    assert set(before("walk")) == {
        f"{what}: {figure}" for what in ("live event", "choreo verify", "choreo trace") for figure in figures
    }
