"""What a process inherits by ``fork()`` and must neither use nor close."""

from __future__ import annotations


def keep(inherited: object) -> None:
    """Keep an object from being closed, which the garbage collector or the process's end would do."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
