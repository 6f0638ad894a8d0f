"""Analyses of a saga's graph without a run: the order of steps, the calls of compensations, the schemas."""
