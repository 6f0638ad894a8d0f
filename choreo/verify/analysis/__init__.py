"""What a saga's graph alone says: what precedes what, what undoes what, which schemas have to fit."""
