"""A step waits for an event that a carrier publishes on its own topic, and not for ever."""

from datetime import timedelta

from choreo import Context, External, Participant, Saga, event


@event(namespace="parcels")
class DeliveryAsked:
    order: str


@event(namespace="parcels")
class ParcelScanned:
    order: str


@event(namespace="parcels")
class ParcelPacked:
    order: str


@event(namespace="parcels")
class NothingToPack:
    order: str
    reason: str = ""


@event(namespace="parcels")
class ParcelUnpacked:
    order: str


@event(namespace="parcels")
class OrderClosed:
    order: str


@event(namespace="parcels")
class NotClosed:
    order: str
    reason: str = ""


@event(namespace="parcels")
class DeliveryFailed:
    order: str
    reason: str = ""


@event(namespace="parcels")
class ScanTimedOut:
    order: str


delivery = Saga("delivery", starts=DeliveryAsked, completes=OrderClosed, fails=DeliveryFailed)

depot = Participant("depot", sagas=[delivery])


@depot.action(fails=NothingToPack)
def pack(event: DeliveryAsked, ctx: Context) -> ParcelPacked:
    return ParcelPacked(event.order)


@depot.compensation(of=pack)
def unpack(event: NotClosed, done: ParcelPacked, ctx: Context) -> ParcelUnpacked:
    return ParcelUnpacked(done.order)


sales = Participant("sales", sagas=[delivery])


@sales.action(kind="pivot", fails=NotClosed)
def close(parcel_packed: ParcelPacked, parcel_scanned: ParcelScanned, ctx: Context) -> OrderClosed:
    return OrderClosed(parcel_packed.order)


@sales.compensation(of=delivery.start)
def fail(event: NothingToPack | ParcelUnpacked, asked: DeliveryAsked, ctx: Context) -> DeliveryFailed:
    return DeliveryFailed(asked.order)


@sales.deadline(of="tracking.ParcelScanned", within=timedelta(minutes=1440))
def scan_is_late(event: DeliveryAsked, ctx: Context) -> ScanTimedOut:
    return ScanTimedOut(event.order)


tracking = Participant(
    "tracking",
    sagas=[delivery],
    external=[External(ParcelScanned, topic="carrier", saga_id=lambda event: event.order)],
)
