"""Pictures: of a choreography's graphs, and of the stories of its sagas. Pure; no I/O here.

Each takes what it draws as data and gives text.
"""
