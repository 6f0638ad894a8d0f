"""The agency: takes the request, waits for hotel, flight and car, and takes the money."""

from datetime import timedelta

from sqlite_utils import Database

from choreo import Context, Participant, Permanent, all_of

from .contract import (
    CarRented,
    CarTimedOut,
    RoomBooked,
    RoomTimedOut,
    SeatBooked,
    SeatTimedOut,
    TripBooked,
    TripCancelled,
    TripFailed,
    TripNotPaid,
    TripPaid,
    TripRequested,
    trip,
)

PATIENCE = timedelta(seconds=2)


def prepare(db: Database) -> None:
    db.execute(
        "create table if not exists trips"
        " (trip_id text primary key, traveller text not null, status text not null, paid integer not null)"
    )
    db.execute("create table if not exists purses (traveller text primary key, money integer not null)")
    db.execute("insert or ignore into purses values ('ada', 100000000), ('bob', 100)")


agency = Participant("agency", sagas=[trip], prepare=prepare)


def request_trip(request: TripRequested) -> str:
    """Write the request down and start its saga, in one transaction; the trip's id is the saga's."""
    with agency.transaction() as tx:
        tx.db.execute("insert into trips values (?, ?, 'requested', 0)", [request.trip_id, request.traveller])
        return tx.start(request, saga_id=request.trip_id)


def cancel_trip(trip_id: str) -> None:
    """Cancel a trip, so that its bookings are undone; once it is paid, nothing happens."""
    with agency.transaction() as tx:
        tx.cancel(trip_id, TripCancelled(trip_id))


# choreo: ignore[CHO303] whoever books gives up before the providers do
@agency.deadline(of="hotel.book_room", within=PATIENCE)
def room_is_late(event: TripRequested, ctx: Context) -> RoomTimedOut:
    return RoomTimedOut(event.trip_id)


# choreo: ignore[CHO303] whoever books gives up before the providers do
@agency.deadline(of="flight.book_seat", within=PATIENCE)
def seat_is_late(event: TripRequested, ctx: Context) -> SeatTimedOut:
    return SeatTimedOut(event.trip_id)


# choreo: ignore[CHO303] whoever books gives up before the providers do
@agency.deadline(of="car.rent_car", within=PATIENCE)
def car_is_late(event: TripRequested, ctx: Context) -> CarTimedOut:
    return CarTimedOut(event.trip_id)


@agency.action(kind="pivot", fails=TripNotPaid, on=all_of(RoomBooked, SeatBooked, CarRented))
def charge(room: RoomBooked, seat: SeatBooked, car: CarRented, ctx: Context) -> TripPaid:
    total = room.price + seat.price + car.price
    paid = ctx.db.execute(
        "update purses set money = money - :total where money >= :total"
        " and traveller = (select traveller from trips where trip_id = :trip_id)",
        {"total": total, "trip_id": room.trip_id},
    )
    if paid.rowcount == 0:
        raise Permanent("not enough money")
    ctx.db.execute("update trips set paid = ? where trip_id = ?", [total, room.trip_id])
    return TripPaid(room.trip_id, total)


@agency.action(kind="retriable")
def send_vouchers(event: TripPaid, ctx: Context) -> TripBooked:
    ctx.db.execute("update trips set status = 'booked' where trip_id = ?", [event.trip_id])
    return TripBooked(event.trip_id)


@agency.compensation(of=trip.start)
def fail_trip(requested: TripRequested, ctx: Context) -> TripFailed:
    ctx.db.execute("update trips set status = 'failed' where trip_id = ?", [requested.trip_id])
    return TripFailed(requested.trip_id)
