"""What pytest does not import: it runs in an environment of its own."""

collect_ignore = ["faststream_outbox.py"]
