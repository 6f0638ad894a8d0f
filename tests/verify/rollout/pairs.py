"""Random choreographies, and releases of them: each with one or two changes, as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

COMPLETED = "Completed"
OWNERS = ("p", "q", "s", "t")


@dataclass(frozen=True)
class Act:
    """An action, without its participant's other ones; its compensation is derived."""

    owner: str
    name: str
    on: str
    out: tuple[str, ...]
    kind: str = ""

    @property
    def step(self) -> str:
        return f"{self.owner}.{self.name}"

    @property
    def done(self) -> str:
        return " | ".join(self.out)

    def lines(self) -> list[str]:
        name = self.name.upper()
        fails = "" if self.kind == "retriable" else f" / {name}Failed"
        action = f"{self.step} {self.kind} < {self.on} > {' '.join(self.out)}{fails}"
        undo = f"{self.owner}.un{self.name} of {self.step} derived <> {name}Undone"
        return [action] if self.kind else [action, undo]


@dataclass(frozen=True)
class Sketch:
    """A choreography: its actions, deadlines as (step, event), and whether it can be cancelled."""

    acts: tuple[Act, ...]
    late: tuple[tuple[str, str], ...] = ()
    cancels: bool = False

    def text(self) -> str:
        lines = ["Cancelled"] if self.cancels else []
        lines.append("o.fail of start derived <> Failed")
        lines += [line for act in self.acts for line in act.lines()]
        for step, after in self.late:
            name = step.replace(".", "_")
            lines.append(f"o.late_{name} late {step} < {after} > {name}Late")
        return "\n".join(lines)


def sketch(random: Random, most: int = 5) -> Sketch:
    """Return a choreography of chains, forks that are joined, leaves and choices."""
    owners = OWNERS[: random.randint(1, len(OWNERS))]
    acts: list[Act] = []

    def act(on: str, kind: str = "", outs: int = 1) -> Act:
        name = f"s{len(acts)}"
        events = tuple(f"{name.upper()}Done{number or ''}" for number in range(outs))
        acts.append(Act(random.choice(owners), name, on, events, kind))
        return acts[-1]

    front, size = "Started", random.randint(1, most - 1)
    while len(acts) < size:
        shape = random.random()
        if shape < 0.6 or len(acts) + 2 > size:
            front = act(front, outs=2 if random.random() < 0.15 else 1).done
        elif shape < 0.8:
            front = f"({act(front).done}) & ({act(front).done})"
        elif shape < 0.9:
            act(front)
        else:
            choice = act(front, outs=2)
            front = f"{act(choice.out[0]).done} | {act(choice.out[1]).done}"
    kind = random.choice(["", "pivot", "pivot"])
    if kind and random.random() < 0.4:
        front, kind = act(front, "pivot").done, "retriable"
    acts.append(replace(act(front, kind), out=(COMPLETED,)))
    acts.pop(-2)
    plain = [each for each in acts if not each.kind]
    late = [random.choice(plain)] if plain and random.random() < 0.3 else []
    watched = tuple((each.step, "Started" if "&" in each.on else each.on) for each in late)
    return Sketch(tuple(acts), watched, random.random() < 0.2)


def released(random: Random, old: Sketch) -> tuple[str, Sketch] | None:
    """Return a release with one change, or with two, and what changed; None where that can't be."""
    name, new = _changed(random, old)
    if new and random.random() < 0.3:
        also, twice = _changed(random, new)
        name, new = (f"{name}, {also}", twice) if twice else (name, new)
    return (name, new) if new else None


def _changed(random: Random, old: Sketch) -> tuple[str, Sketch | None]:
    change = random.choice(CHANGES)
    act = random.choice(old.acts)
    return change.__name__.strip("_"), change(random, old, act)


def _with(old: Sketch, acts: Sequence[Act], gone: Act | None = None, instead: Act | None = None) -> Sketch:
    late = []
    for step, after in old.late:
        if not gone or step != gone.step:
            late.append((step, after))
        elif instead:
            late.append((instead.step, after))
    return replace(old, acts=tuple(acts), late=tuple(late))


def _put(text: str, event: str, other: str) -> str:
    return re.sub(rf"\b{event}\b", other, text)


def _events(old: Sketch) -> list[str]:
    return [event for act in old.acts for event in act.out if event != COMPLETED] or ["Started"]


def _follower(old: Sketch, act: Act) -> Act | None:
    """Return the one action after another, where no other is."""
    after = [each for each in old.acts if set(act.out) & set(re.findall(r"\w+", each.on))]
    return after[0] if len(after) == 1 and len(act.out) == 1 and after[0].on == act.out[0] else None


def _renamed(random: Random, old: Sketch, act: Act) -> Sketch:
    new = replace(act, name=f"{act.name}n")
    return _with(old, [new if each is act else each for each in old.acts], act, new)


def _given_away(random: Random, old: Sketch, act: Act) -> Sketch:
    new = replace(act, owner=random.choice([each for each in (*OWNERS, "n") if each != act.owner]))
    return _with(old, [new if each is act else each for each in old.acts], act, new)


def _inserted(random: Random, old: Sketch, act: Act) -> Sketch:
    event = random.choice(_events(old))
    new = Act(random.choice(["p", "q", "n"]), "i", event, ("IDone",))
    return _with(old, [new, *(replace(each, on=_put(each.on, event, "IDone")) for each in old.acts)])


def _removed(random: Random, old: Sketch, act: Act) -> Sketch | None:
    if len(old.acts) == 1 or act.out[0] == COMPLETED or len(act.out) > 1:
        return None
    on = f"({act.on})" if re.search("[&|]", act.on) else act.on
    kept = [each for each in old.acts if each is not act]
    return _with(old, [replace(each, on=_put(each.on, act.out[0], on)) for each in kept], act)


def _swapped(random: Random, old: Sketch, act: Act) -> Sketch | None:
    after = _follower(old, act)
    if after is None or after.kind or act.kind or len(after.out) > 1 or after.out[0] == COMPLETED:
        return None

    def moved(each: Act) -> Act:
        if each is act:
            return replace(act, on=after.out[0])
        if each is after:
            return replace(after, on=act.on)
        return replace(each, on=_put(each.on, after.out[0], act.out[0]))

    return _with(old, [moved(each) for each in old.acts])


def _split(random: Random, old: Sketch, act: Act) -> Sketch | None:
    if len(act.out) > 1:
        return None
    half = f"{act.name.upper()}Half"
    first = replace(act, out=(half,), kind="" if act.kind == "pivot" else act.kind)
    second = Act(random.choice([act.owner, "q", "n"]), f"{act.name}b", half, act.out, act.kind)
    parts = [[first, second] if each is act else [each] for each in old.acts]
    return _with(old, [each for part in parts for each in part])


def _merged(random: Random, old: Sketch, act: Act) -> Sketch | None:
    after = _follower(old, act)
    if after is None:
        return None
    acts = [replace(each, on=act.on) if each is after else each for each in old.acts if each is not act]
    return _with(old, acts, act)


def _of_another_kind(random: Random, old: Sketch, act: Act) -> Sketch:
    kind = random.choice([each for each in ("", "pivot", "retriable") if each != act.kind])
    return _with(old, [replace(act, kind=kind) if each is act else each for each in old.acts])


def _chosen_otherwise(random: Random, old: Sketch, act: Act) -> Sketch | None:
    if act.out[0] == COMPLETED or len(act.out) > 1:
        return None
    other = f"{act.out[0]}1"
    either = f"({act.out[0]} | {other})"
    new = replace(act, out=(act.out[0], other))
    return _with(
        old,
        [new if each is act else replace(each, on=_put(each.on, act.out[0], either)) for each in old.acts],
    )


def _added_at_the_end(random: Random, old: Sketch, act: Act) -> Sketch:
    last = next(each for each in old.acts if COMPLETED in each.out)
    event = f"{last.name.upper()}Done"
    new = Act(
        random.choice(["p", "q", "n"]),
        "z",
        event,
        (COMPLETED,),
        "retriable" if last.kind else random.choice(["", "pivot"]),
    )
    return _with(old, [*(replace(each, out=(event,)) if each is last else each for each in old.acts), new])


def _called_otherwise(random: Random, old: Sketch, act: Act) -> Sketch:
    before = old.acts[: old.acts.index(act)]
    event = random.choice([*(event for each in before for event in each.out), "Started"])
    return _with(old, [replace(act, on=event) if each is act else each for each in old.acts])


def _with_a_leaf(random: Random, old: Sketch, act: Act) -> Sketch:
    leaf = Act(random.choice(["p", "q", "n"]), "l", random.choice(_events(old)), ("LDone",))
    return _with(old, [*old.acts, leaf])


CHANGES: tuple[Callable[[Random, Sketch, Act], Sketch | None], ...] = (
    _renamed,
    _given_away,
    _inserted,
    _removed,
    _swapped,
    _split,
    _merged,
    _of_another_kind,
    _chosen_otherwise,
    _added_at_the_end,
    _called_otherwise,
    _with_a_leaf,
)
