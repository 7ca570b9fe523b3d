"""The parsers that meet bytes from outside, each as a function of bytes, with good ones to begin from."""
