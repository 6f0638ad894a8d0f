"""Tests of a worker that is seen from outside."""
