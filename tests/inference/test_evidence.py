"""What feedback takes from a real, tiny model."""

import numpy as np
import pytest
import soundfile

from l2dual.errors import DataError, UsageError
from l2dual.files import read_yaml
from l2dual.inference.feedback import evidence, give_feedback
from l2dual.inference.recognizer import DualSpeech2Text
from l2dual.inference.tips import Tips
from l2dual.models.search import SearchOptions

ABOUT = {"language": "en", "convention": "heard"}


def noise(seconds):
    return np.random.default_rng(0).normal(scale=0.1, size=int(16000 * seconds)).astype(np.float32), 16000


@pytest.fixture
def recognizer(build_model, root):
    def build(system="do", kind="char"):
        config = read_yaml(root / "conf/train/tiny.yaml") | {"fs": "16k"}
        config |= {"surface_token_type": kind, "meaning_token_type": "char"}
        model = build_model(system).eval()
        return DualSpeech2Text(model, config, ABOUT | {"outputs": model.outputs}, SearchOptions())

    return build


def test_feedback_of_a_real_model(recognizer):
    heard = evidence(recognizer(), noise(2.0), with_meaning=True)
    assert heard.log_probs.shape[1] == len(heard.vocabulary)
    assert np.allclose(np.exp(heard.log_probs).sum(axis=1), 1, atol=1e-4)
    told = give_feedback(heard, "cab abba", Tips("en"))
    assert [word.text for word in told.words] == ["cab", "abba"]
    assert 0 <= told.words[0].start < told.words[0].end <= told.words[1].start < told.words[1].end <= 2.0
    assert heard.meaning is not None and evidence(recognizer(), noise(0.5), with_meaning=False).meaning is None


def test_a_prompt_gives_judged_words(recognizer, root):
    model, speech = recognizer(), soundfile.read(root / "docs/recordings/saw.opus", dtype="float32")
    found = model(speech, prompt="cab abba")
    assert [word.text for word in found.words] == ["cab", "abba"] and found.surface == model(speech).surface
    assert model(speech).words == ()
    with pytest.raises(UsageError, match="give no list"):
        model([speech], prompt="cab")


@pytest.mark.slow
def test_models_and_recordings_without_feedback(recognizer, root):
    with pytest.raises(UsageError, match="the model has no CTC on the surface"):
        evidence(recognizer("so_meaning"), noise(1.0), with_meaning=False)
    with pytest.raises(UsageError, match="its surface in subwords"):
        evidence(recognizer(kind="bpe"), noise(1.0), with_meaning=False)
    samples, rate = soundfile.read(root / "docs/recordings/saw.opus", dtype="float32")
    with pytest.raises(DataError, match="32 s long; feedback is on one utterance"):
        evidence(recognizer(), (np.tile(samples, 7), rate), with_meaning=False)
    with pytest.raises(DataError, match="samples: nothing but zeros"):
        evidence(recognizer(), (np.zeros(16000, np.float32), 16000), with_meaning=False)
