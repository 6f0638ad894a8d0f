"""Replays the saga log of a participant: checks a store, resumes sagas, tries new code, rebuilds a store.

- `choreo.replay.fold` folds every row again and compares it with what the protocol says today, and
  `choreo.replay.pending_work` returns the work that the log leaves to be done; both are pure.
- `choreo.replay.resume` puts back into a store the work and events that it has lost.
- `choreo.replay.what_if` runs today's handlers on the recorded events, in `choreo.replay.sandbox`.
- `choreo.replay.rebuild` rebuilds a lost store from the topics, by `choreo.replay.topic_fold`.

None of them does the work of a saga: pending work is written into the store in one transaction, and the
worker does it.
"""
