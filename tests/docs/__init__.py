"""The README and the help texts are true."""
