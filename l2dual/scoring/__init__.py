"""Error rates, mispronunciations, cross-talk, and their intervals."""
