"""The explorer: runs in a browser, from a local server or out of one self-contained file."""
