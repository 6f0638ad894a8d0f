"""The user's project on disk."""
