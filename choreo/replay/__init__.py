"""A participant's saga log read again, in four ways.

- `choreo.replay.fold` folds every row again and compares it with what the protocol says today, and
  `choreo.replay.pending_work` says what the log leaves to be done; both are pure.
- `choreo.replay.resume` asks again for what a store has lost.
- `choreo.replay.what_if` runs today's handlers on the recorded events, in `choreo.replay.sandbox`.
- `choreo.replay.rebuild` makes a lost store anew from the topics, by `choreo.replay.topic_fold`.

None does a saga's work: what is asked for is written into the store in one transaction, and the worker
acts on it.
"""
