"""Trained models on people's recordings: both transcriptions, and feedback."""
