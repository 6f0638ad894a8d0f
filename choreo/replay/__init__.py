"""A saga log read again: folded and compared, resumed, tried with today's code, rebuilt from the topics.

`choreo.replay.fold` compares every row of a saga's log with what the protocol gives today; it and
`choreo.replay.pending_work` are pure. The other modes act on it, above `choreo.worker`, whose parts they use:
`choreo.replay.resume` asks for what a store has lost, `choreo.replay.what_if` runs today's handlers on the
recorded inputs, `choreo.replay.rebuild` makes a lost store anew. None does a saga's work: what is asked for
is written into the store in one transaction, and the worker acts on it.
"""
