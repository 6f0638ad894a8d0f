"""``choreo demo``: an example, whole, in one process."""
