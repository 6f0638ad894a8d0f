"""Which handler each suppression in the source belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from choreo.manifest.manifest import Suppression
from choreo.verify.source.comments import Comment, comments
from choreo.verify.source.module import FunctionNode, Module
from choreo.verify.source.subject import Subject, first_line, functions


def suppressions(modules: Mapping[str, Module], subjects: Sequence[Subject]) -> Iterator[Suppression]:
    """Give the suppressions in the modules of these handlers, each at the line of the function that it
    stands at.

    It stands at a function when it is in it, on one of its decorators, or in the comment right above. One
    that stands at none keeps its own line, and will be reported as unused.
    """
    for name in dict.fromkeys(subject.module for subject in subjects):
        if name in modules:
            module = modules[name]
            for comment in comments("\n".join(module.lines)):
                place = f"{module.file}:{_line(module, comment)}"
                for rule in comment.rules or ("",):
                    yield Suppression(rule, place, comment.reason)


def _line(module: Module, comment: Comment) -> int:
    around = [each for each, _ in functions(module) if _begins(module, each) <= comment.line <= _ends(each)]
    return first_line(around[0]) if around else comment.line


def _begins(module: Module, function: FunctionNode) -> int:
    line = first_line(function)
    while line > 1 and module.lines[line - 2].lstrip().startswith("#"):
        line -= 1
    return line


def _ends(function: FunctionNode) -> int:
    return function.end_lineno or function.lineno
