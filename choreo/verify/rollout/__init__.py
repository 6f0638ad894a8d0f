"""A rollout: the participants of a choreography are upgraded to a release, one by one.

Any saga that the old choreography may have in flight is run on, with each participant upgraded at any moment,
by the same `choreo.protocol.fold_into` as in the worker.
"""
