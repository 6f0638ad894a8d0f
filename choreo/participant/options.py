"""The options of the decorators: their names, defaults and permitted values."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from choreo.errors import DeclarationError, did_you_mean
from choreo.events import is_event
from choreo.outcome import COMPENSATABLE, PIVOT, RETRIABLE, Kind
from choreo.participant.handler import Runs, Task
from choreo.retry import Retry
from choreo.saga import Versions

_VERSIONS = ("since", "until")
_KNOWN: dict[Task, tuple[str, ...]] = {
    "action": (
        "fails",
        "kind",
        "timeout",
        "retry",
        "on",
        "emits",
        "saga",
        "answer",
        "blocking",
        "partial",
        "formerly",
        *_VERSIONS,
    ),
    "compensation": ("of", "on", "retry", "ignore", "answer", "blocking"),
    "observer": ("on", "retry", "saga", "formerly", *_VERSIONS),
    "deadline": ("of", "after", "within", "retry", "saga", "formerly", *_VERSIONS),
}
_OF: dict[Task, str] = {
    "compensation": "say what it undoes: of=the action, or of=saga.start",
    "deadline": 'say which step it watches: of="payments.charge"',
}
_KINDS = (COMPENSATABLE, PIVOT, RETRIABLE)
_FIVE_MINUTES = timedelta(minutes=5)


class Options(NamedTuple):
    """The options of one declaration, each with its default; each decorator takes some of them."""

    fails: tuple[type, ...] = ()
    kind: Kind = COMPENSATABLE
    timeout: timedelta | None = None
    retry: Retry | None = None
    on: Any = None
    emits: Any = None
    saga: Any = None
    answer: Callable[..., Any] | None = None
    of: Any = None
    within: timedelta | None = None
    ignore: tuple[type[Exception], ...] = ()
    blocking: bool = False
    partial: bool | None = None
    formerly: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None

    @property
    def versions(self) -> Versions:
        """The versions of the saga that the handler is declared for."""
        return Versions(self.since or 1, self.until)


def read_options(task: Task, given: dict[str, Any]) -> Options:
    """Return the options of a decorator.

    Raises `DeclarationError` for an unknown option, and for a value of another type.

    >>> read_options("action", {"kind": "pivot"}).timeout
    datetime.timedelta(seconds=300)
    """
    _refuse_unknown(task, given)
    _refuse_type(given, "retry", Retry, "Retry(attempts=3)")
    _refuse_type(given, "timeout", timedelta, "timedelta(minutes=2)")
    if given.get("answer") is not None and not callable(given["answer"]):
        raise DeclarationError(
            f"answer={given['answer']!r} can't be called", hint="give answer=lambda event, reason: …"
        )
    _refuse_type(given, "within", timedelta, "timedelta(minutes=5)")
    _refuse_type(given, "blocking", bool, "True")
    _refuse_type(given, "partial", bool, "False")
    _refuse_bad_versions(given)
    read = {**given, "fails": _several(given, "fails"), "ignore": _several(given, "ignore")}
    read["formerly"] = _former_names(given)
    if task == "action":
        read["timeout"] = _timeout(given)
        _refuse_attempts(given)
    if task == "deadline":
        read["on"] = read.pop("after", None)
        _refuse_no_time(given)
    options = Options(**read)
    _refuse_bad_classes(options)
    return options


def where_it_runs(task: Task, function: Callable[..., Any], options: Options) -> Runs:
    """Return where a handler runs: ``async def`` and ``blocking=True`` run outside of the transaction.

    Raises `DeclarationError` for both together, and for an observer or a deadline that is a coroutine.
    """
    is_coroutine = inspect.iscoroutinefunction(function)
    if is_coroutine and task not in ("action", "compensation"):
        raise DeclarationError(
            f"an {task} runs inside the transaction" if task == "observer" else "a deadline runs inside it",
            hint="declare it with a plain def; let an action call the world",
        )
    if is_coroutine and options.blocking:
        raise DeclarationError(
            "async def runs on the event loop, blocking=True in a thread", hint="drop one of the two"
        )
    if is_coroutine:
        return "coroutine"
    return "thread" if options.blocking else "inside"


def is_partial(options: Options, task: Task, runs: Runs) -> bool:
    """Whether an attempt that raised may have had outside effects, by default true outside the transaction.

    Raises `DeclarationError` for a partial pivot, since nothing can undo it, and for a retriable action with
    ``partial=True``, since it never fails.
    """
    if task != "action" or (options.kind == RETRIABLE and not options.partial):
        return False
    if options.kind == RETRIABLE:
        raise DeclarationError(
            "a retriable action is retried until it succeeds: nothing of it is undone",
            hint="drop partial=, or choose another kind",
        )
    partial = runs != "inside" if options.partial is None else options.partial
    if partial and options.kind == PIVOT:
        raise DeclarationError(
            "a pivot has no compensation, so nothing could undo an attempt that raised halfway",
            hint="partial=False where such an attempt did nothing, or make it retriable or compensatable",
        )
    return partial and options.kind == COMPENSATABLE


def _refuse_unknown(task: Task, given: dict[str, Any]) -> None:
    for option in given:
        if task == "compensation" and option == "formerly":
            raise DeclarationError(
                "a compensation is known by its action's step, so renaming it changes nothing",
                hint="drop formerly=",
            )
        if task == "compensation" and option in _VERSIONS:
            raise DeclarationError(
                f"a compensation takes no {option}=", hint="it goes with its action: declare it there"
            )
        if option not in _KNOWN[task]:
            raise DeclarationError(
                f"unknown option {option!r}", hint=did_you_mean(option, _KNOWN[task], "options")
            )
    if task in _OF and given.get("of") is None:
        raise DeclarationError("of= is missing", hint=_OF[task])


def _refuse_bad_versions(given: dict[str, Any]) -> None:
    for option in _VERSIONS:
        value = given.get(option)
        if value is not None and (type(value) is not int or value < 1):
            raise DeclarationError(
                f"{option}={value!r} is no version of a saga",
                hint=f"1, 2, 3 and so on, as in Saga(version=…); without {option}= there is no bound",
            )
    since, until = given.get("since"), given.get("until")
    if since and until and since > until:
        raise DeclarationError(
            f"since={since} is after until={until}, so it takes part in no saga",
            hint=f"since={until}, until={since}",
        )


def _refuse_type(given: dict[str, Any], option: str, wanted: type, example: str) -> None:
    value = given.get(option)
    if value is not None and not isinstance(value, wanted):
        raise DeclarationError(
            f"{option}={value!r} is not a {wanted.__name__}", hint=f"for example {option}={example}"
        )


def _several(given: dict[str, Any], option: str) -> tuple[Any, ...]:
    """Return the value of an option, which may be one value or several, as a tuple."""
    value = given.get(option, ())
    return value if isinstance(value, tuple) else (value,)


def _former_names(given: dict[str, Any]) -> tuple[str, ...]:
    """Return the names that a function had, newest first."""
    if given.get("formerly") is None:
        return ()
    names = _several(given, "formerly")
    for name in names:
        if not (isinstance(name, str) and name.isidentifier()):
            raise DeclarationError(
                f"formerly={name!r} is not the name of a function",
                hint='the name alone, as in formerly="charge"; several newest first: ("pay", "charge")',
            )
        if names.count(name) > 1:
            raise DeclarationError(
                f"formerly: {name!r} is given twice", hint="each name once, the newest first"
            )
    return names


def _timeout(given: dict[str, Any]) -> timedelta | None:
    kind = given.get("kind", COMPENSATABLE)
    if kind not in _KINDS:
        raise DeclarationError(f"kind={kind!r} is unknown", hint=did_you_mean(kind, _KINDS, "kinds"))
    timeout: timedelta | None = given.get("timeout", None if kind == RETRIABLE else _FIVE_MINUTES)
    if timeout is not None and kind == RETRIABLE:
        raise DeclarationError(
            "a retriable action has no timeout: it is retried until it succeeds",
            hint="drop timeout=, or choose another kind",
        )
    if timeout is not None and timeout <= timedelta(0):
        raise DeclarationError(f"timeout={timeout}: must be positive", hint="None for no timeout")
    return timeout


def _refuse_attempts(given: dict[str, Any]) -> None:
    retry: Retry | None = given.get("retry")
    if given.get("kind") == RETRIABLE and retry is not None and retry.attempts is not None:
        raise DeclarationError(
            f"Retry(attempts={retry.attempts}): a retriable action is retried until it succeeds",
            hint="drop attempts=, or choose another kind; delay=, factor= and longest= say how often",
        )


def _refuse_no_time(given: dict[str, Any]) -> None:
    within = given.get("within")
    if within is None or within <= timedelta(0):
        raise DeclarationError(
            f"within={within}: a deadline needs a positive time",
            hint="for example within=timedelta(minutes=5)",
        )


def _refuse_bad_classes(options: Options) -> None:
    for cls in options.fails:
        if not is_event(cls):
            raise DeclarationError(
                f"fails={getattr(cls, '__name__', cls)} is not an event",
                hint="give a class decorated with @event, or several: fails=(A, B)",
            )
    for error in options.ignore:
        if not (isinstance(error, type) and issubclass(error, Exception)):
            raise DeclarationError(
                f"ignore={getattr(error, '__name__', error)} is not an Exception",
                hint="give a class, or several: ignore=(NotFound, Gone)",
            )
