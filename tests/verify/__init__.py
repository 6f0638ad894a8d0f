"""``choreo verify``: manifests, choreographies, the engine, the rules, the reports."""
