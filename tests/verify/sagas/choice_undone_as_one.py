"""One compensation for both events of a choice."""

from choreo import Context, Participant, Saga, event


@event(namespace="post")
class ParcelBrought:
    parcel: str


@event(namespace="post")
class HeavyParcel:
    parcel: str


@event(namespace="post")
class LightParcel:
    parcel: str


@event(namespace="post")
class NotWeighed:
    parcel: str
    reason: str = ""


@event(namespace="post")
class ParcelUnstamped:
    parcel: str


@event(namespace="post")
class VanLoaded:
    parcel: str


@event(namespace="post")
class VanFull:
    parcel: str
    reason: str = ""


@event(namespace="post")
class VanUnloaded:
    parcel: str


@event(namespace="post")
class BikeLoaded:
    parcel: str


@event(namespace="post")
class BikeFull:
    parcel: str
    reason: str = ""


@event(namespace="post")
class BikeUnloaded:
    parcel: str


@event(namespace="post")
class ParcelDelivered:
    parcel: str


@event(namespace="post")
class NobodyHome:
    parcel: str
    reason: str = ""


@event(namespace="post")
class ParcelReturned:
    parcel: str
    reason: str = ""


parcel = Saga("parcel", starts=ParcelBrought, completes=ParcelDelivered, fails=ParcelReturned)

counter = Participant("counter", sagas=[parcel])


@counter.action(fails=NotWeighed)
def weigh(event: ParcelBrought, ctx: Context) -> HeavyParcel | LightParcel:
    if event.parcel.startswith("a"):
        return HeavyParcel(event.parcel)
    return LightParcel(event.parcel)


@counter.compensation(of=weigh)
def unstamp(
    event: VanFull | VanUnloaded | BikeFull | BikeUnloaded, done: HeavyParcel | LightParcel, ctx: Context
) -> ParcelUnstamped:
    return ParcelUnstamped(done.parcel)


@counter.compensation(of=parcel.start)
def give_back(event: NotWeighed | ParcelUnstamped, asked: ParcelBrought, ctx: Context) -> ParcelReturned:
    return ParcelReturned(asked.parcel)


van = Participant("van", sagas=[parcel])


@van.action(fails=VanFull)
def load_van(event: HeavyParcel, ctx: Context) -> VanLoaded:
    return VanLoaded(event.parcel)


@van.compensation(of=load_van)
def unload_van(event: NobodyHome, done: VanLoaded, ctx: Context) -> VanUnloaded:
    return VanUnloaded(done.parcel)


bike = Participant("bike", sagas=[parcel])


@bike.action(fails=BikeFull)
def load_bike(event: LightParcel, ctx: Context) -> BikeLoaded:
    return BikeLoaded(event.parcel)


@bike.compensation(of=load_bike)
def unload_bike(event: NobodyHome, done: BikeLoaded, ctx: Context) -> BikeUnloaded:
    return BikeUnloaded(done.parcel)


courier = Participant("courier", sagas=[parcel])


@courier.action(kind="pivot", fails=NobodyHome)
def deliver(event: VanLoaded | BikeLoaded, ctx: Context) -> ParcelDelivered:
    return ParcelDelivered(event.parcel)
