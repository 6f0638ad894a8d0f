"""Tests of `choreo.release`: what a release keeps, what it changes, and what sagas need of the last one."""
