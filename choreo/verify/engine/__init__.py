"""The runs of a saga, its data erased: one causal run for each scenario, and the search of every order."""
