"""``Handler``: a decorated function with its declaration."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal, NamedTuple

from choreo.events import Aborted, event_name
from choreo.outcome import Kind
from choreo.protocol import Trigger
from choreo.retry import Retry
from choreo.saga import ALL_VERSIONS, Saga, Versions

Task = Literal["action", "compensation", "observer", "deadline"]
Runs = Literal["inside", "coroutine", "thread"]


class Place(NamedTuple):
    """The place of a handler in the user's code."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def names_of(name: str, formerly: Iterable[str]) -> tuple[str, ...]:
    """Return the full names of a handler, newest first: today's, and those of the former functions.

    >>> names_of("payments.take", ("pay", "charge"))
    ('payments.take', 'payments.pay', 'payments.charge')
    """
    participant = name.partition(".")[0]
    return (name, *(f"{participant}.{function}" for function in formerly))


@dataclass(frozen=True)
class Parameter:
    """One parameter of a handler: the context, or an event of one of ``classes``.

    ``is_result``: it takes the success event of the action that is undone. ``is_earlier``: it takes an
    earlier event of the saga, which doesn't call the handler. ``optional``: None is passed where there is no
    such event.
    """

    name: str
    classes: tuple[type, ...] = ()
    is_context: bool = False
    is_result: bool = False
    is_earlier: bool = False
    optional: bool = False

    @property
    def is_caller(self) -> bool:
        """Whether the parameter takes an event that calls the handler."""
        return not (self.is_context or self.is_result or self.is_earlier)

    @property
    def admits_aborted(self) -> bool:
        """Whether an `Aborted` may be passed."""
        return Aborted in self.classes

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The full names of the events that the parameter takes, without `Aborted`."""
        return tuple(event_name(cls) for cls in self.classes if cls is not Aborted)


@dataclass(frozen=True)
class Handler:
    """A declared handler; ``name`` is ``participant.function``, ``step`` the step it works for.

    ``formerly`` are the names that its function had, newest first; the oldest one is its identity: the name
    by which topic and store know it for good, so that a rename changes nothing for sagas in flight.

    ``callers`` are the event classes of ``trigger``, and `Aborted` where it may call the handler.
    ``emits`` maps the full names of the events that it may return to their classes, ``fails`` are those
    of them that mean failure, the first being the answer to a refusal. ``runs`` is where it runs: inside the
    local transaction, or outside of any as a coroutine or in a thread. ``partial``: an attempt that raised
    may have had outside effects. ``derived``: a compensation that names no event, and whose trigger follows
    from the whole choreography. ``versions`` are those of the sagas that it takes part in.
    """

    name: str
    task: Task
    step: str
    saga: Saga
    function: Callable[..., Any]
    place: Place
    parameters: tuple[Parameter, ...]
    trigger: Trigger
    emits: dict[str, type] = field(default_factory=dict)
    fails: tuple[type, ...] = ()
    kind: Kind = "compensatable"
    timeout: timedelta | None = None
    retry: Retry = Retry()  # noqa: RUF009 (frozen)
    ignore: tuple[type[BaseException], ...] = ()
    answer: Callable[..., Any] | None = None
    within: timedelta | None = None
    callers: tuple[type, ...] = ()
    runs: Runs = "inside"
    partial: bool = False
    derived: bool = False
    versions: Versions = ALL_VERSIONS
    formerly: tuple[str, ...] = ()

    @property
    def is_outside(self) -> bool:
        """Whether it runs outside of any transaction."""
        return self.runs != "inside"

    @property
    def is_of_step(self) -> bool:
        """Whether it is an action or a compensation."""
        return self.task in ("action", "compensation")

    @cached_property
    def identity(self) -> str:
        """The first name that it was declared under, which a rename keeps."""
        return self.names[-1]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Its own name and the former ones, newest first."""
        return names_of(self.name, self.formerly)

    @cached_property
    def known_as(self) -> str:
        """The name that the protocol uses: of the step, for an observer or a deadline its own."""
        return self.step if self.is_of_step else self.identity

    @cached_property
    def aliases(self) -> tuple[str, ...]:
        """Its names but the identity: a release of the service may have used one as its identity."""
        return self.names[:-1]

    def under(self, name: str) -> Handler:
        """Return the handler as a saga knows it that goes on with one of its names, or its action's."""
        if name == self.known_as:
            return self
        if self.task == "compensation":
            return replace(self, step=name)
        formerly = self.formerly[: self.names.index(name)]
        return replace(self, formerly=formerly, step=self.step if self.task == "deadline" else name)

    @cached_property
    def successes(self) -> dict[str, type]:
        """The events that mean success, by full name."""
        failing = {event_name(cls) for cls in self.fails}
        return {name: cls for name, cls in self.emits.items() if name not in failing}

    @property
    def event_parameters(self) -> tuple[Parameter, ...]:
        """The parameters that take events which called the handler."""
        return tuple(parameter for parameter in self.parameters if parameter.is_caller)

    def takes(self, event_type: str) -> bool:
        """Whether a parameter takes an event of this type; without one, every event is taken."""
        parameters = self.event_parameters
        return not parameters or any(event_type in each.types for each in parameters)

    @cached_property
    def result_parameter(self) -> Parameter | None:
        """The parameter of a compensation that takes its action's success event."""
        return next((p for p in self.parameters if p.is_result), None)

    @cached_property
    def results(self) -> frozenset[str]:
        """The success events that a compensation undoes; empty for all of them."""
        return frozenset(self.result_parameter.types if self.result_parameter else ())

    @cached_property
    def earlier(self) -> frozenset[str]:
        """The full names of the earlier events that its parameters take."""
        return frozenset(name for each in self.parameters if each.is_earlier for name in each.types)

    @property
    def classes(self) -> tuple[type, ...]:
        """The event classes whose bodies are read or written by the handler or by its ``answer``."""
        read = (cls for parameter in self.parameters for cls in parameter.classes)
        written = self.emits.values()
        return tuple(cls for cls in (*read, *self.callers, *written, *self.fails) if cls is not Aborted)
