"""The runs of a saga without its data: one causal run for each scenario, and a search of every order."""
