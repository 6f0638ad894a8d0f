"""Pictures and texts of a saga's graph and of its timeline. Pure: each takes data and returns text."""
