"""Small choreographies: each of ``bad`` has one known defect, each of ``good`` nearly has one.

A comment ``# expect: CHO204`` stands at the line where the finding has to be.
"""
