"""What a choreo of before has written is read, and gone on with, by the choreo of today.

The files are in `tests/fixtures/before`; nothing here imports more than users do.
"""
