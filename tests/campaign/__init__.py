"""The long runs of `make campaign`: every case of a kind, not a sample of them.

Each module here but `__main__` has a function `campaign() -> dict[str, object]`: it fails by an exception, and returns
the figures to print.
"""
