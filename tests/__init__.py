"""The tests of choreo."""
