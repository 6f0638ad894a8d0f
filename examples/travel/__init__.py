"""A trip: hotel, flight and car are booked in parallel, joined, and paid; or all of it is undone.

agency  TripRequested  .............  fail_trip    TripFailed
hotel   book_room      RoomBooked     cancel_room  RoomCancelled
flight  book_seat      SeatBooked     cancel_seat  SeatCancelled  (both call the airline, over HTTP)
car     rent_car       CarRented      return_car   CarReturned
agency  charge         TripPaid       (the pivot: joins all three; may fail, is never undone)
agency  send_vouchers  TripBooked     (retriable: it can't fail)

No compensation names the event that calls it: the rollback is derived from these steps. A participant in a
process of its own reads the derived triggers from `choreography.json`, which ``choreo verify --lock`` writes.

Each booking must succeed within two seconds, and the traveller can cancel until the trip is paid.
`airline.py` is no participant, but a stub of the slow external service that the flight participant calls.
"""
