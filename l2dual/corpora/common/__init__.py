"""What corpora share: splits, tables, edits, files on a disk."""
