"""Options of the searches: what they change, and what is refused."""

from contextlib import nullcontext

import pytest
import torch

from l2dual.decode import DualDecoder, SearchOptions
from l2dual.errors import UsageError


@pytest.mark.parametrize(
    "config, fault",
    [
        ({"beam": 4}, "decode.yaml: unknown option beam: use one of beam_size"),
        ({"ctc_weight": {"surface": 0.3}}, "ctc_weight of meaning must lie between 0 and 1"),
        ({"ctc_weight": {"surface": 1.3, "meaning": 0}}, "ctc_weight of surface"),
    ],
)
def test_bad_options_are_named(config, fault):
    with pytest.raises(UsageError, match=fault):
        SearchOptions.from_config(config, "decode.yaml")


def test_each_output_has_its_own_ctc_weight(build_model):
    weights = {"surface": 0.0, "meaning": 0.7}
    decoder = DualDecoder(build_model("do").eval(), SearchOptions(ctc_weight=weights))
    surface, meaning = decoder.searches["surface"], decoder.searches["meaning"]
    assert "ctc" not in surface.scorers and surface.weights["decoder"] == 1.0
    assert meaning.weights["ctc"] == 0.7 and meaning.weights["decoder"] == pytest.approx(0.3)


def test_an_output_without_ctc_is_scored_by_attention_alone(build_model):
    decoder = DualDecoder(build_model("do_paper").eval(), SearchOptions())
    assert "ctc" in decoder.searches["surface"].scorers
    assert "ctc" not in decoder.searches["meaning"].scorers
    assert decoder.searches["meaning"].weights["decoder"] == 1.0


def test_ctc_alone_searches_too(build_model, batch):
    weights = {"surface": 1.0, "meaning": 1.0}
    decoder = DualDecoder(build_model("do").eval(), SearchOptions(beam_size=2, ctc_weight=weights))
    decoded = decoder(batch["speech"], batch["speech_lengths"])
    assert {output: len(texts) for output, texts in decoded.items()} == {"surface": 3, "meaning": 3}


def test_a_search_projects_the_encoder_once(build_model, batch, monkeypatch):
    model = build_model("do").eval()
    sources = [layer.src_attn for layer in model.decoders["meaning"].decoders]
    keys = {source.linear_k: 0 for source in sources}
    forward = torch.nn.Linear.forward

    def counted(self, x):
        if self in keys:
            keys[self] += 1
        return forward(self, x)

    monkeypatch.setattr(torch.nn.Linear, "forward", counted)
    decoder = DualDecoder(model, SearchOptions())
    once = decoder(batch["speech"], batch["speech_lengths"])
    assert set(keys.values()) == {1}
    assert not any("forward" in vars(key) for key in keys)
    again = decoder(batch["speech"].flip(0), batch["speech_lengths"].flip(0))
    assert {output: texts[::-1] for output, texts in again.items()} == once
    monkeypatch.setattr("l2dual.decode.projected_once", lambda decoder: nullcontext())
    assert decoder(batch["speech"], batch["speech_lengths"]) == once
    assert min(keys.values()) > 10
