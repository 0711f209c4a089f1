"""The court: evidence and registry in, verdict out. Pure functions that need neither torch nor a model."""
