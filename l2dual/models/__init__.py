"""The dual-output model, its encoders, and the search."""
