"""Random rows of sagas in flight, and what they need, read one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import pairwise
from random import Random

from choreo.ports import Store
from choreo.records import DeadLetter, Entry, SagaKey, Scheduled, Work

STEPS = ("shop.charge", "shop.pack")
TYPES = ("order", "return")
TASKS = ("action", "compensation", "observer", "deadline", "outcome", "requeue")
PATH = ("pending", "executing", "completed", "compensating", "compensated")
ENDED = ("completed", "failed")


def fill(store: Store, random: Random, numbers: Iterable[int]) -> list[Scheduled]:
    """Write sagas whose steps are anywhere, their letters and what is due; return what is due."""
    due = []
    with store.turn():
        for number in numbers:
            saga = f"s{number // 2}", TYPES[number % 2]
            for row in _rows(random, *saga):
                store.append([row])
            if random.random() < 0.4:
                store.add_dead_letter(_letter(random, number, *saga))
            if random.random() < 0.4:
                what = random.choice(TASKS[:-1]), random.choice(STEPS), f"e{number}"
                due.append(Scheduled(*saga, *what, due=1))
        store.schedule(due)
        for letter in store.dead_letters():
            if random.random() < 0.3:
                store.close_dead_letter(letter.id, "requeued", "", 1)
                due.append(Scheduled("", "", "requeue", str(letter.id), "", 1))
        store.schedule(due)
    return due


def _rows(random: Random, saga_id: str, saga_type: str) -> Iterator[Entry]:
    state = random.choice(("pending", "compensating", *ENDED))
    base = Entry(saga_id, saga_type, random.choice((1, 2)), state, random.randrange(9), "ended", "", "", "")
    for step in random.sample(STEPS, random.randint(1, 2)):
        kind = random.choice(("compensatable", "pivot"))
        for old, new in list(pairwise(PATH))[: random.randint(1, len(PATH))]:
            is_success = new == "completed"
            done = {"event_id": f"{saga_id}/{step}", "event_type": "Paid", "outcome": "succeeded"}
            changed = done if is_success else {}
            yield base._replace(step=step, old_state=old, new_state=new, **changed)  # type: ignore[arg-type]
            if is_success and random.random() < 0.7:
                known = base._replace(input="event", old_state=new, new_state=new, kind=kind)
                yield known._replace(step=step, **done)  # type: ignore[arg-type]


def _letter(random: Random, number: int, saga_id: str, saga_type: str) -> DeadLetter:
    reason, task = random.choice(("retired", "handler-error")), random.choice(TASKS[:-1])
    return DeadLetter(reason, "", 1, saga_id, saga_type, task, random.choice(STEPS), f"e{number}")


def work_of(store: Store, due: Sequence[Scheduled]) -> list[Work]:
    """Return all work of the sagas of a store, whoever has a handler for it, row by row."""
    requeued = {each.name for each in due if each.task == "requeue"}
    letters = [each for each in store.dead_letters() if each.state == "open" or str(each.id) in requeued]
    found = [*_held(store, "letter", letters), *_held(store, "schedule", due)]
    held = {(each.saga_id, each.saga_type, each.name) for each in letters if each.task == "compensation"}
    for key in store.saga_log.sagas(SagaKey("", ""), 100):
        rows = store.history(*key)
        for step in STEPS:
            done = _work(rows, "done", "compensation", step)
            kinds = {row.kind for row in rows if row.input == "event" and row.step == step}
            is_done = done and done.step_state == "completed" and done.saga_state not in ENDED
            if done and is_done and "pivot" not in kinds and (*key, step) not in held:
                found.append(done._replace(kind=max(kinds, default="")))
    return found


def _held(store: Store, held: str, rows: Sequence[Scheduled | DeadLetter]) -> Iterator[Work]:
    for row in rows:
        of = _work(store.history(row.saga_id, row.saga_type), held, row.task, row.name)
        if of and row.task != "requeue":
            yield of._replace(event_id=row.event_id, reason=getattr(row, "reason", ""))


def _work(rows: Sequence[Entry], held: str, task: str, name: str) -> Work | None:
    if not rows:
        return None
    moves = [
        row for row in rows if row.step == name and row.input != "event" and row.old_state != row.new_state
    ]
    success = next((row for row in reversed(moves) if row.outcome == "succeeded"), None)
    return Work(
        *rows[-1][:4],
        rows[0].recorded_at,
        held,  # type: ignore[arg-type]
        task,
        name,
        success.event_id if success else "",
        success.event_type if success else "",
        moves[-1].new_state if moves else "pending",
    )


def seen_of(store: Store, types: Set[str]) -> Counter[tuple[object, ...]]:
    """Return how many sagas that have not ended have seen which of some event types, row by row."""
    counts = Counter[tuple[object, ...]]()
    for key in store.saga_log.sagas(SagaKey("", ""), 100):
        rows = store.history(*key)
        seen = {row.event_type for row in rows if row.input == "event" and row.note != "void"}
        if rows[-1].saga_state not in ENDED:
            counts[(*rows[-1][1:4], frozenset(seen & types))] += 1
    return counts


def counts_of(work: Sequence[Work]) -> Counter[tuple[object, ...]]:
    """Return of how many sagas there is the same work."""
    sagas = {(alike(each), each.saga_id) for each in work}
    return Counter(alike for alike, _ in sagas)


def alike(work: Work) -> tuple[object, ...]:
    """Return what work of several sagas has in common, where it is the same."""
    return tuple(work._replace(saga_id="", saga_state="", since=0, event_id="", step_state=""))
