"""Examples: whole sagas that run, each service in a module of its own."""
