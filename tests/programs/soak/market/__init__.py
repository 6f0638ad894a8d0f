"""The market: five participants of one saga.

Each is run by ``choreo run tests.programs.soak.market.NAME:NAME``.
"""
