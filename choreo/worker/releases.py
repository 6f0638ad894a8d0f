"""``Releases``: compares what a worker is started with to what the last one ran with, and to its sagas."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import dropwhile, islice
from typing import Protocol

from choreo.errors import ConfigurationError, ReleaseRefused, did_you_mean
from choreo.manifest import Manifest
from choreo.participant import Participant
from choreo.ports import Clock, Codec, Store
from choreo.protocol.steps import NOT_TAKEN
from choreo.records import DeadLetter, Entry, Release, Scheduled, Work
from choreo.release import (
    RETIRED,
    Comparison,
    Handlers,
    Need,
    New,
    compare,
    declared,
    in_one_line,
    needed,
    no_longer_taken,
    readable,
    release_of,
)
from choreo.render.wording import span
from choreo.worker.dead_letters import not_taken

log = logging.getLogger("choreo.worker")


class Earlier(Protocol):
    """What is read of the releases of a store."""

    def releases(self) -> Sequence[Release]:
        """Return them, oldest first."""
        ...


class Releases:
    """The releases of one participant's store, of which its worker begins another where something differs.

    ``retire`` are the names of steps, observers and deadlines that are given up: what sagas in flight still
    need of them becomes dead letters.
    """

    def __init__(
        self,
        participant: Participant,
        store: Store,
        codec: Codec,
        clock: Clock,
        retire: Iterable[str] = (),
    ) -> None:
        self._participant = participant
        self._store = store
        self._codec = codec
        self._clock = clock
        self._retire = tuple(retire)
        self._said: list[str] = []

    def begin(self) -> None:
        """Add the declarations of today to the store, inside a turn, where they are others than the last.

        Raises `ReleaseRefused` where sagas in flight need something that has no handler any more and is not
        retired, `ConfigurationError` for a name to retire that is no handler's of before.
        """
        self._said = []
        newest = self._store.newest_release()
        today = declared(self._participant, self._codec.schemas())
        release = release_of(today, self._clock.now(), self._store.positions())
        if newest is not None and newest.digest == release.digest:
            if self._retire:
                refuse_unknown(self._participant.name, self._retire, names_of_before(self._store))
            return
        comparison = compare(self._store, newest, today)
        retired = to_retire(self._store, comparison, self._retire, self._clock.now())
        work = needed(self._store, newest, today) if comparison.needs else ()
        letters = sum(self._give_up(each, comparison.before) for each in work)
        retired = retired | comparison.still_retired
        left = self._leave_out(comparison)
        self._store.add_release(release._replace(retired=tuple(sorted(retired))))
        self._said = in_lines(comparison, {each.name for each in comparison.needs}, letters)
        self._said += left

    def say(self) -> None:
        """Log what the release changes, once it is committed."""
        for line in self._said:
            log.info("%s: %s", self._participant.name, line)
        self._said = []

    def _give_up(self, work: Work, before: Manifest | None) -> int:
        """Keep a dead letter of work that has no handler any more; return how many were added."""
        if work.held == "letter":
            return 0
        events = [work.event_id]
        if work.task == "observer":
            events = [work.event_id, *(each.event_id for each in self._waiting(work, before)[1:])]
        for event_id in events:
            self._store.add_dead_letter(_letter(work, event_id, self._clock.now()))
        self._store.append(_buried(work, event_id, self._clock.now()) for event_id in events)
        self._store.unschedule(work.saga_id, work.saga_type, work.task, work.name)
        return len(events)

    def _leave_out(self, comparison: Comparison) -> list[str]:
        """Keep dead letters of what waits for an observer that takes it no more; return what to say of it.

        Only the event that it handles next is on the schedule: by today's declarations nothing else waits.
        """
        before, counts = comparison.before, Counter[tuple[str, str]]()
        lost = no_longer_taken(before, Handlers(comparison.today)) if before else {}
        asked = (
            self._store.work(lambda *of: of[1] == "observer" and (of[0], of[2]) in lost, ()) if lost else ()
        )
        for work in (each for each in asked if each.held == "schedule"):
            waiting, types = self._waiting(work, before), lost[work.saga_type, work.name]
            for event in (each for each in waiting if each.event_type in types):
                self._set_aside(work, event)
                counts[work.name, event.event_type] += 1
            if waiting and waiting[0].event_type in types:
                self._let_be_next(work, [each for each in waiting if each.event_type not in types][:1])
        return [
            f"release: {name} does not take {event_type} any more: {number:,} that waited for it now "
            f"{'is a dead letter' if number == 1 else 'are dead letters'}, until it does again"
            for (name, event_type), number in sorted(counts.items())
        ]

    def _let_be_next(self, work: Work, left: Sequence[Entry]) -> None:
        """Let an observer handle the event that is left next, where there is one."""
        saga = work.saga_id, work.saga_type
        self._store.unschedule(*saga, "observer", work.name)
        now = self._clock.now()
        self._store.schedule(Scheduled(*saga, "observer", work.name, each.event_id, now) for each in left)

    def _set_aside(self, work: Work, event: Entry) -> None:
        detail = not_taken(work.name, event.event_type)
        letter = _letter(work, event.event_id, self._clock.now())
        letter = letter._replace(reason=NOT_TAKEN, detail=detail, event_type=event.event_type)
        self._store.add_dead_letter(letter)
        self._store.append([_buried(work, event.event_id, self._clock.now())._replace(note=NOT_TAKEN)])

    def _waiting(self, work: Work, before: Manifest | None) -> list[Entry]:
        """Return the events that wait for an observer: only the first one of them is on the schedule."""
        types = {
            name
            for each in (before.handlers if before else ())
            if each.known_as == work.name
            for name in each.trigger.types
        }
        events = (
            entry
            for entry in self._store.history(work.saga_id, work.saga_type)
            if entry.input == "event" and entry.note != "void"
        )
        waiting = dropwhile(lambda entry: entry.event_id != work.event_id, events)
        first = list(islice(waiting, 1))
        # The log keeps the bodies of what a handler of that time took: what has none was not queued.
        return first + [each for each in waiting if each.event_type in types and each.payload is not None]


def to_retire(store: Earlier, comparison: Comparison, given: Iterable[str], now: int) -> set[str]:
    """Return the full names of what is retired with a release: what is declared again is not.

    Raises `ReleaseRefused` where sagas in flight need something else that has no handler any more, and
    `ConfigurationError` for a name that no handler ever had.
    """
    given = tuple(given)
    names = {*comparison.lacking, *(names_of_before(store) if given else ())}
    retired = refuse_unknown(comparison.today.participant, given, names)
    needs = [each for each in comparison.needs if each.name not in retired]
    if needs:
        raise refusal(comparison, needs, now)
    return retired & comparison.lacking


def in_lines(comparison: Comparison, retired: Collection[str], letters: int) -> list[str]:
    """Return what a release changes, as lines for people."""
    lines = [f"release: {in_one_line(comparison.changes)}"] if comparison.changes else []
    lines += [in_words(new) for new in comparison.new if new.sagas]
    if retired:
        count = f"{letters:,} dead letter{'' if letters == 1 else 's'}"
        lines.append(f"release: retired {', '.join(sorted(retired))}: {count} with the reason {RETIRED}")
    return lines


def names_of_before(store: Earlier) -> set[str]:
    """Return the names of handlers that any release of a store had, or has given up."""
    names: set[str] = set()
    for release in store.releases():
        names.update(release.retired)
        manifest = readable(release)
        names.update(each.known_as for each in (manifest.handlers if manifest else ()))
    return names


def refusal(comparison: Comparison, needs: Sequence[Need], now: int) -> ReleaseRefused:
    """Return the error of a start that would forget what sagas in flight need."""
    each = (
        f"{need.name} ({need.what}: {need.sagas:,} saga{'' if need.sagas == 1 else 's'}, "
        f"the oldest {need.oldest}, begun {span(max(now - need.since, 0))} ago)"
        for need in needs
    )
    names = list(dict.fromkeys(need.name for need in needs))
    renamed = [(name, comparison.renamed[name]) for name in names if name in comparison.renamed]
    hints = [
        f"is {new} what {name} was? then declare it with formerly={name.partition('.')[2]!r}"
        for name, new in renamed
    ] or ["put it back, or declare what it is called now with formerly="]
    retire = " ".join(f"--retire {name}" for name in names)
    return ReleaseRefused(
        f"{comparison.today.participant}: sagas in flight need what this release does not have: "
        f"{'; '.join(each)}",
        hint=f"{'; '.join(hints)}; or give it up, so that it becomes dead letters: {retire}",
    )


def in_words(new: New) -> str:
    """Return what becomes of the sagas that are past what calls a handler that is new, or called anew."""
    what = f"the compensation of {new.name}" if new.task == "compensation" else new.name
    if not new.sagas:
        return f"release: {what} is new: no saga in flight is past what calls it"
    sagas = "1 saga in flight is" if new.sagas == 1 else f"{new.sagas:,} sagas in flight are"
    hint = f"(hint: choreo releases apply {new.name})"
    if new.is_recalled:
        return f"release: other events call {what} now: {sagas} past them {hint}"
    goes = "goes" if new.sagas == 1 else "go"
    return f"release: {what} is new: {sagas} past what calls it, and {goes} on without it {hint}"


def refuse_unknown(participant: str, given: Iterable[str], known: Collection[str]) -> set[str]:
    """Return the full names of what is to be retired. Raises `ConfigurationError` for one that never was."""
    names = set()
    for name in given:
        full = name if name in known else f"{participant}.{name}"
        if full not in known:
            raise ConfigurationError(
                f"--retire {name}: {participant} has had no such step, observer or deadline",
                hint=did_you_mean(full, sorted(known), "it has had"),
            )
        names.add(full)
    return names


def _letter(work: Work, event_id: str, now: int) -> DeadLetter:
    what = "the compensation of" if work.task == "compensation" else f"the {work.task}"
    return DeadLetter(
        RETIRED,
        f"{what} {work.name} was retired by a release that does not have it any more",
        now,
        work.saga_id,
        work.saga_type,
        "action" if work.task == "answer" else work.task,
        work.name,
        event_id,
        work.result if work.task == "compensation" else "",
    )


def _buried(work: Work, event_id: str, now: int) -> Entry:
    """Return the row that says so in the saga log, from which a release that has it again goes on."""
    return Entry(
        work.saga_id,
        work.saga_type,
        work.saga_version,
        work.saga_state,
        now,
        "buried",
        work.name,
        work.step_state,
        work.step_state,
        causation_id=event_id,
        note=RETIRED,
    )
