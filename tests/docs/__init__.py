"""The README, the manual and the hooks are true."""
