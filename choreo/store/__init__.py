"""A participant's database behind `choreo.ports.Store`: saga log, outbox, schedule, positions, dead letters.

`choreo.store.sqlite` is the embedded one.
"""
