"""Three branches; the rollback is left to the choreography."""

from choreo import Context, Participant, Saga, event


@event(namespace="events")
class ConferencePlanned:
    event_id: str


@event(namespace="events")
class HallRented:
    event_id: str


@event(namespace="events")
class HallTaken:
    event_id: str
    reason: str = ""


@event(namespace="events")
class HallGivenBack:
    event_id: str


@event(namespace="events")
class MealsOrdered:
    event_id: str


@event(namespace="events")
class CatererBusy:
    event_id: str
    reason: str = ""


@event(namespace="events")
class MealsCancelled:
    event_id: str


@event(namespace="events")
class SpeakersInvited:
    event_id: str


@event(namespace="events")
class NobodyComes:
    event_id: str
    reason: str = ""


@event(namespace="events")
class SpeakersDisinvited:
    event_id: str


@event(namespace="events")
class ConferenceOpened:
    event_id: str


@event(namespace="events")
class NotAnnounced:
    event_id: str
    reason: str = ""


@event(namespace="events")
class ConferenceOff:
    event_id: str
    reason: str = ""


conference = Saga("conference", starts=ConferencePlanned, completes=ConferenceOpened, fails=ConferenceOff)

hall = Participant("hall", sagas=[conference])


@hall.action(fails=HallTaken)
def rent(event: ConferencePlanned, ctx: Context) -> HallRented:
    return HallRented(event.event_id)


@hall.compensation(of=rent)
def give_back(done: HallRented, ctx: Context) -> HallGivenBack:
    return HallGivenBack(done.event_id)


caterer = Participant("caterer", sagas=[conference])


@caterer.action(fails=CatererBusy)
def order(event: ConferencePlanned, ctx: Context) -> MealsOrdered:
    return MealsOrdered(event.event_id)


@caterer.compensation(of=order)
def cancel(done: MealsOrdered, ctx: Context) -> MealsCancelled:
    return MealsCancelled(done.event_id)


speakers = Participant("speakers", sagas=[conference])


@speakers.action(fails=NobodyComes)
def invite(event: ConferencePlanned, ctx: Context) -> SpeakersInvited:
    return SpeakersInvited(event.event_id)


@speakers.compensation(of=invite)
def disinvite(done: SpeakersInvited, ctx: Context) -> SpeakersDisinvited:
    return SpeakersDisinvited(done.event_id)


chair = Participant("chair", sagas=[conference])


@chair.action(kind="pivot", fails=NotAnnounced)
def announce(
    hall_rented: HallRented, meals_ordered: MealsOrdered, speakers_invited: SpeakersInvited, ctx: Context
) -> ConferenceOpened:
    return ConferenceOpened(hall_rented.event_id)


@chair.compensation(of=conference.start)
def call_off(asked: ConferencePlanned, ctx: Context) -> ConferenceOff:
    return ConferenceOff(asked.event_id)
