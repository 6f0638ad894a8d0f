"""``choreo demo``: an example with all its participants, run in one process."""
