"""Fixtures of the command line's tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

QUIZ = '''
from choreo import Context, Participant, Saga, event


@event(namespace="quiz")
class Asked:
    """Somebody wants to know."""

    question: str


@event(namespace="quiz")
class Answered:
    answer: int


@event(namespace="quiz")
class Unanswerable:
    reason: str


quiz = Saga("{topic}", starts=Asked, completes=Answered, fails=Unanswerable)


def prepare(db):
    {prepare}


sage = Participant("sage", sagas=[quiz], prepare=prepare)


@sage.action(kind="retriable")
def ponder(event: Asked, ctx: Context) -> Answered:
    return Answered(42)
'''

WriteModule = Callable[[str], str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder, and take back what importing from it left behind."""
    monkeypatch.chdir(tmp_path)
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def write_module(folder: Path) -> WriteModule:
    """Write a module under a name that nothing else has."""

    def write(source: str) -> str:
        name = f"module_{uuid4().hex[:8]}"
        (folder / f"{name}.py").write_text(source)
        return name

    return write


def quiz(topic: str = "quiz", prepare: str = "pass") -> str:
    """Return the source of a module with one participant."""
    return QUIZ.replace("{topic}", topic).replace("{prepare}", prepare)
