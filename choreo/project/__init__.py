"""Reads the user's project: ``pyproject.toml``, modules, sources, schema versions, manifests, the lock.

It imports modules and reads sources, schema files and git revisions for `choreo.verify`, which is pure.
"""
