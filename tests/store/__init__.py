"""The stores, one suite for every driver: see `conformance`."""
