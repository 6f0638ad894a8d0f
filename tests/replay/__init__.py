"""Tests of replaying a saga log: folding it again, resuming, what-if, rebuilding."""
