"""Whole sagas on every broker: as they should go, and with everything that can go wrong."""
