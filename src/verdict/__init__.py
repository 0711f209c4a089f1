"""“Transformer, for sure!” on trial: from text to tokens, runs, evidence, verdict and page."""
