"""A random saga of three versions and two participants, as each of three releases of them declares it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st

from choreo import Context, Participant, Permanent, Saga, event
from choreo.graph import derive
from choreo.saga import Versions

NEWEST = 3
PLACES = range(3)
LAST = PLACES[-1]
NEVER_FAILS = 9


def _made(name: str) -> type:
    annotations = {"order": str, "fails_at": int}
    return event(namespace="orders")(type(name, (), {"__annotations__": annotations}))


Ordered, Completed, Closed = _made("Ordered"), _made("Completed"), _made("Closed")
DONE = [_made("Done0"), _made("Done1"), Completed]
FAILED = [_made(f"Failed{place}") for place in PLACES]
UNDONE = [_made(f"Undone{place}") for place in PLACES[:-1]]
LATE = [_made(f"Late{place}") for place in PLACES[:-1]]
EVENTS = [Ordered, Closed, *DONE, *FAILED, *UNDONE, *LATE]


class Segment(NamedTuple):
    """The versions in which a place of the saga has one and the same step, or none."""

    place: int
    versions: Versions
    is_there: bool

    @property
    def function(self) -> str:
        return f"step{self.place}_{self.versions.since}"

    @property
    def owner(self) -> str:
        return "back" if self.place % 2 else "front"


class Plan(NamedTuple):
    """The steps of all versions, and the versions of observers, by participant."""

    segments: tuple[Segment, ...]
    observers: tuple[tuple[str, Versions], ...]

    def steps(self, version: int) -> list[Segment]:
        """Return the steps of a version, in their order."""
        return [each for each in self.segments if each.is_there and each.versions.includes(version)]

    def before(self, segment: Segment, version: int) -> type:
        """Return the event that calls a step in a version."""
        earlier = [each for each in self.steps(version) if each.place < segment.place]
        return DONE[earlier[-1].place] if earlier else Ordered

    def expected(self, version: int, fails_at: int) -> set[str]:
        """Return all that runs of a saga of a version: its steps to the end, or back from a failing one."""
        ran: set[str] = set()
        steps = self.steps(version)
        for number, step in enumerate(steps):
            ran.add(f"{step.owner}.{step.function}")
            if step.place == fails_at:
                ran |= {f"{each.owner}.undo_{each.function}" for each in steps[:number]}
                ran.add("front.close")
                break
        observers = {
            f"{owner}.watch_{at}" for at, (owner, of) in enumerate(self.observers) if of.includes(version)
        }
        return ran | observers


def _plan(cuts: list[list[bool]], there: list[list[bool]], observers: Any) -> Plan:
    """Return a plan in which a step ends where it is cut, or where another event would have to call it."""
    segments: list[Segment] = []
    callers = [Ordered] * NEWEST
    for place in PLACES:
        since = 1
        for version in range(1, NEWEST + 1):
            is_last = version == NEWEST
            if is_last or cuts[place][version - 1] or callers[version] is not callers[version - 1]:
                is_there = place == LAST or there[place][since - 1]
                until = None if is_last else version
                segments.append(Segment(place, Versions(since, until), is_there))
                since = version + 1
        for each in (each for each in segments if each.place == place and each.is_there):
            for version in range(each.versions.since, (each.versions.until or NEWEST) + 1):
                callers[version - 1] = DONE[place]
    return Plan(tuple(segments), tuple((owner, Versions(*bounds)) for owner, bounds in observers))


_flags = st.lists(st.booleans(), min_size=NEWEST, max_size=NEWEST)
_ranges = st.sampled_from([(1, None), (2, None), (3, None), (1, 1), (1, 2), (2, 2)])
plans = st.builds(
    _plan,
    st.lists(_flags, min_size=3, max_size=3),
    st.lists(_flags, min_size=3, max_size=3),
    st.lists(st.tuples(st.sampled_from(["front", "back"]), _ranges), max_size=2),
)

Calls = Callable[[str, str], None]


def nobody(saga_id: str, name: str) -> None:
    """Take a call of which nobody wants to know."""


def release(plan: Plan, newest: int, called: Calls, *, derived: bool = True) -> dict[str, Participant]:
    """Return the participants as the release that knows versions up to ``newest`` declares them."""
    saga = Saga("orders", starts=Ordered, completes=Completed, fails=Closed, version=newest)
    made = {name: Participant(name, sagas=[saga]) for name in ("front", "back")}
    made["front"].compensation(of=saga.start)(
        _function("close", called, made["front"], Closed, ordered=Ordered)
    )
    for segment in plan.segments:
        if segment.is_there and segment.versions.since <= newest:
            _declare(plan, segment, newest, made, called)
    for at, (owner, versions) in enumerate(plan.observers):
        if versions.since <= newest:
            watch = _function(f"watch_{at}", called, made[owner], None, event=Ordered)
            made[owner].observer(**_bounds(versions, newest))(watch)
    if derived:
        derive(made.values())
    return made


def _declare(plan: Plan, segment: Segment, newest: int, made: dict[str, Participant], called: Calls) -> None:
    owner, place = made[segment.owner], segment.place
    caller = plan.before(segment, segment.versions.since)
    act = _function(segment.function, called, owner, DONE[place], place, event=caller)
    bounds = _bounds(segment.versions, newest)
    kind: Any = "pivot" if place == LAST else "compensatable"
    owner.action(kind=kind, fails=FAILED[place], **bounds)(act)
    if place != LAST:
        undo = _function(f"undo_{segment.function}", called, owner, UNDONE[place], event=DONE[place])
        owner.compensation(of=act)(undo)
        watch = made["front"].deadline(of=f"{owner.name}.{act.__name__}", within=timedelta(hours=1), **bounds)
        watch(_function(f"late_{segment.function}", called, made["front"], LATE[place], event=Ordered))


def _bounds(versions: Versions, newest: int) -> dict[str, int]:
    """Return the options that the release declares: nobody knows yet that a later version will differ."""
    since = {"since": versions.since} if versions.since > 1 else {}
    return since if versions.until is None or versions.until >= newest else {**since, "until": versions.until}


def _function(
    name: str, called: Calls, owner: Participant, returns: Any, place: int = -1, **takes: Any
) -> Callable[..., Any]:
    (parameter,) = takes

    def handler(event: Any, ctx: Context) -> Any:
        called(ctx.saga_id, f"{owner.name}.{name}")
        if event.fails_at == place:
            raise Permanent("as planned")
        return returns(event.order, event.fails_at) if returns else None

    handler.__name__ = name
    handler.__annotations__ = {"event": takes[parameter], "ctx": Context, "return": returns}
    return handler


def names_of(made: Iterable[Participant]) -> set[str]:
    """Return the names of all handlers."""
    return {handler.name for each in made for handler in each.handlers}
