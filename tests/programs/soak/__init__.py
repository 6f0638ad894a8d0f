"""A soak: a market of five participants for minutes, in bad weather.

``python -m tests.programs.soak --minutes 15`` runs it.

`market` is the saga, `weather` what happens to its processes, `ledger` what must be true at the end.
"""
