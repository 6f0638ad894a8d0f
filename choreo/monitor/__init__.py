"""A participant's worker, seen from outside: health, metrics, and the addresses at which they are served."""
