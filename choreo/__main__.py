"""``python -m choreo``: the command ``choreo``, where its script is not on the path."""

from choreo.cli import main

if __name__ == "__main__":
    main(prog_name="choreo")
