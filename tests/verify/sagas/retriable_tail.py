"""After the point of no return, one thing after the other until it is done."""

from choreo import Context, Participant, Saga, event


@event(namespace="school")
class PlaceAsked:
    pupil: str


@event(namespace="school")
class PlaceKept:
    pupil: str


@event(namespace="school")
class SchoolFull:
    pupil: str
    reason: str = ""


@event(namespace="school")
class PlaceFreed:
    pupil: str


@event(namespace="school")
class FeePaid:
    pupil: str


@event(namespace="school")
class FeeNotPaid:
    pupil: str
    reason: str = ""


@event(namespace="school")
class CardMade:
    pupil: str


@event(namespace="school")
class MealsPlanned:
    pupil: str


@event(namespace="school")
class PupilWelcomed:
    pupil: str


@event(namespace="school")
class PlaceDenied:
    pupil: str
    reason: str = ""


enrolment = Saga("enrolment", starts=PlaceAsked, completes=PupilWelcomed, fails=PlaceDenied)

office = Participant("office", sagas=[enrolment])


@office.action(fails=SchoolFull)
def keep_place(event: PlaceAsked, ctx: Context) -> PlaceKept:
    return PlaceKept(event.pupil)


@office.compensation(of=keep_place)
def free_place(event: FeeNotPaid, done: PlaceKept, ctx: Context) -> PlaceFreed:
    return PlaceFreed(done.pupil)


@office.action(kind="retriable")
def welcome(event: MealsPlanned, ctx: Context) -> PupilWelcomed:
    return PupilWelcomed(event.pupil)


@office.compensation(of=enrolment.start)
def deny(event: SchoolFull | PlaceFreed, asked: PlaceAsked, ctx: Context) -> PlaceDenied:
    return PlaceDenied(asked.pupil)


cashier = Participant("cashier", sagas=[enrolment])


@cashier.action(kind="pivot", fails=FeeNotPaid)
def take_fee(event: PlaceKept, ctx: Context) -> FeePaid:
    return FeePaid(event.pupil)


library = Participant("library", sagas=[enrolment])


@library.action(kind="retriable")
def make_card(event: FeePaid, ctx: Context) -> CardMade:
    return CardMade(event.pupil)


canteen = Participant("canteen", sagas=[enrolment])


@canteen.action(kind="retriable")
def add(event: CardMade, ctx: Context) -> MealsPlanned:
    return MealsPlanned(event.pupil)
