"""A rollout: the participants of a choreography are upgraded to a release one by one, while sagas are in flight.

Any saga that the old choreography may have begun is run on, with each participant upgraded at any moment,
by the same `choreo.protocol.fold_into` as in the worker.
"""
