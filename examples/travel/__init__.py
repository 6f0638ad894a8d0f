"""A trip: hotel, flight and car are booked in parallel, joined, and paid; or all of it is undone.

agency  TripRequested  .............  fail_trip    TripFailed
hotel   book_room      RoomBooked     cancel_room  RoomCancelled
flight  book_seat      SeatBooked     cancel_seat  SeatCancelled  (both call the airline, over HTTP)
car     rent_car       CarRented      return_car   CarReturned
agency  charge         TripPaid       (the pivot: joins all three; may fail, is never undone)
agency  send_vouchers  TripBooked     (retriable: it can't fail)

No compensation says what calls it: that follows from the steps above. A participant that runs alone finds it
in `choreography.json`, which ``choreo verify --lock`` writes.

The agency gives each of the three two seconds, and lets the traveller cancel until the trip is paid.
`airline.py` is the slow airline that the flight participant calls: no participant, a stub of the world.
"""
