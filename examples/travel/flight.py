"""The flight desk: books seats with a slow external airline, and stores nothing itself.

The environment has the airline's address: ``AIRLINE=host:port``. In the demo that is `airline.py`; a test
replaces `ask` by a stub.
"""

import asyncio
import os
from datetime import timedelta
from urllib.parse import quote

from choreo import Context, Participant, Retry

from .contract import SeatBooked, SeatCancelled, SeatUnavailable, TripRequested, trip

PRICE = 35_000

flight = Participant("flight", sagas=[trip], retry=Retry(attempts=3, delay=timedelta(milliseconds=100)))


@flight.action(fails=SeatUnavailable, timeout=timedelta(seconds=30))
async def book_seat(event: TripRequested, ctx: Context) -> SeatBooked | SeatUnavailable:
    # The booking's name is the saga's id, so that repeated requests book one seat.
    status = await ask("PUT", f"/bookings/{quote(ctx.saga_id, safe='')}/{quote(event.flight, safe='')}")
    if status == 201:
        return SeatBooked(event.trip_id, PRICE)
    return SeatUnavailable(event.trip_id, f"no seat left on {event.flight}")  # returned: nothing was done


@flight.compensation(of=book_seat)
async def cancel_seat(booked: SeatBooked | None, ctx: Context) -> SeatCancelled:
    # Without `booked` there may be a booking, as an answer of the airline may have been lost.
    await ask("DELETE", f"/bookings/{quote(ctx.saga_id, safe='')}")
    return SeatCancelled(ctx.saga_id)


async def ask(method: str, path: str) -> int:
    """Send a request to the airline, and return the status, as one line with an HTTP client would.

    Raises `ConnectionError` where there is no answer, or a temporary error (5xx).
    """
    host, _, port = os.environ["AIRLINE"].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = (await reader.readline()).split()
    finally:
        writer.close()
    if len(answer) < 2 or int(answer[1]) >= 500:
        raise ConnectionError("the airline does not answer")
    return int(answer[1])
