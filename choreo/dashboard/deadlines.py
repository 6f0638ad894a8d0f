"""The deadlines of one saga: what is due when, and how a person gives a step more time, or takes it away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from choreo.dashboard.element import Child, Html, element, joined
from choreo.dashboard.forms import act_form, check_box, log, opened, problem_note, who_and_why
from choreo.dashboard.frame import Body, rows, section, sentence
from choreo.dashboard.stores import Shown
from choreo.dashboard.visit import Visit
from choreo.errors import ConfigurationError
from choreo.escape import escaped
from choreo.operations.deadlines import Listed, listed
from choreo.operations.spans import milliseconds_in
from choreo.records import SagaKey
from choreo.render.wording import iso_time, span
from choreo.timeline.timeline import Timeline
from choreo.worker.deadlines import Change, Changed, change

_MEANINGS: Final[Mapping[str, str]] = {
    "extend": "The deadline passes later by so much, for this saga only. It can be extended again until it "
    "has passed.",
    "revoke": "The step may take any time, as far as this deadline is concerned, for this saga only. Its "
    "other deadlines, and its own timeout, go on. A revoked deadline does not come back.",
}
"""What may be done with a deadline, and what it means."""


def deadlines(visit: Visit, shown: Shown, timeline: Timeline) -> Html | None:
    """Return the section of a saga's deadlines that run; nothing where none does."""
    found = [
        each
        for read in shown.read
        if (view := read.store.views(timeline.saga_id).get(timeline.saga_type))
        for each in listed(read.participant, read.store, view.scheduled)
    ]
    if not found:
        return None
    head = ["Deadline", "Of", "Participant", "Due"]
    cells = [_row(shown, each) for each in found]
    if not visit.settings.read_only:
        head.append("Change")
        cells = [
            (*row, _links(visit, timeline.saga_id, each)) for row, each in zip(cells, found, strict=True)
        ]
    return section("Deadlines", rows(head, cells, label="Deadlines"))


def _row(shown: Shown, found: Listed) -> tuple[Child, ...]:
    deadline = found.deadline
    name = "its own timeout" if deadline.is_own else deadline.name
    due = joined(iso_time(deadline.due), element("span", _left(deadline.due, shown.now), class_="why"))
    return name, deadline.step, found.participant, due


def _left(due: int, now: int) -> str:
    return f"in {span(due - now)}" if due > now else f"due for {span(now - due)}"


def _links(visit: Visit, saga_id: str, found: Listed) -> Child:
    if found.deadline.is_own:
        return element("span", "by its handler alone", class_="quiet")
    asked = {
        "participant": found.participant,
        "type": found.saga_type,
        "id": saga_id,
        "name": found.deadline.name,
    }
    links = [
        visit.link(f"{verb.capitalize()}…", "/deadline", verb=verb, class_=f"button {verb}", **asked)
        for verb in _MEANINGS
    ]
    return element("div", links, class_="buttons")


class Asked(NamedTuple):
    """What is to be done with which deadline; ``seen`` is when it was due as it was shown."""

    verb: str
    participant: str
    key: SagaKey
    name: str
    seen: int = 0

    def done(self, shown: Shown, wanted: Change, *, dry_run: bool = False) -> Changed:
        """Change the deadline. Raises `ConfigurationError` where it can't be changed."""
        with opened(shown, self.participant) as found:
            return change(
                found.store, self.key, self.name, wanted, shown.now, seen=self.seen, dry_run=dry_run
            )


def _asked_in(given: Mapping[str, str]) -> Asked:
    """Return what a query, or a form, asks for. Raises `ConfigurationError`."""
    verb = given.get("verb", "")
    if verb not in _MEANINGS:
        raise ConfigurationError(f"what is to be done is one of {', '.join(_MEANINGS)}")
    key = SagaKey(given.get("id", ""), given.get("type", ""))
    if "\0" in "".join(key):
        raise ConfigurationError("no saga has such an id, or type", hint="see the list of sagas")
    seen = given.get("seen", "0")
    if not (seen.isascii() and seen.isdigit() and len(seen) < 19):
        raise ConfigurationError(f"{seen!r:.100} is not when it was due", hint="open the form again")
    return Asked(verb, given.get("participant", ""), key, given.get("name", ""), int(seen))


def offer(visit: Visit, shown: Shown) -> Body:
    """Return the page that shows a deadline, and asks who changes it and why."""
    return _offer(visit, shown, _asked_in(visit.query), visit.query)


def _offer(
    visit: Visit, shown: Shown, asked: Asked, given: Mapping[str, str], problem: str = "", said: str = ""
) -> Body:
    # What would be there to revoke is what runs.
    running = asked._replace(seen=0).done(shown, Change("", ""), dry_run=True)
    title = f"{asked.verb.capitalize()} {running.name}"
    hidden: dict[str, str | int] = {
        "verb": asked.verb,
        "participant": asked.participant,
        "type": asked.key.saga_type,
        "id": asked.key.saga_id,
        "name": asked.name,
        "seen": running.before,
    }
    form = act_form(
        visit,
        "/deadline",
        hidden,
        given,
        f"{asked.verb.capitalize()} it",
        asked.verb,
        *(_more(given) if asked.verb == "extend" else ()),
        check_box(given),
        kept_where="it is kept in the saga log, and logged",
        back=_saga(visit, asked, "Cancel"),
    )
    due = f"{running.step} has until {iso_time(running.before)}, {_left(running.before, shown.now)}."
    parts = (
        element("h1", title),
        problem_note(problem),
        element("p", said, class_="note good", role="status") if said else None,
        element("p", due),
        element("p", _MEANINGS[asked.verb], class_="meaning"),
        form,
    )
    return Body(title, joined(_way(visit, asked), *parts), 400 if problem else 200)


def _more(given: Mapping[str, str]) -> tuple[Html]:
    field = element("input", name="more", value=given.get("more", ""), required=True, placeholder="1h")
    return (element("label", element("span", "How much longer (such as 90s, 10m, 2h or 7d)"), field),)


def _way(visit: Visit, asked: Asked) -> Html:
    return element("p", _saga(visit, asked, asked.key.saga_id), class_="way")


def _saga(visit: Visit, asked: Asked, text: str) -> Html:
    return visit.saga(asked.key.saga_id, asked.key.saga_type, text)


def act(visit: Visit, shown: Shown, form: Mapping[str, str]) -> Body:
    """Change the deadline of a form, or only check that, and return the page that says so."""
    asked, is_check = _asked_in(form), form.get("check") == "yes"
    try:
        who, why = who_and_why(form)
        more = milliseconds_in(form.get("more", "")) if asked.verb == "extend" else 0
        if asked.verb == "extend" and not more:
            raise ConfigurationError("say how much longer")
        done = asked.done(shown, Change(who, why, more), dry_run=is_check)
    except ConfigurationError as error:
        return _offer(visit, shown, asked, form, sentence(error.message))
    until = f"until {iso_time(done.after)}" if done.after else "any time, as far as this deadline goes"
    if is_check:
        said = f"Nothing was changed. {done.step} would have {until}."
        return _offer(visit, shown, asked, {**form, "check": ""}, said=said)
    verb = Change(who, why, more).done
    log.info(
        "%s: participant=%s deadline=%s saga=%s due=%s by=%s because=%s",
        verb,
        escaped(asked.participant),
        escaped(done.name),
        escaped(asked.key.saga_id),
        iso_time(done.after) if done.after else "never",
        escaped(who),
        escaped(why),
    )
    title = f"{verb.capitalize()}: {done.name}"
    told = element("p", f"{done.step} has {until}.", class_="note good", role="status")
    return Body(title, joined(_way(visit, asked), element("h1", title), told))
