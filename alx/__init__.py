"""alx: assisted learning between two organisations, by signed bundles on a disk carried by hand."""

__version__ = "0.1.0"
