"""The code that findings suggest, applied to random spoilt choreographies as it is: nothing is wrong then."""

from __future__ import annotations

import ast
import os
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from choreo.events import short_name
from choreo.graph import choreography_of
from choreo.manifest import Emission, HandlerEntry, Manifest
from choreo.outcome import START
from choreo.project.manifests import compare
from choreo.protocol import Trigger
from choreo.verify import Finding, verify
from tests.verify.choreography_text import FAILED, SAGA, schema, write_choreography
from tests.verify.growth import grow
from tests.verify.mutants import (
    Mutant,
    broadcast_undo,
    drop_aborted,
    drop_compensation,
    drop_failure,
    drop_join_slot,
    drop_trigger,
    swap_order,
    too_early,
)

SPOILERS = (
    drop_compensation,
    drop_trigger,
    too_early,
    broadcast_undo,
    swap_order,
    drop_join_slot,
    drop_aborted,
    drop_failure,
)
ROUNDS = 12
"""Each finding is one round; a new event must be waited for by those before."""

MENDED = ("CHO201", "CHO203", "CHO204", "CHO211", "CHO302")


def errors(manifests: tuple[Manifest, ...]) -> list[Finding]:
    return [
        each for each in verify(choreography_of(manifests), compare=compare).findings if each.level == "error"
    ]


def applied(manifests: tuple[Manifest, ...], finding: Finding) -> tuple[Manifest, ...]:
    """Return the manifests with the suggested code in the place of what stands there, or added."""
    tree = ast.parse("\n".join(finding.paste) + ("\n    ..." if finding.paste[-1].endswith(":") else ""))
    (function,) = (node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    if finding.rule == "CHO201":
        return _added(manifests, finding, function)
    return tuple(
        replace(
            manifest,
            handlers=tuple(
                _retyped(each, function, finding) if each.place == finding.place else each
                for each in manifest.handlers
            ),
        )
        for manifest in manifests
    )


def _added(manifests: tuple[Manifest, ...], finding: Finding, function: ast.AST) -> tuple[Manifest, ...]:
    assert isinstance(function, ast.FunctionDef)
    (decorator,) = function.decorator_list
    assert isinstance(decorator, ast.Call)
    assert isinstance(decorator.func, ast.Attribute)
    owner, of = ast.unparse(decorator.func.value), ast.unparse(decorator.keywords[0].value)
    step = START if of == f"{SAGA}.start" else f"{owner}.{of}"
    result = next(
        types for name, types in _parameters(function) if set(types) <= {f"g.{s}" for s in _shorts(finding)}
    )
    answer = f"g.{ast.unparse(function.returns)}" if function.returns else ""
    place = f"grown.py:{1_000 + sum(len(each.handlers) for each in manifests)}"
    new = HandlerEntry(
        f"{owner}.{function.name}",
        "compensation",
        step,
        SAGA,
        place,
        (),
        Emission((answer,)),
        results=frozenset(result),
    )
    new = _retyped(new, function, finding)
    return tuple(
        replace(
            each,
            handlers=(*each.handlers, *((new,) if each.participant == owner else ())),
            schemas={**each.schemas, answer: schema(answer)},
        )
        for each in manifests
    )


def _shorts(finding: Finding) -> set[str]:
    return {short_name(each) for each in finding.steps[1:]}


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, list[str]]]:
    for each in function.args.args:
        assert each.annotation is not None
        names = [node.id for node in ast.walk(each.annotation) if isinstance(node, ast.Name)]
        yield each.arg, [f"g.{name}" for name in names if name not in ("Context", "Aborted")]


def _retyped(handler: HandlerEntry, function: ast.AST, finding: Finding) -> HandlerEntry:
    assert isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
    assert handler.name.endswith(f".{function.name}")
    assert isinstance(function, ast.AsyncFunctionDef) == (handler.runs == "coroutine")
    slots = [types for _, types in _parameters(function) if types and not set(types) <= handler.results]
    texts = [ast.unparse(each.annotation) for each in function.args.args if each.annotation]
    has_event = any("Aborted" in text for text in texts) or bool(slots)
    return replace(
        handler,
        trigger=Trigger.all_of(*(Trigger.of(*slot) for slot in slots)),
        aborted=any("Aborted" in text for text in texts) or not has_event,
        derived=not has_event,
        optional_result=any(text.endswith("None") for text in texts) or handler.optional_result,
    )


def spoilt(seed: int) -> Mutant | None:
    """Return a random choreography with one mistake in a compensation; None where it was not right before."""
    chance, grown = random.Random(seed), tuple(grow(seed))
    every = [mutant for spoil in SPOILERS for mutant in spoil(grown)]
    return chance.choice(every) if every and not errors(grown) else None


@pytest.mark.parametrize("block", range(40 if os.environ.get("CHOREO_FUZZ") else 2))
def test_each_suggestion_mends(block: int) -> None:
    """Round by round, the first finding first: it doesn't come back, and in the end no error is left."""
    mended = 0
    for seed in range(block * 30, block * 30 + 30):
        mutant = spoilt(seed)
        if mutant is None:
            continue
        manifests, before = mutant.manifests, errors(mutant.manifests)
        for _ in range(ROUNDS):
            suggested = [each for each in before if each.paste]
            if not suggested:
                break
            manifests = applied(manifests, suggested[0])
            after = errors(manifests)
            where = f"seed {seed}: {mutant.name}\n{suggested[0].message}\n{suggested[0].paste}\n"
            assert suggested[0].fingerprint not in {each.fingerprint for each in after}, where
            before, mended = after, mended + 1
        assert not before, (
            f"seed {seed}: {mutant.name}: {[e.message for e in before]}\n{write_choreography(manifests)}"
        )
    assert mended >= 8


def test_a_start_that_nothing_undoes_is_ended_in_its_failure() -> None:
    """Under the event that fails the saga, which the paste returns."""
    grown = tuple(grow(3))
    mutant = next(each for each in drop_compensation(grown) if each.where.endswith("give_up"))
    (finding,) = errors(mutant.manifests)

    assert finding.paste[-1].endswith(f"-> {short_name(FAILED)}: ...")
    assert not errors(applied(mutant.manifests, finding))
