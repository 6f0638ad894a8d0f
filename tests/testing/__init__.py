"""The test kit, under test."""
