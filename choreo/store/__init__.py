"""The databases of participants, which implement `choreo.ports.Store`.

`choreo.store.sqlite` is the embedded database.
"""
