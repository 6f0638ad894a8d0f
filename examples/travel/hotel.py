"""The hotel: keeps a room, and gives it free again."""

from sqlite_utils import Database

from choreo import Context, Participant, Permanent

from .contract import RoomBooked, RoomCancelled, RoomUnavailable, TripRequested, trip

PRICE = 20_000


def prepare(db: Database) -> None:
    db.execute("create table if not exists rooms (hotel text primary key, free integer not null)")
    db.execute("create table if not exists stays (trip_id text primary key, hotel text not null)")
    db.execute("insert or ignore into rooms values ('Grand', 100000), ('Seaview', 0)")


hotel = Participant("hotel", sagas=[trip], prepare=prepare)


@hotel.action(fails=RoomUnavailable)
def book_room(event: TripRequested, ctx: Context) -> RoomBooked:
    taken = ctx.db.execute("update rooms set free = free - 1 where hotel = ? and free > 0", [event.hotel])
    if taken.rowcount == 0:
        raise Permanent(f"no room free in the {event.hotel}")
    ctx.db.execute("insert into stays values (?, ?)", [event.trip_id, event.hotel])
    return RoomBooked(event.trip_id, PRICE)


@hotel.compensation(of=book_room)
def cancel_room(booked: RoomBooked, ctx: Context) -> RoomCancelled:
    ctx.db.execute(
        "update rooms set free = free + 1 where hotel = (select hotel from stays where trip_id = ?)",
        [booked.trip_id],
    )
    ctx.db.execute("delete from stays where trip_id = ?", [booked.trip_id])
    return RoomCancelled(booked.trip_id)
