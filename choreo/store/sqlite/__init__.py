"""A participant's database: saga log, outbox, schedule, positions and dead letters, in one SQLite file.

It may be the file in which the service keeps its own tables, so that a handler's rows and choreo's are
committed together. `choreo.store.sqlite.store` is the store of a worker and of its clients;
`choreo.store.sqlite.reader` reads one beside them.
"""
