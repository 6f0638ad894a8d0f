"""The users' test kit."""
