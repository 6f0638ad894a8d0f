"""Two joins, and a join of what they give."""

from choreo import Context, Participant, Saga, event


@event(namespace="stage")
class ConcertBooked:
    show: str


@event(namespace="stage")
class SetRehearsed:
    show: str


@event(namespace="stage")
class BandSplit:
    show: str
    reason: str = ""


@event(namespace="stage")
class BandRested:
    show: str


@event(namespace="stage")
class StageLit:
    show: str


@event(namespace="stage")
class LampsBroken:
    show: str
    reason: str = ""


@event(namespace="stage")
class StageDark:
    show: str


@event(namespace="stage")
class SoundReady:
    show: str


@event(namespace="stage")
class NoSound:
    show: str
    reason: str = ""


@event(namespace="stage")
class SoundOff:
    show: str


@event(namespace="stage")
class TicketsSold:
    show: str


@event(namespace="stage")
class NobodyBuys:
    show: str
    reason: str = ""


@event(namespace="stage")
class TicketsRefunded:
    show: str


@event(namespace="stage")
class SoundChecked:
    show: str


@event(namespace="stage")
class SoundBad:
    show: str
    reason: str = ""


@event(namespace="stage")
class BandPacked:
    show: str


@event(namespace="stage")
class DoorsOpen:
    show: str


@event(namespace="stage")
class DoorsStuck:
    show: str
    reason: str = ""


@event(namespace="stage")
class DoorsShut:
    show: str


@event(namespace="stage")
class ConcertPlayed:
    show: str


@event(namespace="stage")
class ConcertSilent:
    show: str
    reason: str = ""


@event(namespace="stage")
class ConcertCancelled:
    show: str
    reason: str = ""


concert = Saga("concert", starts=ConcertBooked, completes=ConcertPlayed, fails=ConcertCancelled)

band = Participant("band", sagas=[concert])


@band.action(fails=BandSplit)
def rehearse(event: ConcertBooked, ctx: Context) -> SetRehearsed:
    return SetRehearsed(event.show)


@band.compensation(of=rehearse)
def rest(done: SetRehearsed, ctx: Context) -> BandRested:
    return BandRested(done.show)


@band.action(fails=SoundBad)
def soundcheck(set_rehearsed: SetRehearsed, sound_ready: SoundReady, ctx: Context) -> SoundChecked:
    return SoundChecked(set_rehearsed.show)


@band.compensation(of=soundcheck)
def pack(done: SoundChecked, ctx: Context) -> BandPacked:
    return BandPacked(done.show)


@band.action(kind="pivot", fails=ConcertSilent)
def play(sound_checked: SoundChecked, doors_open: DoorsOpen, ctx: Context) -> ConcertPlayed:
    return ConcertPlayed(sound_checked.show)


hall = Participant("hall", sagas=[concert])


@hall.action(fails=LampsBroken)
def light(event: ConcertBooked, ctx: Context) -> StageLit:
    return StageLit(event.show)


@hall.compensation(of=light)
def darken(done: StageLit, ctx: Context) -> StageDark:
    return StageDark(done.show)


@hall.action(fails=NoSound)
def amplify(event: ConcertBooked, ctx: Context) -> SoundReady:
    return SoundReady(event.show)


@hall.compensation(of=amplify)
def mute(done: SoundReady, ctx: Context) -> SoundOff:
    return SoundOff(done.show)


@hall.compensation(of=concert.start)
def cancel(asked: ConcertBooked, ctx: Context) -> ConcertCancelled:
    return ConcertCancelled(asked.show)


door = Participant("door", sagas=[concert])


@door.action(fails=NobodyBuys)
def sell(event: ConcertBooked, ctx: Context) -> TicketsSold:
    return TicketsSold(event.show)


@door.compensation(of=sell)
def refund(done: TicketsSold, ctx: Context) -> TicketsRefunded:
    return TicketsRefunded(done.show)


@door.action(fails=DoorsStuck)
def open(stage_lit: StageLit, tickets_sold: TicketsSold, ctx: Context) -> DoorsOpen:
    return DoorsOpen(stage_lit.show)


@door.compensation(of=open)
def shut(done: DoorsOpen, ctx: Context) -> DoorsShut:
    return DoorsShut(done.show)
