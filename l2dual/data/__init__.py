"""A data directory: recordings and texts of one split, checked and written."""
