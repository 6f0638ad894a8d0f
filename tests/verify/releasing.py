"""One random pair of choreographies, judged twice: by `choreo verify --against`, and by the real worker."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from choreo.graph import choreography_of
from choreo.manifest import HandlerEntry, Manifest
from choreo.project.manifests import compare
from choreo.verify import Finding, verify
from choreo.verify.engine.budget import Budget
from tests.verify.judging import errors_of
from tests.verify.pairs import Pair, pairs
from tests.verify.rolling import Course, Rolling, Way, orders

ORDERS = 20
"""The orders of upgrades of a pair, at most: all, or so many random ones."""

_TOGETHER = 6
"""The sagas that are in flight together, each at a position of its own."""

_ALONE = 3
"""The runs of each choreography alone with each trouble: a pair of which one breaks is left out."""

_CONFIRMING = 600
"""The pairs of runs after which an alarm counts as one that nothing confirms."""

_STATES = 60_000


@dataclass
class Judged:
    """What both say of one pair.

    ``broken`` is the first run that breaks, ``disorder`` the first one that does in the order that is said to
    be right, ``refused`` the first one in which a release was refused.
    """

    pair: Pair
    findings: tuple[Finding, ...]
    broken: tuple[Way, Course] | None = None
    disorder: tuple[Way, Course] | None = None
    refused: tuple[Way, Course] | None = None
    runs: int = 0
    sagas: int = 0

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules on releases that the verdict names."""
        return tuple(sorted({each.rule for each in self.findings}))

    @property
    def alarms(self) -> bool:
        """Whether the verdict says that the release breaks something, in some order at least."""
        return bool(self.findings)

    @property
    def order(self) -> tuple[str, ...]:
        """The only order that is right, where the verdict says one and nothing else."""
        return self.findings[0].steps if self.rules == ("CHO804",) else ()

    @property
    def is_missed(self) -> bool:
        """Whether a run breaks, and the verdict calls it right."""
        return bool(self.disorder) or bool(self.broken and not self.alarms)

    @property
    def is_refused_unsaid(self) -> bool:
        """Whether a release was refused, and the verdict says nothing of it."""
        return bool(self.refused) and not self.alarms

    @property
    def is_made_up(self) -> bool:
        """Whether no run shows anything of what the verdict says."""
        return self.alarms and not self.broken and not self.refused

    @property
    def agrees(self) -> bool:
        """Whether both say the same."""
        return not (self.is_missed or self.is_made_up or self.is_refused_unsaid)

    @property
    def kind(self) -> str:
        """What the difference is."""
        if self.is_missed:
            return "missed in the right order" if self.disorder else "missed"
        return f"made up {', '.join(self.rules)}" if self.is_made_up else "refused unsaid"

    def __str__(self) -> str:
        lines = [f"{self.kind if not self.agrees else 'both say the same'}: {self.pair}", "the runs say:"]
        for way, course in filter(None, (self.disorder or self.broken, self.refused)):
            lines += [f"  {course.wrong or 'refused by ' + ', '.join(course.refused)}", f"  {way}"]
            lines += [f"    {line}" for line in _shortened(course.account)]
        if not (self.broken or self.refused or self.disorder):
            lines.append(f"  nothing in {self.runs} runs")
        lines += ["verify says:"] + [f"  {each.rule} {each.message}: {each.why}" for each in self.findings]
        return "\n".join(lines)


def _shortened(account: str) -> list[str]:
    """Return what an account tells of sagas and releases, without the moves."""
    return [line for line in account.partition("schedule=")[0].splitlines() if line.strip()]


def judge_seed(seed: int, most: int = ORDERS) -> Judged | None:
    """Judge the first pair of a seed that is right before and after the release; None where it has none.

    It is upgraded in all orders, or in so many random ones.
    """
    for pair in pairs(seed, lambda manifests: not errors_of(manifests)):
        rolling = Rolling(pair)
        if rolling.changed and _is_right_alone(rolling):
            return judge(rolling, most)
    return None


def _is_right_alone(rolling: Rolling) -> bool:
    """Whether nothing breaks without a release; note what comes in every saga that completes."""
    for is_new in (False, True):
        for trouble in sorted(set(rolling.troubles)):
            for seed in range(_ALONE * (1 if trouble else 3)):
                course = rolling.alone(is_new, seed, trouble)
                if course.wrong:
                    return False
                rolling.length = max(rolling.length, course.moves)
    rolling.always = awaited(rolling.pair.old) & awaited(rolling.pair.new)
    return True


def awaited(manifests: Sequence[Manifest]) -> frozenset[str]:
    """Return the success events without which the saga can't complete, whatever comes when.

    They are those without which the event that completes it can't follow from the others.
    """
    handlers = [each for manifest in manifests for each in manifest.handlers if each.task == "action"]
    given = {manifests[0].sagas[0].starts, *(e.event for each in manifests for e in each.external)}
    completes = manifests[0].sagas[0].completes
    events = given | {event for each in handlers for event in each.emits.successes}
    return frozenset(each for each in events if completes not in _following(handlers, given, each))


def _following(handlers: Sequence[HandlerEntry], given: set[str], missing: str) -> set[str]:
    """Return all success events that may come where one never does."""
    found = given - {missing}
    while more := {e for h in handlers if h.trigger.satisfied(found) for e in h.emits.successes} - found:
        if more == {missing}:
            break
        found |= more - {missing}
    return found


def judge(rolling: Rolling, most: int) -> Judged:
    """Judge a pair by runs in every order, or by those up to the first one that breaks."""
    judged = Judged(rolling.pair, _findings(rolling.pair.old, rolling.pair.new))
    for way in chain(_ways(rolling, most), _more(rolling, judged)):
        course = _go(rolling, way, judged)
        if course.wrong and not course.refused and judged.broken is None:
            judged.broken = way, course
        if course.refused and judged.refused is None:
            judged.refused = way, course
        if judged.broken or (judged.refused and judged.alarms):
            break
    if judged.order:
        _judge_order(rolling, judged)
    return judged


def _judge_order(rolling: Rolling, judged: Judged) -> None:
    newcomers = tuple(name for name in rolling.changed if name not in judged.order)
    chance = random.Random(f"order {rolling.pair.seed}")
    for way in _ways_of(rolling, (*newcomers, *judged.order), 40, chance):
        ordered = way._replace(reads_on=True)
        course = _go(rolling, ordered, judged)
        if course.wrong and not course.refused:
            judged.disorder = ordered, course
            return


def _go(rolling: Rolling, way: Way, judged: Judged) -> Course:
    judged.runs += 1
    judged.sagas += len(way.troubles)
    return rolling.go(way)


def _findings(old: Sequence[Manifest], new: Sequence[Manifest]) -> tuple[Finding, ...]:
    verdict = verify(
        choreography_of(new), compare=compare, budget=Budget(1, _STATES), older=choreography_of(old)
    )
    return tuple(each for each in verdict.findings if each.rule.startswith("CHO80"))


def _ways(rolling: Rolling, most: int) -> Iterator[Way]:
    chance = random.Random(f"ways {rolling.pair.seed}")
    possible = orders(rolling.changed, chance, most)
    length = rolling.length
    for position in range(length + 2):  # each position once, with one saga
        yield _alone(rolling, chance, chance.choice(possible), position, length)
    for order in possible:
        yield from _ways_of(rolling, order, 4, chance)


def _more(rolling: Rolling, judged: Judged) -> Iterator[Way]:
    """Yield more ways where the verdict finds something, in an order that it calls wrong: it may be rare."""
    chance = random.Random(f"more {rolling.pair.seed}")
    newcomers = tuple(name for name in rolling.changed if name not in judged.order)
    right = (*newcomers, *judged.order) if judged.order else ()
    for _ in range(_CONFIRMING if judged.alarms else 0):
        order = chance.choice(orders(rolling.changed, chance, ORDERS))
        if order != right:
            yield from _ways_of(rolling, order, 2, chance)


def _ways_of(rolling: Rolling, order: tuple[str, ...], times: int, chance: random.Random) -> Iterator[Way]:
    """Yield ways to upgrade in one order, now with one saga and now with several in flight."""
    length = rolling.length
    for number in range(times):
        if number % 2:
            yield _alone(rolling, chance, order, chance.randrange(length + 2), length)
        else:
            yield _together(rolling, chance, order, length)


def _alone(
    rolling: Rolling, chance: random.Random, order: tuple[str, ...], position: int, length: int
) -> Way:
    gaps = _gaps(chance, len(order) - 1, length)
    return Way(order, position, gaps, (chance.choice(rolling.troubles),), chance.randrange(1_000_000))


def _together(rolling: Rolling, chance: random.Random, order: tuple[str, ...], length: int) -> Way:
    troubles = tuple(chance.choice(rolling.troubles) for _ in range(_TOGETHER))
    starts = tuple(sorted(chance.randrange(2 * length) for _ in range(_TOGETHER)))
    gaps = _gaps(chance, len(order) - 1, 3 * length)
    position = chance.randrange(length, 5 * length)
    return Way(order, position, gaps, troubles, chance.randrange(1_000_000), starts)


def _gaps(chance: random.Random, many: int, length: int) -> tuple[int, ...]:
    """Return how many moves lie between two upgrades: none, a few, or many."""
    return tuple(chance.choice((0, chance.randrange(6), chance.randrange(length))) for _ in range(many))
