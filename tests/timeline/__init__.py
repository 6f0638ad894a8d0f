"""The timeline of a saga, as all its participants timeline_of it."""
