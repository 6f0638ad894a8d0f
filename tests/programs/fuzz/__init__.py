"""Spoilt records: bodies and headers damaged in every way, through the whole worker."""
