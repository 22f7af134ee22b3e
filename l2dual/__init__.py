"""l2dual: two transcriptions of second-language speech, the surface and the meaning."""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """``DualSpeech2Text``, imported when it is first asked for: it takes seconds."""
    if name == "DualSpeech2Text":
        from l2dual.inference.recognizer import DualSpeech2Text

        return DualSpeech2Text
    raise AttributeError(f"module 'l2dual' has no attribute {name!r}")
