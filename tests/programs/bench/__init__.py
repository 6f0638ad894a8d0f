"""Measures choreo beside a hand-written loop that does the same durable work, in one run."""
