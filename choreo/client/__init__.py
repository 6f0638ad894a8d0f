"""The client of a participant's store, for processes other than the worker, such as a web service.

``choreo.connect`` opens a connection, which starts and cancels sagas in transactions, returns the status of
a saga, and waits for its end.
"""
