"""The user's project on disk: ``pyproject.toml``, modules, sources, schema versions, manifests, the lock.

What `choreo.verify` may not do itself, as it is pure: import modules, read sources, schema files and git
revisions.
"""
