"""What can be declared, and what is refused with place and hint."""
