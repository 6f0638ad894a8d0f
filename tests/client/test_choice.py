"""Which saga is meant where one event starts, or cancels, several of a participant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from choreo import Aborted, Context, Participant, Saga, connect, event
from choreo.errors import ChoreoError, ConfigurationError, DeclarationError


@event(namespace="shop")
class Ordered:
    n: str


@event(namespace="shop")
class Subscribed:
    n: str


@event(namespace="shop")
class CustomerLeft:
    n: str


@event(namespace="shop")
class Delivered:
    n: str


@event(namespace="shop")
class Renewed:
    n: str


@event(namespace="shop")
class OrderFailed:
    n: str
    reason: str


@event(namespace="shop")
class RenewalFailed:
    n: str
    reason: str


order = Saga("order", starts=Ordered, completes=Delivered, fails=OrderFailed, aborts=CustomerLeft)
renewal = Saga("renewal", starts=Subscribed, completes=Renewed, fails=RenewalFailed, aborts=CustomerLeft)
gift = Saga("gift", starts=Ordered, completes=Renewed, fails=RenewalFailed, topic="gifts")
foreign = Saga("foreign", starts=Ordered, completes=Delivered, fails=OrderFailed)


def service(*sagas: Saga) -> Participant:
    """Return a participant that starts all of these sagas."""
    participant = Participant("shop", sagas=sagas)
    for saga in sagas:
        participant.compensation(of=saga.start)(failing(saga))
    return participant


def failing(saga: Saga) -> Any:
    """Return what ends a saga when it fails."""

    def fail(event: Any, ctx: Any) -> Any:
        return saga.fails(ctx.saga_id, event.reason)

    fail.__name__ = f"fail_{saga.name}"
    fail.__annotations__ = {"event": Aborted, "ctx": Context, "return": saga.fails}
    return fail


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Participant]:
    participant = service(order, renewal, gift)
    with connect(participant, tmp_path / "shop.db"):
        yield participant


def types_of(shop: Participant, saga_id: str) -> set[str]:
    return {saga.name for saga in shop.sagas if shop.status(saga_id, saga) is not None}


STARTS: list[tuple[Any, Any, str]] = [
    (Subscribed("1"), None, "renewal"),
    (Subscribed("1"), renewal, "renewal"),
    (Ordered("1"), order, "order"),
    (Ordered("1"), "order", "order"),
    (Ordered("1"), gift, "gift"),
    (Ordered("1"), "gift", "gift"),
    (Ordered("1"), None, "starts several sagas of shop: 'order', 'gift'"),
    (Subscribed("1"), order, "Subscribed starts not 'order'"),
    (Ordered("1"), foreign, "Saga('foreign') is no saga of shop"),
    (Ordered("1"), "foreign", "'foreign' is no saga of shop"),
    (Ordered("1"), 7, "7 is no saga of shop"),
    (Delivered("1"), None, "Delivered starts no saga of shop"),
]


@pytest.mark.parametrize(("event", "saga", "expected"), STARTS)
def test_a_start_names_its_saga_where_the_event_starts_several(
    shop: Participant, event: Any, saga: Any, expected: str
) -> None:
    """Nothing is guessed by the order of declaration; a refusal lists the candidates."""
    said = ""
    try:
        with shop.transaction() as tx:
            tx.start(event, "s1", saga)
    except (ConfigurationError, DeclarationError) as error:
        said = str(error)
    assert expected in (said or types_of(shop, "s1"))
    assert bool(said) != bool(types_of(shop, "s1"))


@pytest.mark.parametrize("known", [(), ("order",), ("renewal",), ("order", "renewal")])
@pytest.mark.parametrize("saga", [None, order, renewal, "renewal", gift, foreign])
def test_a_cancellation_names_its_saga_where_the_event_cancels_several(
    shop: Participant, known: tuple[str, ...], saga: Any
) -> None:
    """The id alone doesn't choose, as the one that is meant may not have started yet."""
    with shop.transaction() as tx:
        for name in known:
            tx.start({"order": Ordered, "renewal": Subscribed}[name]("1"), "s1", name)
    meant = getattr(saga, "name", saga)
    if meant not in ("order", "renewal"):
        with pytest.raises(ChoreoError, match=r"several sagas|no saga of shop|not 'gift'"):
            cancel(shop, saga)
    else:
        cancel(shop, saga)
    for each in (order, renewal):
        status = shop.status("s1", each)
        cancelled = status is not None and status.cancellation == "requested"
        assert cancelled == (each.name == meant)
        assert (status is not None) == (each.name in known or each.name == meant)


def cancel(shop: Participant, saga: Any) -> None:
    with shop.transaction() as tx:
        tx.cancel("s1", CustomerLeft("1"), saga)


def test_an_id_of_several_sagas_is_asked_for_by_type(shop: Participant) -> None:
    """Or by its name; a saga that isn't the participant's is refused, not unknown."""
    with shop.transaction() as tx:
        tx.start(Ordered("1"), "s1", order)
        tx.start(Subscribed("1"), "s1")
    for ask in (shop.status, lambda *asked: shop.wait(asked[0], timedelta(0), *asked[1:])):
        with pytest.raises(ConfigurationError, match="order, renewal"):
            ask("s1")
        for saga in (order, "order"):
            status = ask("s1", saga)
            assert status is not None
            assert status.saga_type == "order"
        with pytest.raises(ConfigurationError, match="no saga of shop"):
            ask("s1", foreign)


def test_in_the_test_kit_too() -> None:
    """Where the harness finds the participant, and the saga has to be named all the same."""
    from choreo.testing import Harness

    with Harness([service(order, renewal)]) as harness:
        harness.start(Ordered("1"), "s1")
        harness.start(Subscribed("1"), "s1", "renewal")
        with pytest.raises(ConfigurationError, match="several sagas"):
            harness.cancel("s1", CustomerLeft("1"))
        harness.cancel("s1", CustomerLeft("1"), renewal)
        harness.run()
        assert ("renewal", "s1") in harness.sagas()
