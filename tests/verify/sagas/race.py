"""Two offers are asked for at once; the first that comes is taken, and nothing final follows."""

from choreo import Aborted, Context, Participant, Saga, all_of, event


@event(namespace="market")
class QuoteWanted:
    need: str


@event(namespace="market")
class NorthOffered:
    need: str


@event(namespace="market")
class NorthSilent:
    need: str
    reason: str = ""


@event(namespace="market")
class NorthWithdrawn:
    need: str


@event(namespace="market")
class SouthOffered:
    need: str


@event(namespace="market")
class SouthSilent:
    need: str
    reason: str = ""


@event(namespace="market")
class SouthWithdrawn:
    need: str


@event(namespace="market")
class QuoteTaken:
    need: str


@event(namespace="market")
class NotTaken:
    need: str
    reason: str = ""


@event(namespace="market")
class OfferReturned:
    need: str


@event(namespace="market")
class QuoteNotFound:
    need: str
    reason: str = ""


quote = Saga("quote", starts=QuoteWanted, completes=QuoteTaken, fails=QuoteNotFound)

north = Participant("north", sagas=[quote])


@north.action(fails=NorthSilent)
def offer_north(event: QuoteWanted, ctx: Context) -> NorthOffered:
    return NorthOffered(event.need)


@north.compensation(of=offer_north)
def withdraw_north(event: NotTaken | OfferReturned, done: NorthOffered, ctx: Context) -> NorthWithdrawn:
    return NorthWithdrawn(done.need)


south = Participant("south", sagas=[quote])


@south.action(fails=SouthSilent)
def offer_south(event: QuoteWanted, ctx: Context) -> SouthOffered:
    return SouthOffered(event.need)


@south.compensation(of=offer_south)
def withdraw_south(event: NotTaken | OfferReturned, done: SouthOffered, ctx: Context) -> SouthWithdrawn:
    return SouthWithdrawn(done.need)


buyer = Participant("buyer", sagas=[quote])


@buyer.action(fails=NotTaken)
def take(event: NorthOffered | SouthOffered, ctx: Context) -> QuoteTaken:
    return QuoteTaken(event.need)


@buyer.compensation(of=take)
def give_back(event: Aborted, done: QuoteTaken, ctx: Context) -> OfferReturned:
    return OfferReturned(done.need)


@buyer.compensation(of=quote.start, on=all_of(NorthSilent | NorthWithdrawn, SouthSilent | SouthWithdrawn))
def stop(asked: QuoteWanted, ctx: Context) -> QuoteNotFound:
    return QuoteNotFound(asked.need)
