"""What an operator's tools share: the stores that are named, dead letters chosen, grouped and settled."""
