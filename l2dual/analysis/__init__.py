"""How entangled the two outputs are in a trained encoder."""
