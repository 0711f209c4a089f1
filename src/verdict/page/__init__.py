"""The page: evidence, verdict and words become one HTML file that opens offline. No statistic is computed here."""
