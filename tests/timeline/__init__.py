"""The story of a saga, as all its participants tell it."""
