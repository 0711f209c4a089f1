"""One block with one swapped part (the mixer over time), and the three families built from it."""
