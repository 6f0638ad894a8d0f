"""The tests of `choreo.kafka`, and of the log in memory beside it."""
