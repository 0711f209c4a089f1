"""Measurements: each module writes rows of the evidence table for one kind of question."""
