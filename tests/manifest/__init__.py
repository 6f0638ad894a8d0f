"""Manifests: written, read again, and refused."""
