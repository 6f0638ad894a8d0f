"""Tests of Avro: derivation, bodies, compatibility and schema files."""
