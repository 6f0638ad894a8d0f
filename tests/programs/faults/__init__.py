"""choreo under its own fire: a fault at every point of the turn, in real processes on a real Kafka.

`cells` says what strikes where, `fault_point` strikes, `store` and `log` know the points, `site` runs the
processes of one cell, `checks` says what must be true at the end. ``python -m tests.programs.faults`` runs
the whole matrix.
"""
