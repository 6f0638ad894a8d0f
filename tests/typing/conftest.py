"""What is here is for the type checker alone: it is wrong on purpose, and can't be imported."""

collect_ignore = ["api.py"]
