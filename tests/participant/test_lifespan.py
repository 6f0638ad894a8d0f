"""The declaration of a lifespan: one async function that yields, or a refusal that names it and its place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial, wraps
from typing import Any

import pytest

from choreo import Context, DeclarationError, Participant
from choreo.errors import TransactionControl
from tests.participant.shop import shopping


async def _yields() -> AsyncIterator[str]:
    yield "client"


async def _has_default(address: str = "http://provider", *more: str, **options: str) -> AsyncIterator[str]:
    yield address


async def _needs(address: str) -> AsyncIterator[str]:
    yield address


async def _returns() -> str:
    return "client"


def _blocks() -> Iterator[str]:
    yield "client"


def _wrapped() -> Callable[[], Any]:
    @wraps(_yields)
    def wrapper() -> Any:
        return asynccontextmanager(_yields)()

    return wrapper


class Client:
    """A context manager, not a function."""

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *raised: object) -> None: ...


@pytest.mark.parametrize("function", [_yields, asynccontextmanager(_yields), _has_default, _wrapped()])
def test_it_is_the_factory_of_a_context_manager(function: Any) -> None:
    participant = Participant("shop", sagas=[shopping])
    assert participant.opens is None
    assert participant.lifespan(function) is function
    assert participant.opens is not None
    assert hasattr(participant.opens(), "__aenter__")
    assert participant.with_handlers(()).opens is participant.opens


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (_needs, "parameter 'address' has no value"),
        (_returns, "not an async function that yields"),
        (_blocks, "not an async function that yields"),
        (contextmanager(_blocks), "not an async function that yields"),
        (Client, "not an async function that yields"),
        (Client(), "not an async function that yields"),
        (partial(_returns), "not an async function that yields"),
        (None, "not an async function that yields"),
        ("client", "not an async function that yields"),
    ],
)
def test_anything_else_is_refused(function: Any, why: str) -> None:
    participant = Participant("shop", sagas=[shopping])
    with pytest.raises(DeclarationError, match=why) as raised:
        participant.lifespan(function)
    assert "test_lifespan.py:" in raised.value.message
    assert raised.value.hint
    assert participant.opens is None


def test_a_second_one_is_refused() -> None:
    participant = Participant("shop", sagas=[shopping])
    participant.lifespan(_yields)
    with pytest.raises(DeclarationError, match="shop has one already, _yields"):
        participant.lifespan(_has_default)


def test_a_handler_without_one_is_told_so() -> None:
    """A unit test of a handler passes its own."""
    ctx = Context("o-1", "shop.pack", "action", db=None, attempt=1, time_ms=0)  # type: ignore[arg-type]
    with pytest.raises(TransactionControl, match=r"ctx\.shared\.get is used where nothing is shared"):
        ctx.shared.get("http://provider")
    ctx = Context("o-1", "shop.pack", "action", None, 1, 0, shared="client")  # type: ignore[arg-type]
    assert ctx.shared == "client"
