"""What is found of a release: sagas in flight that break while participants are upgraded one by one.

A break that no order of upgrades avoids is CHO801, 802 or 803, by what the run shows. Where there is none:
if some order avoids all breaks, they are one CHO804 with that order; if each order has another, one CHO805.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from choreo.events import short_name
from choreo.graph import SagaGraph, Step
from choreo.manifest.manifest import Link
from choreo.outcome import START
from choreo.verify.case import Case
from choreo.verify.finding import NOWHERE, Finding, at, enumerated, listed
from choreo.verify.rollout.judgement import Judgement
from choreo.verify.rollout.mixture import Rollout
from choreo.verify.rollout.run import run_of
from choreo.verify.rollout.search import (
    DROPPED,
    REFUSED,
    REPEATED,
    STRANDED,
    Break,
)
from choreo.verify.rules.forgotten_by_release import RULE as FORGOTTEN
from choreo.verify.rules.needs_drain import RULE as NEEDS_DRAIN
from choreo.verify.rules.needs_order import RULE as NEEDS_ORDER
from choreo.verify.rules.repeated_by_release import RULE as REPEATED_BY_RELEASE
from choreo.verify.rules.stranded_by_release import RULE as STRANDED_BY_RELEASE

OF_RELEASES = frozenset(
    rule.id for rule in (STRANDED_BY_RELEASE, REPEATED_BY_RELEASE, FORGOTTEN, NEEDS_ORDER, NEEDS_DRAIN)
)
"""The rules on releases, which are applied where there is an older choreography to compare with."""

_RULE_OF = {STRANDED: STRANDED_BY_RELEASE, REPEATED: REPEATED_BY_RELEASE}

_MOST_OTHERS = 3

_DRAIN = "let the sagas in flight end first (choreo run --no-starts)"


def across_release(case: Case) -> Iterator[Finding]:
    """Return what breaks in a saga while its participants are upgraded: one finding for each cause."""
    if case.rollout is None:
        return
    changed = _contract_changes(case.rollout)
    if changed:
        yield _another_contract(case, case.rollout, changed)
        return
    judgement = case.judgement
    yield from _certain(case, case.rollout, judgement)
    if judgement.certain or not judgement.others:
        return
    if judgement.order:
        yield _needs_order(case, case.rollout, judgement, judgement.order)
    else:
        yield _needs_drain(case, case.rollout, judgement)


def _certain(case: Case, rollout: Rollout, judgement: Judgement) -> Iterator[Finding]:
    """Return a finding for an effect that is repeated, and one for each other step that would be missed.

    Where there is neither, it is one for all other breaks: the shortest in which the saga never ends, else
    the shortest.
    """
    refused = [each for each in judgement.certain if each.signature.how == REFUSED]
    repeated = [each for each in judgement.certain if each.signature.how == REPEATED]
    others = [each for each in judgement.certain if each not in refused and each not in repeated]
    others.sort(key=lambda each: each.signature.how != STRANDED)
    twice = {name for each in repeated for name in (each.signature.step, each.because)}
    for each in (*repeated[:1], *(each for each in refused if each.signature.step not in twice)):
        yield _finding(case, rollout, each, ())
    if others and not refused and not repeated:
        yield _finding(case, rollout, others[0], others[1:])


def _finding(case: Case, rollout: Rollout, each: Break, others: Sequence[Break]) -> Finding:
    signature, run = each.signature, run_of(rollout, each)
    rule = _RULE_OF.get(signature.how, FORGOTTEN)
    why = _why(rollout, each)
    if others:
        why += f"; in other runs {_several(rollout, others)}"
    return rule.finding(
        case.graph.name,
        _message(each),
        _where(rollout, each),
        why=why,
        help=_help(rollout, each),
        steps=tuple(name for name in (signature.step,) if name),
        related=_related(rollout, each),
        scenario=run.title,
        run=run.lines,
    )


def _needs_order(case: Case, rollout: Rollout, judgement: Judgement, order: Sequence[str]) -> Finding:
    first = judgement.others[0]
    run = run_of(rollout, first)
    return NEEDS_ORDER.finding(
        case.graph.name,
        f"right only if deployed in this order: {', '.join(order)}",
        _where(rollout, first),
        why=f"in another order {_several(rollout, judgement.others)}",
        help=f"deploy {_in_turn(order)}: each once the one before runs, and has read what was on the topic",
        steps=tuple(order),
        scenario=run.title,
        run=run.lines,
    )


def _needs_drain(case: Case, rollout: Rollout, judgement: Judgement) -> Finding:
    first = judgement.others[0]
    run = run_of(rollout, first)
    return NEEDS_DRAIN.finding(
        case.graph.name,
        f"no order in which {listed(rollout.changed)} are deployed is right",
        _where(rollout, first),
        why=f"each order has another run that breaks: {_several(rollout, judgement.others)}",
        help="raise the saga's version, with the old handlers until= and the new ones since=; or release in "
        f"two steps; or start no saga, and {_DRAIN}",
        steps=rollout.changed,
        scenario=run.title,
        run=run.lines,
    )


def _contract_changes(rollout: Rollout) -> list[str]:
    """Return in which the contract differs, of that on which all participants of a saga must agree."""
    old, new = rollout.old.contract, rollout.new.contract
    names = ("topic", "starts", "completes", "fails")
    return [name for name in names if getattr(old, name) != getattr(new, name)]


def _another_contract(case: Case, rollout: Rollout, changed: Sequence[str]) -> Finding:
    old, new = rollout.old.contract, rollout.new.contract
    told = (
        f"{name} was {short_name(getattr(old, name))}, and is {short_name(getattr(new, name))}"
        for name in changed
    )
    return NEEDS_DRAIN.finding(
        case.graph.name,
        f"the contract of {case.graph.name} changes while sagas are in flight",
        _at(rollout.new, START),
        why=f"{enumerated(told)}: who is upgraded and who is not disagree on how a saga begins and ends",
        help=f"give the new saga another name, beside the old one; or start no saga, and {_DRAIN}",
        steps=tuple(changed),
    )


def _several(rollout: Rollout, breaks: Sequence[Break]) -> str:
    told = list(dict.fromkeys(_short(each) for each in breaks))
    more = [f"{len(told) - _MOST_OTHERS} more"] if len(told) > _MOST_OTHERS else []
    return enumerated([*told[:_MOST_OTHERS], *more])


def _in_turn(order: Sequence[str]) -> str:
    first, *rest = order
    return ", then ".join([f"`{first}`", *(f"`{each}`" for each in rest)])


def _short(each: Break) -> str:
    step = f"`{each.signature.step}`"
    match each.signature.how:
        case "refused":
            return f"{step} is still needed, and gone"
        case "repeated":
            return f"{step} does again what `{each.because}` did"
        case "kept":
            return f"{step} stays done though the saga fails"
        case "late":
            return f"the saga has failed before {step} is undone"
        case "early":
            return _short_early(each)
        case "undone":
            return f"{step} is undone though the saga completes"
        case "omitted":
            return f"{step} is never done though the saga completes"
        case _:
            return _short_stranded(each)


def _short_early(each: Break) -> str:
    if each.signature.step == START:
        return f"the saga has failed before `{each.because}` is undone"
    return f"`{each.signature.step}` is undone before `{each.because}`, which depends on it"


def _short_stranded(each: Break) -> str:
    step = each.signature.step
    if not step:
        return "the saga never ends"
    if each.because == "unheard":
        return f"the saga stops after `{step}` for ever"
    return (
        f"the rollback waits at `{step}` for ever"
        if each.because == "completed"
        else f"the saga waits for `{step}` for ever"
    )


def _message(each: Break) -> str:
    if each.signature.how == REFUSED:
        participant = each.because.partition("\n")[0]
        return f"`{participant}` can't be upgraded while a saga needs `{each.signature.step}`"
    return f"across the release, {_short(each)}"


def _why(rollout: Rollout, each: Break) -> str:
    step, what = each.signature.step, each.because.partition("\n")[2]
    match each.signature.how:
        case "refused":
            return f"{what}, and the new release has no such step"
        case "repeated":
            event = _shared(rollout, step, each.because)
            return f"both return {short_name(event)}, so they do the same, under two names"
        case "stranded":
            return _why_stranded(rollout, each)
        case _:
            return "the old part of the saga and the new one don't go together"


def _why_stranded(rollout: Rollout, each: Break) -> str:
    step = each.signature.step
    new = rollout.new.steps.get(step)
    if each.because == DROPPED:
        return f"`{step.partition('.')[0]}` does not know {rollout.old.versions} of the saga any more"
    if each.because == "unheard":
        return f"what `{step}` returned calls nobody any more"
    if each.because == "completed":
        return f"`{step}` was done, and what calls its compensation now never comes"
    if new is None or not new.trigger:
        return "nothing is left to do, and nobody is called any more"
    trigger = new.trigger.written(short_name)
    return (
        f"`{step}` is called by {trigger}, which its participant read before it was upgraded, or never comes"
    )


def _help(rollout: Rollout, each: Break) -> str:
    step = each.signature.step
    successor = _successor(rollout, step) if each.signature.how in (REFUSED, REPEATED) else None
    if successor:
        return f'say what it was called: formerly="{step.partition(".")[2]}" at `{successor.name}`'
    if rollout.is_dropped:
        return (
            "keep a release that knows the version, or start no saga of it, and "
            "let those in flight end first (choreo run --no-starts)"
        )
    versions = "raise the saga's version: the old handlers with until= beside the new ones with since="
    if each.signature.how == REFUSED:
        return f"{versions}; or {_DRAIN}, or give up what they need (choreo run --retire {step})"
    return f"{versions}; or {_DRAIN}"


def _successor(rollout: Rollout, step: str) -> Step | None:
    """Return the new step of the same participant that returns what an old one did, if there is one."""
    old = rollout.old.steps.get(step)
    for new in rollout.new.steps.values():
        is_new = old and new.name not in rollout.old.steps and new.participant == old.participant
        if is_new and old and set(new.successes) & set(old.successes):
            return new
    return None


def _shared(rollout: Rollout, *steps: str) -> str:
    events = (event for event, names in sorted(rollout.emitters.items()) if names.issuperset(steps))
    return next(events, "")


def _where(rollout: Rollout, each: Break) -> Link:
    step = each.signature.step
    successor = _successor(rollout, step)
    for graph, name in ((rollout.new, step), (rollout.new, successor.name if successor else "")):
        if name in graph.steps:
            return _at(graph, name)
    return _of_participant(rollout.new, step.partition(".")[0]) or _at(rollout.old, step)


def _at(graph: SagaGraph, name: str) -> Link:
    step = graph.steps.get(name)
    return at(step.handler or next(iter(step.compensations), None)) if step else NOWHERE


def _of_participant(graph: SagaGraph, participant: str) -> Link | None:
    own: Iterable[Link] = (at(each) for each in graph.handlers if each.participant == participant)
    return next(iter(own), None)


def _related(rollout: Rollout, each: Break) -> tuple[Link, ...]:
    if each.signature.how != REPEATED:
        return ()
    return (_at(rollout.new if each.because in rollout.new.steps else rollout.old, each.because),)
