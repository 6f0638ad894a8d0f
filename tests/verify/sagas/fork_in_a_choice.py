"""A choice, one way of which forks and joins."""

from choreo import Context, Participant, Saga, event


@event(namespace="hall")
class WeddingPlanned:
    couple: str


@event(namespace="hall")
class BigWedding:
    couple: str


@event(namespace="hall")
class SmallWedding:
    couple: str


@event(namespace="hall")
class Undecided:
    couple: str
    reason: str = ""


@event(namespace="hall")
class BigDropped:
    couple: str


@event(namespace="hall")
class SmallDropped:
    couple: str


@event(namespace="hall")
class CookHired:
    couple: str


@event(namespace="hall")
class CookBusy:
    couple: str
    reason: str = ""


@event(namespace="hall")
class CookDismissed:
    couple: str


@event(namespace="hall")
class BandHired:
    couple: str


@event(namespace="hall")
class BandBusy:
    couple: str
    reason: str = ""


@event(namespace="hall")
class BandDismissed:
    couple: str


@event(namespace="hall")
class GuestsSeated:
    couple: str


@event(namespace="hall")
class TooManyGuests:
    couple: str
    reason: str = ""


@event(namespace="hall")
class GuestsUnseated:
    couple: str


@event(namespace="hall")
class WeddingHeld:
    couple: str


@event(namespace="hall")
class SaidNo:
    couple: str
    reason: str = ""


@event(namespace="hall")
class WeddingOff:
    couple: str
    reason: str = ""


wedding = Saga("wedding", starts=WeddingPlanned, completes=WeddingHeld, fails=WeddingOff)

planner = Participant("planner", sagas=[wedding])


@planner.action(fails=Undecided)
def choose(event: WeddingPlanned, ctx: Context) -> BigWedding | SmallWedding:
    if event.couple.startswith("a"):
        return BigWedding(event.couple)
    return SmallWedding(event.couple)


@planner.compensation(of=choose)
def drop_big(done: BigWedding, ctx: Context) -> BigDropped:
    return BigDropped(done.couple)


@planner.compensation(of=choose)
def drop_small(done: SmallWedding, ctx: Context) -> SmallDropped:
    return SmallDropped(done.couple)


@planner.compensation(of=wedding.start)
def call_off(asked: WeddingPlanned, ctx: Context) -> WeddingOff:
    return WeddingOff(asked.couple)


cook = Participant("cook", sagas=[wedding])


@cook.action(fails=CookBusy)
def hire_cook(event: BigWedding, ctx: Context) -> CookHired:
    return CookHired(event.couple)


@cook.compensation(of=hire_cook)
def dismiss_cook(done: CookHired, ctx: Context) -> CookDismissed:
    return CookDismissed(done.couple)


band = Participant("band", sagas=[wedding])


@band.action(fails=BandBusy)
def hire_band(event: BigWedding, ctx: Context) -> BandHired:
    return BandHired(event.couple)


@band.compensation(of=hire_band)
def dismiss_band(done: BandHired, ctx: Context) -> BandDismissed:
    return BandDismissed(done.couple)


usher = Participant("usher", sagas=[wedding])


@usher.action(fails=TooManyGuests)
def seat(cook_hired: CookHired, band_hired: BandHired, ctx: Context) -> GuestsSeated:
    return GuestsSeated(cook_hired.couple)


@usher.compensation(of=seat)
def unseat(done: GuestsSeated, ctx: Context) -> GuestsUnseated:
    return GuestsUnseated(done.couple)


registrar = Participant("registrar", sagas=[wedding])


@registrar.action(kind="pivot", fails=SaidNo)
def marry(event: GuestsSeated | SmallWedding, ctx: Context) -> WeddingHeld:
    return WeddingHeld(event.couple)
