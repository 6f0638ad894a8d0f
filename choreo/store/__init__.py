"""The databases of participants, which implement `choreo.ports.Store`.

`choreo.store.sqlite` is the embedded database, `choreo.store.postgresql` a server's. What both have in common
is beside them: the statements, which a dialect spells, the rows that a turn holds back, the heads of chains.
"""
