"""Choreographies with one defect each."""
