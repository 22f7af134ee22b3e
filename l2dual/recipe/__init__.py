"""A recipe: its options, studies, stages and jobs."""
