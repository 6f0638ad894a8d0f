"""A participant's database in PostgreSQL: its tables stand in the schema ``choreo``, beside the service's.

`choreo.store.postgresql.store` is the store of a worker and of its clients, `choreo.store.postgresql.schema`
makes its tables. The package needs psycopg 3 (``choreo-saga[postgresql]``).
"""
