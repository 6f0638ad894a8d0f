"""The car rental: sets a car aside, and takes it back."""

from sqlite_utils import Database

from choreo import Context, Participant, Permanent

from .contract import CarRented, CarReturned, CarUnavailable, TripRequested, trip

PRICE = 9_900


def prepare(db: Database) -> None:
    db.execute("create table if not exists cars (model text primary key, free integer not null)")
    db.execute("create table if not exists rentals (trip_id text primary key, model text not null)")
    db.execute("insert or ignore into cars values ('compact', 100000), ('cabriolet', 0)")


car = Participant("car", sagas=[trip], prepare=prepare)


@car.action(fails=CarUnavailable)
def rent_car(event: TripRequested, ctx: Context) -> CarRented:
    taken = ctx.db.execute("update cars set free = free - 1 where model = ? and free > 0", [event.car])
    if taken.rowcount == 0:
        raise Permanent(f"no {event.car} left")
    ctx.db.execute("insert into rentals values (?, ?)", [event.trip_id, event.car])
    return CarRented(event.trip_id, PRICE)


@car.compensation(of=rent_car)
def return_car(rented: CarRented, ctx: Context) -> CarReturned:
    ctx.db.execute(
        "update cars set free = free + 1 where model = (select model from rentals where trip_id = ?)",
        [rented.trip_id],
    )
    ctx.db.execute("delete from rentals where trip_id = ?", [rented.trip_id])
    return CarReturned(rented.trip_id)
