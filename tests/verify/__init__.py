"""``choreo verify``: the engine, the rules, the reports, and oracles that judge them."""
