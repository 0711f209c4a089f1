"""Unigram and bigram models over pieces, scored on the very batches that the neural models are scored on."""

import math

import numpy as np


class Unigram:
    """Piece frequencies with one added to each count (Laplace)."""

    def __init__(self, pieces: np.ndarray, vocabulary: int) -> None:
        counts = np.bincount(pieces, minlength=vocabulary) + 1.0
        self.probability = counts / counts.sum()

    def nats(self, pieces: np.ndarray) -> float:
        """Summed negative log-likelihood."""
        return float(-np.log(self.probability[pieces]).sum())


class Bigram:
    """A bigram interpolated with the unigram (Jelinek & Mercer 1980); the weight is the best of a grid on validation.

    Counts are kept dense, [V, V] float32: 16 MB for 2,000 pieces.
    """

    WEIGHTS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

    def __init__(self, pieces: np.ndarray, vocabulary: int) -> None:
        self.unigram = Unigram(pieces, vocabulary)
        pairs = pieces[:-1].astype(np.int64) * vocabulary + pieces[1:]
        counts = np.bincount(pairs, minlength=vocabulary**2).reshape(vocabulary, vocabulary).astype(np.float32)
        sums = counts.sum(1, keepdims=True)
        # after a piece never seen before another one the unigram speaks alone
        self.conditional = np.where(sums > 0, counts / np.maximum(sums, 1.0), np.float32(self.unigram.probability))
        self.weight = 0.5

    def tune(self, before: np.ndarray, pieces: np.ndarray) -> None:
        """Choose the weight on validation pairs (piece before, piece)."""
        best = math.inf
        for weight in self.WEIGHTS:
            self.weight, kept = weight, self.weight
            nats = self.nats(before, pieces)
            if nats < best:
                best = nats
            else:
                self.weight = kept

    def nats(self, before: np.ndarray, pieces: np.ndarray) -> float:
        """Summed negative log-likelihood of pieces, each after the one before it."""
        mixed = self.weight * self.conditional[before, pieces] + (1 - self.weight) * self.unigram.probability[pieces]
        return float(-np.log(mixed).sum())
