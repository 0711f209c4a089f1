"""How fast the pipeline is beside what a user would run instead, and beside what the machine can do: ``make bench``.

docs/performance.md says what is measured and how.
"""
