"""The market: five participants of one saga, each to be run by ``choreo run tests.soak.market.NAME:NAME``."""
