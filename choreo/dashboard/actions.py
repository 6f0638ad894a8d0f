"""What a person does with dead letters: shown first, asked of the worker, and logged with who and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, NamedTuple

from choreo.dashboard.element import Html, element, joined
from choreo.dashboard.forms import (
    act_form,
    log_action,
    newest,
    opened,
    problem_note,
    recorded_in,
    was_there,
    way,
    who_and_why,
)
from choreo.dashboard.frame import Body, empty, rows, sentence
from choreo.dashboard.letters import filter_of, letter_link, number_in, query_of
from choreo.dashboard.stores import Read, Shown
from choreo.dashboard.visit import Visit
from choreo.errors import ConfigurationError, StoreError
from choreo.operations.letters import Filter, Found, letter_of, letters_in
from choreo.operations.resolving import objection_to_no_event
from choreo.operations.settling import REQUEUES, Objection, no_objection, objection_to_requeue, settle_all
from choreo.operations.stores import Opened
from choreo.records import DeadLetter
from choreo.worker.dead_letters import How

_MOST: Final = 1_000
"""The letters that are settled at once: nobody waits for a page for ever, nor a worker for its store."""

_SHOWN: Final = 100
"""The letters that are named one by one."""


class Verb(NamedTuple):
    """One thing that can be done with letters: how it is called when done, and what it means.

    Where it ``asks_store``, the objection is told by the store itself, not by what only reads it.
    """

    done: How
    objection: Objection
    meaning: str
    asks_store: bool = False


_VERBS: Final[Mapping[str, Verb]] = {
    "requeue": Verb(
        "requeued",
        objection_to_requeue(REQUEUES),
        "The work is tried again in the worker’s next turn, or when it starts. The saga’s state of that "
        "moment decides: a step whose saga was rolled back meanwhile is not executed. What fails again is a "
        "new dead letter.",
    ),
    "discard": Verb(
        "discarded",
        no_objection,
        "The saga goes on as if this had been settled by hand. A compensation counts as done: first undo by "
        "hand what it should have undone. An action counts as failed, and the saga rolls back. An observer "
        "skips the event.",
    ),
    "resolve": Verb(
        "resolved",
        objection_to_no_event,
        "The work counts as done by hand, and the saga goes on. Work that ends with an event is left alone: "
        "resolve it one by one, each with its event.",
        asks_store=True,
    ),
}


class Asked(NamedTuple):
    """What is to be done with which letters: no later one than ``upto``, and than ``recorded``."""

    name: str
    verb: Verb
    wanted: Filter
    number: int
    upto: int
    recorded: int

    def is_about(self, letter: DeadLetter) -> bool:
        """Whether a letter was there when it was shown what would be done."""
        return (not self.upto or letter.id <= self.upto) and was_there(letter, self.recorded)

    @property
    def query(self) -> dict[str, str | int]:
        """What names it in an address, or in a form."""
        return {"verb": self.name, "number": self.number, **query_of(self.wanted)}


def asked_in(given: Mapping[str, str]) -> Asked:
    """Return what a query, or a form, asks for. Raises `ConfigurationError`."""
    verb = _VERBS.get(given.get("verb", ""))
    if verb is None:
        raise ConfigurationError(f"what is to be done is one of {', '.join(_VERBS)}")
    wanted = filter_of(given)
    if not wanted.participant:
        raise ConfigurationError("no participant is named", hint="go back, and choose dead letters of one")
    number = number_in(given["number"]) if given.get("number") else 0
    upto = number_in(given["upto"]) if given.get("upto") else 0
    return Asked(given["verb"], verb, wanted, number, upto, recorded_in(given))


def _letters(stores: Sequence[Any], asked: Asked) -> list[Found[Any]]:
    """Return the open letters that are meant, `_MOST` at most, and none that came after they were shown."""
    if asked.number:
        found = letter_of(stores, asked.number, asked.wanted.participant)
        return [found] if found.letter.state == "open" and asked.is_about(found.letter) else []
    meant = (each for each in letters_in(stores, asked.wanted) if asked.is_about(each.letter))
    return list(islice(meant, _MOST))


@contextmanager
def _holders(shown: Shown, asked: Asked) -> Iterator[Sequence[Read] | Sequence[Opened]]:
    """Yield where the letters are looked at before anything is done."""
    if not asked.verb.asks_store:
        yield shown.read
        return
    with opened(shown, asked.wanted.participant) as store:
        yield [store]


def offer(visit: Visit, shown: Shown) -> Body:
    """Return the page that shows what would be done, and asks who does it and why."""
    return _offer(visit, shown, asked_in(visit.query), {})


def _offer(visit: Visit, shown: Shown, asked: Asked, given: Mapping[str, str], problem: str = "") -> Body:
    with _holders(shown, asked) as holders:
        found = _letters(holders, asked)
        why_not = [asked.verb.objection(each) for each in found]
    title = f"{asked.name.capitalize()} {_counted(len(found))} of {asked.wanted.participant}"
    if not found:
        return Body(title, joined(element("h1", title), _none_open(visit)))
    able = sum(not each for each in why_not)
    cells = [
        (
            letter_link(visit, each),
            each.what,
            element("strong", f"left alone: {why}") if why else f"would be {asked.verb.done}",
        )
        for each, why in zip(found[:_SHOWN], why_not, strict=False)
    ]
    more = element("p", f"… and {len(found) - _SHOWN:,} more.") if len(found) > _SHOWN else None
    hidden = {**asked.query, "upto": max(each.letter.id for each in found), "recorded": newest(found)}
    content = joined(
        element("p", asked.verb.meaning, class_="meaning"),
        element("p", f"These are the first {_MOST:,}: do it again for the rest.")
        if len(found) == _MOST
        else None,
        rows(("Letter", "What", "Then"), cells, label="What would be done"),
        more,
        act_form(visit, "/act", hidden, given, f"{asked.name.capitalize()} {_counted(able)}", asked.name)
        if able
        else None,
    )
    return Body(
        title,
        joined(way(visit), element("h1", title), problem_note(problem), content),
        400 if problem else 200,
    )


def _none_open(visit: Visit) -> Html:
    left = joined("Somebody has settled them: ", visit.link("what is left", "/"), ".")
    return empty("None of them is open.", left)


def _counted(number: int) -> str:
    return f"{number:,} dead letter{'' if number == 1 else 's'}"


def act(visit: Visit, shown: Shown, form: Mapping[str, str]) -> Body:
    """Do what a form asks for, and return the page that says what was done."""
    asked = asked_in(form)
    try:
        who, why = who_and_why(form)
    except ConfigurationError as error:
        return _offer(visit, shown, asked, form, f"{error.message.capitalize()}.")
    settled: list[tuple[Found[Any], str]] = []
    problem = ""
    with opened(shown, asked.wanted.participant) as store:
        found = _letters([store], asked)
        try:
            for some in settle_all(found, asked.verb.done, why, shown.now, asked.verb.objection, by=who):
                done_now = [each for each, why_not in some if not why_not]
                log_action(asked.verb.done, asked.wanted.participant, done_now, form)
                settled += some
        except StoreError as error:
            if not settled:
                raise
            rest = _counted(len(found) - len(settled))
            problem = f"{sentence(error.message)} {rest} not looked at: do it again."
    done = [each for each, why_not in settled if not why_not]
    left = [(each, why_not) for each, why_not in settled if why_not]
    title = f"{asked.verb.done.capitalize()}: {_counted(len(done))} of {asked.wanted.participant}"
    then = "The worker carries it out in its next turn, or when it starts."
    cells = [(letter_link(visit, each), each.what, why) for each, why in left[:_SHOWN]]
    content = joined(
        problem_note(problem),
        element("p", then, class_="note good", role="status") if done else None,
        element("p", f"{_counted(len(left))} left alone.", class_="note bad", role="alert") if left else None,
        rows(("Letter", "What", "Left alone because"), cells, label="Left alone") if left else None,
        _sagas(visit, done),
        None if found else _none_open(visit),
    )
    return Body(title, joined(way(visit), element("h1", title), content), 503 if problem else 200)


def _sagas(visit: Visit, done: Sequence[Found[Any]]) -> Html | None:
    of_sagas = [each.letter for each in done if each.letter.saga_id][:_SHOWN]
    if not of_sagas:
        return None
    links = [element("li", visit.saga(each.saga_id, each.saga_type)) for each in of_sagas]
    return joined(element("h2", "Their sagas"), element("ul", links))
