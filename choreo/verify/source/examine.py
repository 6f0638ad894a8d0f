"""``examine``: look at the bodies of handlers, and say what is wrong with them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from choreo.manifest import Suppression
from choreo.manifest.manifest import Link, Remark
from choreo.verify.source import effects
from choreo.verify.source.calls import Reached, reached
from choreo.verify.source.declared import declared
from choreo.verify.source.emissions import Returned, returned
from choreo.verify.source.module import Module, Modules, Source
from choreo.verify.source.origins import Origins
from choreo.verify.source.subject import Subject, find
from choreo.verify.source.suppressed import suppressions


class Seen(NamedTuple):
    """What the source of one participant says: what its bodies do, and what it wants to hear nothing of."""

    remarks: tuple[Remark, ...]
    suppressions: tuple[Suppression, ...]


def examine(sources: Mapping[str, Source], subjects: Sequence[Subject], events: Mapping[str, str]) -> Seen:
    """Look at the bodies of one participant's handlers, through the functions of its project that they call.

    ``sources`` are the project's modules by name, looked up only as far as they are needed; ``events`` maps
    event classes, by their dotted Python names, to the events' full names. Nothing is imported or run.
    Raises `ConfigurationError` where a source is not Python.
    """
    modules = Modules(sources)
    return Seen(tuple(_remarks(modules, subjects, events)), tuple(suppressions(modules, subjects)))


def _remarks(modules: Modules, subjects: Sequence[Subject], events: Mapping[str, str]) -> list[Remark]:
    origins = Origins(modules)
    remarks = [
        remark
        for subject in subjects
        if subject.module in modules
        for remark in _of(subject, modules[subject.module], origins, events)
    ]
    return remarks + list(_unregistered(origins, modules, subjects))


def _of(subject: Subject, module: Module, origins: Origins, events: Mapping[str, str]) -> Iterator[Remark]:
    found = find(module, subject.line)
    if found is None:
        return
    function, scope = found
    if not _is_stub(function):
        yield from _emissions(subject, list(returned(origins, function, scope, events)), module)
    if subject.inside:
        yield from _calls("CHO605", subject, reached(origins, function, scope, _outside))
    yield from _calls("CHO606", subject, reached(origins, function, scope, _changing))


def _is_stub(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Say whether a body is left out: it is a docstring, ``...``, ``pass``, or only raises."""
    return all(
        isinstance(each, (ast.Pass, ast.Raise))
        or (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
        for each in function.body
    )


def _outside(origin: str, call: ast.Call) -> str:
    return effects.outside(origin, call)


def _changing(origin: str, call: ast.Call) -> str:
    return "differs from call to call" if effects.changes(origin, call) else ""


def _calls(rule: str, subject: Subject, calls: list[Reached]) -> Iterator[Remark]:
    """One remark a handler: the nearest call, and beside its chain where the others stand."""
    if calls:
        first = calls[0]
        others = tuple(Link(each.chain[0].place, f"and {each.origin}") for each in calls[1:])
        yield Remark(rule, subject.name, first.chain[0], first.origin, first.what, first.chain[1:] + others)


def _emissions(subject: Subject, results: list[Returned], module: Module) -> Iterator[Remark]:
    declared_events = set(subject.emits)
    for (event, what), same in groupby(sorted(results), key=lambda each: each[:2]):
        chain = next(same).chain
        if event and event not in declared_events:
            yield Remark("CHO601", subject.name, chain[0], event, "", chain[1:])
        elif what and not (what == "None" and not declared_events):
            yield Remark("CHO601", subject.name, chain[0], what, "", chain[1:])
        elif not event and not what and declared_events:
            yield Remark("CHO603", subject.name, chain[0], "", "", chain[1:])
    if all(each.event or each.what for each in results):
        yield from _dead(subject, {each.event for each in results}, module)


def _dead(subject: Subject, emitted: set[str], module: Module) -> Iterator[Remark]:
    """What is declared and never returned; the first failure is the runtime's answer, too."""
    for event in subject.emits:
        if event not in emitted and event not in subject.failures[:1]:
            place = Link(f"{module.file}:{subject.line}", module.line(subject.line))
            yield Remark("CHO602", subject.name, place, event, "", ())


def _unregistered(origins: Origins, modules: Modules, subjects: Sequence[Subject]) -> Iterator[Remark]:
    """Decorated functions of this very participant, in the packages of its handlers, that were not
    registered.

    Another participant of the same name, in a module beside, is another one.
    """
    known = {(subject.module, subject.line) for subject in subjects}
    beside = modules.beside({subject.module for subject in subjects})
    found = [(name, each) for name in beside for each in declared(origins, modules[name])]
    own = {id(each.participant) for name, each in found if (name, each.line) in known}
    for name, each in found:
        if id(each.participant) in own and (name, each.line) not in known:
            yield Remark("CHO604", each.name, each.where, each.task)
