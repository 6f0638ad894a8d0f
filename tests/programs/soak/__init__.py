"""A soak: a market of five participants and its web processes for minutes, in bad weather.

``python -m tests.programs.soak --minutes 15`` runs it.

`market` is the saga, `web` places its orders, `disturbances` is what happens to its processes and topic, with
`forgeries` on the topic and `machine` beneath the processes; `ledger` is what must be true at the end.
"""
