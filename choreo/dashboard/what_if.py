"""What today's handlers would do with the recorded events of one saga: told by a command, or run here.

The page itself runs no handler. Where it knows the modules of participants, a form runs ``choreo replay
what-if`` in a process of its own, for a limited time; anywhere else the command is shown.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from signal import SIGKILL
from threading import Event, Lock
from time import monotonic
from typing import Any, Final, NamedTuple

from choreo.dashboard.element import Child, Html, element, joined
from choreo.dashboard.frame import Body, rows, section
from choreo.dashboard.settings import Settings
from choreo.dashboard.stores import Read, Shown
from choreo.dashboard.visit import Visit
from choreo.errors import ConfigurationError
from choreo.records import SagaKey

_SECONDS: Final = 30.0
"""For how long the handlers of all participants of a saga may run."""

_LARGEST: Final = 16_000_000
"""The bytes of a report at most: handlers may write there, too."""

_PIECE: Final = 65_536
_LOOK_SECONDS: Final = 0.2

_MOST: Final = 50
"""The differences of a participant that are shown."""

_RUNNING = Lock()
"""Held while handlers run: one visitor at a time."""

_MEANING: Final = (
    "The handlers of today’s code get the events that this saga recorded, and what they return is compared "
    "with what was published then. Nothing is published or written; effects outside of the process are "
    "refused, and calls are taken from the record. A handler that uses ctx.db needs an earlier copy of its "
    "store: give the command --base."
)


class Told(NamedTuple):
    """What a run at one participant has told, or why it has told nothing.

    ``changes`` are the step, what was recorded and what would be now; ``compared`` is how many results were.
    ``lines`` say what was compared, and what may differ from run to run.
    """

    participant: str
    changes: Sequence[tuple[str, str, str]] = ()
    compared: int = 0
    lines: Sequence[str] = ()
    problem: str = ""


def link_to(visit: Visit, saga_id: str, saga_type: str) -> Html:
    """Return the section that leads to the page."""
    link = visit.link("What if…", "/what-if", type_=saga_type, id_=saga_id)
    return section(
        "What today’s code would do", element("p", "With the events that this saga recorded. ", link)
    )


def what_if(visit: Visit, shown: Shown) -> Body:
    """Return the page that tells how today's handlers are run on a saga. Raises `ConfigurationError`."""
    key, sides = _sides(shown, visit.query)
    settings = visit.settings
    can_run = not settings.read_only and any(each.participant in settings.targets for each in sides)
    return _page(visit, key, joined(_form(visit, key) if can_run else None, _commands(settings, key, sides)))


def run(visit: Visit, shown: Shown, form: Mapping[str, str]) -> Body:
    """Run today's handlers on a saga, and return the page of what they would change."""
    key, sides = _sides(shown, form)
    known = [each for each in sides if each.participant in visit.settings.targets]
    if not _RUNNING.acquire(blocking=False):
        raise ConfigurationError("handlers run here for somebody else", hint="try again in a moment")
    try:
        until = monotonic() + _SECONDS
        told = [_told(visit.settings, each, key, until - monotonic()) for each in known]
    finally:
        _RUNNING.release()
    return _page(visit, key, joined(_results(told), _commands(visit.settings, key, sides)))


def _sides(shown: Shown, given: Mapping[str, str]) -> tuple[SagaKey, list[Read]]:
    """Return the saga that is meant, and the stores that know it."""
    key = SagaKey(given.get("id", ""), given.get("type", ""))
    sides = [each for each in shown.read if key.saga_type in each.store.views(key.saga_id)]
    if not sides:
        raise ConfigurationError(f"no store here knows a saga {key.saga_id}", hint="see the list of sagas")
    return key, sides


def _page(visit: Visit, key: SagaKey, content: Child) -> Body:
    title = "What if"
    way = element("p", visit.saga(key.saga_id, key.saga_type, key.saga_id), class_="way")
    parts = (element("h1", title), element("p", _MEANING, class_="meaning"), content)
    return Body(f"{title} {key.saga_id}", joined(way, *parts))


def _form(visit: Visit, key: SagaKey) -> Html:
    fields = {"token": visit.settings.form_token, "type": key.saga_type, "id": key.saga_id}
    return element(
        "form",
        [element("input", type="hidden", name=name, value=value) for name, value in fields.items()],
        element("div", element("button", "Run today’s handlers", class_="button primary"), class_="buttons"),
        method="post",
        action=visit.url("/what-if"),
    )


def _commands(settings: Settings, key: SagaKey, sides: Sequence[Read]) -> Html:
    lines = [
        shlex.join(
            [
                *("choreo", "replay", "what-if", "--store", each.path, "--type", key.saga_type),
                *("--schemas", str(settings.schemas), "--"),
                *(settings.targets.get(each.participant, f"MODULE:{each.participant}"), key.saga_id),
            ]
        )
        for each in sides
    ]
    return section("As commands", [element("pre", line, tabindex=0) for line in lines])


def _told(settings: Settings, side: Read, key: SagaKey, seconds: float) -> Told:
    """Run the handlers of one participant, in a process of its own."""
    target = settings.targets[side.participant]
    command = [sys.executable, "-m", "choreo", "replay", "what-if", "--format", "json"]
    command += ["--type", key.saga_type, "--schemas", str(settings.schemas), "--", target, key.saga_id]
    # The address of a store may hold a password, which others could read in the arguments.
    environment = {
        **os.environ,
        "CHOREO_STORE": side.place,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    try:
        code, told, said = _ran(command, environment, seconds, settings.stopping)
    except subprocess.TimeoutExpired:
        return Told(side.participant, problem=f"not done after {_SECONDS:.0f} s: run the command")
    except (OSError, ValueError) as error:  # such as of an id that no command can be given
        return Told(side.participant, problem=f"it can't be run here: {error}")
    try:
        return _told_in(side.participant, json.loads(told))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # whatever handlers wrote there
        lines = said.decode(errors="replace").strip().splitlines()
        return Told(side.participant, problem=lines[-1] if lines else f"it ended with {code}")


def _told_in(participant: str, report: Any) -> Told:
    """Return what the report of the command tells. Raises what data of another form does."""
    changes = [(str(each["step"]), str(each["recorded"]), str(each["now"])) for each in report["changes"]]
    counts = {str(what): int(count) for what, count in sorted(report["counts"].items())}
    shown = ", ".join(f"{count} {what}" for what, count in counts.items())
    lines = [f"{participant}: {shown or 'no handler ran'}"]
    lines += [f"{name} calls {', '.join(places)}" for name, places in report["nondeterministic"].items()]
    return Told(participant, changes, counts.get("compared", 0), lines)


def _ran(
    command: Sequence[str], environment: Mapping[str, str], seconds: float, stopping: Event
) -> tuple[int, bytes, bytes]:
    """Run a command; return its exit code, what it wrote, and the end of what it said besides.

    It is ended, with all that it has started, where it runs for too long or writes too much, or the page
    stops. Raises `TimeoutExpired`, `OSError`, `ValueError`.
    """
    until = monotonic() + seconds
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with process, DefaultSelector() as open_pipes:
        assert process.stdout is not None
        assert process.stderr is not None
        written, said = bytearray(), bytearray()
        open_pipes.register(process.stdout, EVENT_READ, written)
        open_pipes.register(process.stderr, EVENT_READ, said)
        try:
            while open_pipes.get_map():
                if monotonic() > until or stopping.is_set():
                    raise subprocess.TimeoutExpired(command, seconds)
                for key, _ in open_pipes.select(_LOOK_SECONDS):
                    piece = os.read(key.fd, _PIECE)
                    key.data.extend(piece)
                    if not piece:
                        open_pipes.unregister(key.fileobj)
                del said[:-_PIECE]
                if len(written) > _LARGEST:
                    raise ValueError(f"it writes more than {_LARGEST:,} bytes")
        finally:
            with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of one that has ended
                os.killpg(process.pid, SIGKILL)
    return process.returncode, bytes(written), bytes(said)


def _results(told: Sequence[Told]) -> Html:
    changes = [(each.participant, *change) for each in told for change in each.changes]
    problems = [each for each in told if each.problem]
    compared = sum(each.compared for each in told)
    said = f"{len(changes)} difference{'' if len(changes) == 1 else 's'}."
    if not changes:
        said = f"No difference in {compared} of its results." if compared else "Nothing could be compared."
    return joined(
        element(
            "p", said, class_=f"note {'bad' if changes else 'good' if compared else 'calm'}", role="status"
        ),
        rows(("Participant", "Step", "Recorded", "Now"), changes[:_MOST], label="Differences")
        if changes
        else None,
        element("p", f"… and {len(changes) - _MOST:,} more.") if len(changes) > _MOST else None,
        [
            element("p", element("strong", each.participant), f": {each.problem}", class_="note bad")
            for each in problems
        ],
        element("ul", [element("li", line) for each in told for line in each.lines]),
    )
