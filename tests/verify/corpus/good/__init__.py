"""Choreographies that are right, though something like them is not."""
