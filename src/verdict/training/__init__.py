"""One training loop for every architecture and family: data order, objective, optimizer, checkpoints, history."""
