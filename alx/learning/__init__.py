"""The algorithm: sample a run, measure, blend, select. torch; no files, keys or peers."""
