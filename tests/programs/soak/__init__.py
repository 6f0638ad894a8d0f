"""A soak: a market of five participants for minutes, with kills, pauses and rebalances.

``python -m tests.programs.soak --minutes 15`` runs it.

`market` is the saga, `disturbances` what happens to its processes, `ledger` what must be true at the end.
"""
