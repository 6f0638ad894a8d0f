"""The last step needs what the first event said, and nobody passes it on."""

from choreo import Context, Earlier, Participant, Saga, event


@event(namespace="shop")
class GiftOrdered:
    gift: str


@event(namespace="shop")
class GiftWrapped:
    gift: str


@event(namespace="shop")
class NoPaper:
    gift: str
    reason: str = ""


@event(namespace="shop")
class GiftUnwrapped:
    gift: str


@event(namespace="shop")
class GiftSent:
    gift: str


@event(namespace="shop")
class NotSent:
    gift: str
    reason: str = ""


@event(namespace="shop")
class GiftOff:
    gift: str
    reason: str = ""


gift = Saga("gift", starts=GiftOrdered, completes=GiftSent, fails=GiftOff)

wrapping = Participant("wrapping", sagas=[gift])


@wrapping.action(fails=NoPaper)
def wrap(event: GiftOrdered, ctx: Context) -> GiftWrapped:
    return GiftWrapped(event.gift)


@wrapping.compensation(of=wrap)
def unwrap(event: NotSent, done: GiftWrapped, ctx: Context) -> GiftUnwrapped:
    return GiftUnwrapped(done.gift)


@wrapping.compensation(of=gift.start)
def stop(event: NoPaper | GiftUnwrapped, asked: GiftOrdered, ctx: Context) -> GiftOff:
    return GiftOff(asked.gift)


post = Participant("post", sagas=[gift])


@post.action(kind="pivot", fails=NotSent)
def send(event: GiftWrapped, earlier: Earlier[GiftOrdered], ctx: Context) -> GiftSent:
    return GiftSent(earlier.gift)
