"""The figures of small packages that are made up, and what those of choreo are to be."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.programs import house
from tests.programs.table import ROOT, Figures, before, report

# In one process, which reads the sources once.
pytestmark = pytest.mark.xdist_group("house")


def measured(root: Path, sources: dict[str, str], *names: str) -> list[Any]:
    """Return some figures of a package choreo that consists of these files."""
    for name, source in {"__init__.py": "", **sources}.items():
        path = root / "choreo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(source).lstrip())
    figures = house.measure(root)
    return [figures[name] for name in names]


def test_files_and_lines(tmp_path: Path) -> None:
    """Rules and ``__init__`` are files; examples are not choreo's."""
    sources = {
        "verify/__init__.py": "",
        "verify/rules/__init__.py": "",
        "verify/rules/unknown_event.py": "x = 1\n",
        "examples/shop.py": "x = 1\n",
        "long.py": "x = 1\n" * 60,
        "short.py": "x = 1\n" * 59,
    }
    names = ("files", "of them rules", "files under 60 lines", "of them neither rule nor __init__", "lines")
    assert measured(tmp_path, sources, *names) == [6, 1, 5, 1, 120]


def test_lines_of_functions(tmp_path: Path) -> None:
    """Methods and functions in functions count, decorators do not."""
    source = """
        class Thing:
            @property
            def one(self):
                return 1

            async def two(self):
                def three():
                    x = 1
                    return x

                return three
    """
    names = ("functions", "median lines of a function")
    assert measured(tmp_path, {"thing.py": source}, *names) == [3, 3]


def test_hidden_imports(tmp_path: Path) -> None:
    """Those in functions and methods; not those for types, nor those of a lazy module."""
    source = """
        from typing import TYPE_CHECKING

        try:
            import tomllib
        except ImportError:
            tomllib = None

        if TYPE_CHECKING:
            from choreo import other

        def __getattr__(name):
            from choreo.other import thing
            return thing

        def function():
            import choreo.other
            from . import other
            import json

        class Thing:
            def __getattr__(self, name):
                if name:
                    from .other import thing
    """
    names = ("hidden imports", "hidden imports of others")
    assert measured(tmp_path, {"some.py": source, "other.py": ""}, *names) == [3, 1]
    assert house.findings(tmp_path)[0] == "choreo.some:16: import choreo.other"


CYCLE = ("cycles of modules", "modules in them", "cycles of top-level packages", "packages in them")


@pytest.mark.parametrize(
    "back",
    [
        "from choreo.a.one import x",
        "import choreo.a.one",
        "from choreo.a import one",
        "from .a import one",
        "from .a.one import x",
        "def f():\n    from choreo.a import one",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from choreo.a import one",
    ],
)
def test_a_cycle_of_modules(tmp_path: Path, back: str) -> None:
    """However its imports are written, and wherever they stand."""
    sources = {
        "a/__init__.py": "",
        "a/one.py": "from . import two",
        "a/two.py": "from .. import b",
        "b.py": back,
        "c.py": "from choreo import b",
    }
    assert measured(tmp_path, sources, *CYCLE) == [1, 3, 1, 2]


def test_packages_may_form_a_cycle_without_their_modules(tmp_path: Path) -> None:
    """Each needs a part of the other."""
    sources = {
        "a/__init__.py": "",
        "a/one.py": "from choreo.b import one",
        "a/two.py": "",
        "b/__init__.py": "",
        "b/one.py": "",
        "b/two.py": "from choreo.a.two import x",
    }
    assert measured(tmp_path, sources, *CYCLE) == [0, 0, 1, 2]


def test_no_cycle(tmp_path: Path) -> None:
    """A module that imports itself, or the package that it lies in, makes none."""
    sources = {"a/__init__.py": "", "a/one.py": "import choreo.a.one\nfrom choreo.a import x", "b.py": ""}
    assert measured(tmp_path, sources, *CYCLE) == [0, 0, 0, 0]


def test_the_old_dialect(tmp_path: Path) -> None:
    """Its verbs at the beginning of a docstring, its words in docstrings and in names that are defined."""
    source = '''
        """What was said of seats."""

        class SeatMap:
            """Says where; a canvas."""

        def give(told, SEAT):
            """Give what is told."""
            return told.seat

        async def tell():
            """Return what to say; Give nothing."""
    '''
    verbs = [f"docstrings that begin with {verb}" for verb in ("Give", "Say", "Tell")]
    words = ("old words in docstrings", "old words in names")
    assert measured(tmp_path, {"canvas.py": source}, *verbs, *words) == [1, 1, 0, 4, 4]


@pytest.fixture(scope="module")
def now() -> Figures:
    """Measure choreo itself."""
    return house.measure(ROOT)


def test_the_table_has_one_row_a_figure(now: Figures) -> None:
    """A figure that is new has none of before."""
    lines = report("house", {"files": 7, "new": 1234}, as_json=False).splitlines()
    assert [line.split() for line in lines] == [
        ["house", "before", "(07e2b32)", "now"],
        ["files", "382", "7"],
        ["new", "-", "1,234"],
    ]
    assert set(before("house")) == set(now)


def test_imports_of_choreo_are_seen(now: Figures) -> None:
    """A few may be hidden, with a reason."""
    assert now["hidden imports"] <= 10, "\n".join(house.findings(ROOT))


def test_modules_of_choreo_form_no_cycle(now: Figures) -> None:
    """Nor do its packages."""
    counts = (now["cycles of modules"], now["cycles of top-level packages"])
    assert counts == (0, 0), "\n".join(house.findings(ROOT))
