"""What pytest does not import: it runs in an environment of its own."""

collect_ignore = ["message_by_message.py"]
