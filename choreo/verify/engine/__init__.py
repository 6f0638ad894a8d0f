"""The runs of a saga, its data erased: one for each scenario, and the search of every order."""
