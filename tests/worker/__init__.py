"""Tests of the worker: one participant, one store, a broker in memory, a clock set by hand."""
