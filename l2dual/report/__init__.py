"""One self-contained HTML page, and RESULTS.md, from the result files of a recipe."""
