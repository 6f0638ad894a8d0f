"""A signature says what calls a handler and what it returns; one that doesn't is refused."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from choreo import Aborted, Context, Earlier, Participant, event
from tests.participant.refusal import refused
from tests.participant.shop import NotAnEvent, Ordered, Paid, Released, Reserved, Unavailable


@event(namespace="elsewhere")
class Elsewhere:
    name: str


def no_annotation(event) -> Reserved: ...


def no_return(event: Ordered): ...


def plain_class(event: NotAnEvent) -> Reserved: ...


def union_with_plain_class(event: Ordered | NotAnEvent) -> Reserved: ...


def list_of_events(event: list[Ordered]) -> Reserved: ...


def returns_plain_class(event: Ordered) -> NotAnEvent: ...


def returns_list(event: Ordered) -> list[Reserved]: ...


def unresolvable(event: "Misspelt") -> Reserved: ...  # noqa: F821


def unresolvable_return(event: Ordered) -> "Misspelt": ...  # noqa: F821


def unparsable(event: "Ordered |") -> Reserved: ...  # noqa: F722


def several(*events: Ordered) -> Reserved: ...


def options(event: Ordered, **options: Paid) -> Reserved: ...


def keyword_only(event: Ordered, *, ctx: Context) -> Reserved: ...


def with_default(event: Ordered, paid: Paid = Paid("")) -> Reserved: ...  # noqa: B008


def two_contexts(event: Ordered, ctx: Context, context: Context) -> Reserved: ...


def same_event_twice(event: Ordered, paid: Paid | Ordered) -> Reserved: ...


def optional_trigger(event: Ordered | None) -> Reserved: ...


def no_event(ctx: Context) -> Reserved: ...


@pytest.mark.parametrize(
    ("function", "words", "hint"),
    [
        (no_annotation, "parameter 'event' has no annotation", "an event class, a union of them, or Context"),
        (no_return, "the return annotation is missing", "None for an observer"),
        (plain_class, "parameter 'event': NotAnEvent is not an event", "@event"),
        (union_with_plain_class, "parameter 'event': NotAnEvent is not an event", "@event"),
        (list_of_events, "parameter 'event': list is not an event", "@event"),
        (returns_plain_class, "NotAnEvent is returned, but is not an event", "return an event class"),
        (returns_list, "list is returned, but is not an event", "return an event class"),
        (unresolvable, "can't be resolved: name 'Misspelt'", "not under TYPE_CHECKING"),
        (unresolvable_return, "can't be resolved: name 'Misspelt'", "not under TYPE_CHECKING"),
        (unparsable, "can't be resolved", "not under TYPE_CHECKING"),
        (several, "parameter *events can't be filled", "name each event"),
        (options, "parameter **options can't be filled", "name each event"),
        (keyword_only, "parameter 'ctx' is keyword-only", "drop the *"),
        (with_default, "parameter 'paid' has a default, which would never be used", "drop it"),
        (two_contexts, "parameters 'ctx' and 'context' are both the Context", "one is enough"),
        (same_event_twice, "parameters 'event' and 'paid' both take shop.Ordered", "fills one parameter"),
        (optional_trigger, "parameter 'event' is never None", "on="),
        (no_event, "nothing calls it", "or give on="),
    ],
)
def test_a_signature_that_can_not_be_used_is_refused(
    inventory: Participant, function: Callable[..., Any], words: str, hint: str
) -> None:
    """Whatever can't be filled or isn't said is refused, and mended by the hint."""
    with refused(words, hint=hint):
        inventory.action(fails=Unavailable)(function)


def generator(event: Ordered) -> Iterator[Reserved]:
    yield Reserved("")


async def async_generator(event: Ordered) -> AsyncIterator[Reserved]:
    yield Reserved("")


@pytest.mark.parametrize("function", [generator, async_generator])
def test_what_does_not_run_to_its_end_at_once_is_refused(
    inventory: Participant, function: Callable[..., Any]
) -> None:
    """A handler returns one event, once."""
    with refused("it is not a plain function", hint="plain def"):
        inventory.action(fails=Unavailable)(function)


class Callee:
    """An object that can be called, but has no name."""

    def __call__(self, event: Ordered) -> Reserved: ...


@pytest.mark.parametrize(
    "thing", [Ordered, Unavailable("o-1"), "reserve", Callee(), partial(no_event), print]
)
def test_what_is_not_a_function_is_refused(inventory: Participant, thing: Any) -> None:
    """Most often an option was given without its name; the place is then that of the decorator."""
    with refused("test_refused_signatures.py", "is not a function", hint="options are given by name"):
        inventory.action(thing)


def test_a_lambda_is_refused(inventory: Participant) -> None:
    """The step would have no name."""
    with refused("<lambda> can't name a step", hint="def and a name"):
        inventory.action(lambda event: Reserved(""))


def mixed(event: Ordered, paid: Reserved | Earlier[Paid]) -> Unavailable: ...


def nothing_calls(paid: Earlier[Paid]) -> Reserved: ...


def aborted_earlier(event: Ordered, aborted: Earlier[Aborted]) -> Reserved: ...


def emitted_earlier(event: Ordered, reserved: Earlier[Reserved]) -> Reserved: ...


def plain_class_earlier(event: Ordered, other: Earlier[NotAnEvent]) -> Reserved: ...


def foreign_earlier(event: Ordered, other: Earlier[Elsewhere]) -> Reserved: ...


def same_earlier(event: Ordered, order: Earlier[Ordered]) -> Reserved: ...


@pytest.mark.parametrize(
    ("function", "word", "hint"),
    [
        (mixed, "mixes what calls the handler", "a parameter of its own"),
        (nothing_calls, "nothing calls it", "annotate a parameter"),
        (aborted_earlier, "never in the log", "in a compensation"),
        (emitted_earlier, "can't come before the handler that emits it", "drop it"),
        (plain_class_earlier, "is not an event", "decorated with @event"),
        (foreign_earlier, "is not an event of saga", "namespace"),
        (same_earlier, "both take", "fills one parameter"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_earlier_event_that_can_not_be_is_refused(
    inventory: Participant, function: Callable[..., Any], word: str, hint: str
) -> None:
    """With the place, and what to do."""
    with refused(word, hint=hint):
        inventory.action(fails=Unavailable)(function)


def test_what_a_step_did_is_not_earlier_for_its_compensation(inventory: Participant) -> None:
    """It is the result, told by its type alone."""

    @inventory.action(fails=Unavailable)
    def reserve(event: Ordered) -> Reserved: ...

    def release(event: Paid, reserved: Earlier[Reserved]) -> Released: ...

    with refused("needs no Earlier", hint="annotate it with Reserved"):
        inventory.compensation(of=reserve)(release)
