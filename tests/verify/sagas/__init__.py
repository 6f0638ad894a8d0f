"""Correct sagas, one shape each: nothing in them is to be found, and each shows how its shape is written."""
