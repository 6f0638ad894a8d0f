"""Pictures of one saga: its story as lines, as data, as a sequence diagram, as a page."""
