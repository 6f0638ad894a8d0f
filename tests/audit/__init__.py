"""Keeping the saga log: exports, and what a kill in the middle of anything leaves."""
