"""Looks at a deployment before it is used, or where something is wrong with it; nothing is changed.

``cluster`` says what is wrong with a cluster for one participant, ``examination`` asks the cluster and the
stores, each in a bounded time.
"""

from choreo.doctor.examination import Patient, examine

__all__ = ["Patient", "examine"]
