"""One reader a file format or folder layout."""
