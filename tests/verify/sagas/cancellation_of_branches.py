"""A cancellation unwinds each branch from wherever it stands."""

from choreo import Context, Participant, Saga, event


@event(namespace="club")
class PartyPlanned:
    party: str


@event(namespace="club")
class BarStocked:
    party: str


@event(namespace="club")
class NoDrinks:
    party: str
    reason: str = ""


@event(namespace="club")
class BarCleared:
    party: str


@event(namespace="club")
class MusicBooked:
    party: str


@event(namespace="club")
class NoMusic:
    party: str
    reason: str = ""


@event(namespace="club")
class MusicUnbooked:
    party: str


@event(namespace="club")
class SoundTested:
    party: str


@event(namespace="club")
class SoundBad:
    party: str
    reason: str = ""


@event(namespace="club")
class SoundStopped:
    party: str


@event(namespace="club")
class PartyOpened:
    party: str


@event(namespace="club")
class PartyShut:
    party: str
    reason: str = ""


@event(namespace="club")
class PartyOff:
    party: str
    reason: str = ""


@event(namespace="club")
class PartyCancelled:
    party: str


party = Saga("party", starts=PartyPlanned, completes=PartyOpened, fails=PartyOff, aborts=PartyCancelled)

bar = Participant("bar", sagas=[party])


@bar.action(fails=NoDrinks)
def stock(event: PartyPlanned, ctx: Context) -> BarStocked:
    return BarStocked(event.party)


@bar.compensation(of=stock)
def clear(done: BarStocked, ctx: Context) -> BarCleared:
    return BarCleared(done.party)


music = Participant("music", sagas=[party])


@music.action(fails=NoMusic)
def book(event: PartyPlanned, ctx: Context) -> MusicBooked:
    return MusicBooked(event.party)


@music.compensation(of=book)
def unbook(done: MusicBooked, ctx: Context) -> MusicUnbooked:
    return MusicUnbooked(done.party)


@music.action(fails=SoundBad)
def test(event: MusicBooked, ctx: Context) -> SoundTested:
    return SoundTested(event.party)


@music.compensation(of=test)
def stop(done: SoundTested, ctx: Context) -> SoundStopped:
    return SoundStopped(done.party)


host = Participant("host", sagas=[party])


@host.action(kind="pivot", fails=PartyShut)
def open(bar_stocked: BarStocked, sound_tested: SoundTested, ctx: Context) -> PartyOpened:
    return PartyOpened(bar_stocked.party)


@host.compensation(of=party.start)
def call_off(asked: PartyPlanned, ctx: Context) -> PartyOff:
    return PartyOff(asked.party)
