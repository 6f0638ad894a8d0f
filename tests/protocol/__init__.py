"""Tests of the protocol: its rules one by one, and every interleaving of small sagas."""
