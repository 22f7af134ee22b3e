"""l2dual: two transcriptions of second-language speech, the surface and the meaning."""

__version__ = "0.1.0"
