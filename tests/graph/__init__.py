"""A choreography put together from manifests: its reverse edges, its roles and its lock."""
