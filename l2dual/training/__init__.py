"""The ESPnet task and its trainer; loading what was trained."""
