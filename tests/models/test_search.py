"""Options of the searches: what they change, and what is refused."""

import pytest
import torch

from l2dual.errors import UsageError
from l2dual.models.search import DualDecoder, SearchOptions


@pytest.mark.parametrize(
    "config, fault",
    [
        ({"beam": 4}, "decode.yaml: unknown option beam: use one of beam_size, maxlenratio, minlenratio"),
        ({"ctc_weight": {"surface": 0.3, "meaning": -0.1}}, "ctc_weight of meaning"),
        ({"ctc_weight": {"surface": 0.3}}, "ctc_weight of meaning must lie between 0 and 1"),
        ({"ctc_weight": {"surface": 1.3, "meaning": 0}}, "ctc_weight of surface"),
        ({"ctc_weight": 0.5}, "ctc_weight is 0.5: give {surface: 0.7, meaning: 0.7}"),
        ({"beam_size": 0}, "decode.yaml: beam_size is 0: give a whole number of at least 1"),
        ({"batch_size": "8"}, "batch_size is '8': give a whole number"),
        ({"mode": "greedy"}, "decode.yaml: mode greedy: use one of beam, greedy_ctc"),
    ],
)
def test_bad_options_are_named(config, fault):
    with pytest.raises(UsageError, match=fault):
        SearchOptions.from_config(config, "decode.yaml")


def test_ctc_weights_from_0_to_1_are_taken():
    weights = {"surface": 0, "meaning": 1}
    assert SearchOptions.from_config({"ctc_weight": weights}, "decode.yaml").ctc_weight == weights


def test_each_output_has_its_own_ctc_weight(build_model):
    weights = {"surface": 0.0, "meaning": 0.7}
    decoder = DualDecoder(build_model("do").eval(), SearchOptions(ctc_weight=weights))
    assert decoder.searches["surface"].weights == {"decoder": 1.0}
    assert decoder.searches["meaning"].weights == pytest.approx({"decoder": 0.3, "ctc": 0.7})


def test_an_output_without_ctc_is_scored_by_attention_alone(build_model):
    decoder = DualDecoder(build_model("do_paper").eval(), SearchOptions())
    assert decoder.searches["surface"].weights == pytest.approx({"decoder": 0.3, "ctc": 0.7})
    assert decoder.searches["meaning"].weights == {"decoder": 1.0}


def biased(model, **bias):
    """``model``, whose decoders give a token the same score at every place: its bias, else 0."""
    for decoder in model.decoders.values():
        torch.nn.init.zeros_(decoder.output_layer.weight)
        torch.nn.init.zeros_(decoder.output_layer.bias)
        for place, score in bias.items():
            decoder.output_layer.bias.data[PLACES[place]] = score
    return model


PLACES = {"blank": 0, "unk": 1, "first": 2, "space": -2, "end": -1}
ATTENTION = {"surface": 0.0, "meaning": 0.0}  # ctc_weight


@pytest.mark.parametrize(
    "likely, options, surface",
    [
        ({"first": 3}, {}, "aaa"),
        ({"unk": 3}, {}, ["<unk>"] * 3),
        ({"space": 3}, {}, ["<space>"] * 3),
        ({"blank": 3, "first": 2}, {}, ""),  # blanks are no tokens
        ({"end": 5, "first": 2}, {}, ""),
        ({"end": 5, "first": 2}, {"minlenratio": -2}, "aa"),
        ({"end": 5, "first": 4}, {"penalty": 2.0}, "aa"),
        ({"end": 9.6, "first": 10}, {}, ""),  # P(a) .6: .4 at once against .6 ** 3
        ({"end": 9.6, "first": 10}, {"normalize_length": True}, "aaa"),
    ],
)
def test_the_tokens_of_the_best_hypothesis(build_model, batch, likely, options, surface):
    options = {"beam_size": 2, "maxlenratio": -3, "ctc_weight": ATTENTION} | options  # three tokens
    decoder = DualDecoder(biased(build_model("do"), **likely).eval(), SearchOptions(**options))
    texts = {"surface": list(surface), "meaning": ["x" if token == "a" else token for token in surface]}
    decoded = decoder(batch["speech"], batch["speech_lengths"])
    assert decoded == {output: [text] * 3 for output, text in texts.items()}


def test_an_utterance_has_tokens_for_its_own_length_only(build_model, batch):
    model = biased(build_model("do"), first=9).eval()
    options = SearchOptions(beam_size=2, maxlenratio=0.25, ctc_weight=ATTENTION)
    decoded = DualDecoder(model, options)(batch["speech"], batch["speech_lengths"])
    frames = model.encode(batch["speech"], batch["speech_lengths"]).lengths
    assert [len(text) for text in decoded["surface"]] == (frames // 4).tolist()
    assert len(set((frames // 4).tolist())) == 3


def test_ctc_alone_finds_its_token(build_model, batch):
    model = build_model("do").eval()
    for ctc in model.ctcs.values():
        torch.nn.init.zeros_(ctc.ctc_lo.weight)
        ctc.ctc_lo.bias.data = torch.eye(len(ctc.ctc_lo.bias))[4] * 9
    options = SearchOptions(beam_size=2, ctc_weight={"surface": 1.0, "meaning": 1.0})
    decoder = DualDecoder(model, options)
    decoded = decoder(batch["speech"], batch["speech_lengths"])
    assert decoded == {"surface": [["c"]] * 3, "meaning": [["z"]] * 3}


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
    again = decoder(batch["speech"].flip(0), batch["speech_lengths"].flip(0))
    assert {output: texts[::-1] for output, texts in again.items()} == once


def test_the_best_tokens_are_the_first_of_several(build_model, batch):
    decoder = DualDecoder(build_model("do").eval(), SearchOptions(beam_size=3))
    several = decoder.nbest(batch["speech"], batch["speech_lengths"], n_best=3)
    best = decoder(batch["speech"], batch["speech_lengths"])
    for output, utterances in several.items():
        assert best[output] == [hypotheses[0].tokens for hypotheses in utterances]
        for hypotheses in utterances:
            scores = [hypothesis.score for hypothesis in hypotheses]
            assert len(scores) == 3 and scores == sorted(scores, reverse=True)


def test_greedy_ctc_needs_ctc_on_each_output(build_model, batch):
    greedy = SearchOptions(mode="greedy_ctc")
    with pytest.raises(UsageError, match="no CTC on meaning: use mode beam"):
        DualDecoder(build_model("do_paper"), greedy)
    model = build_model("do").eval()
    for ctc in model.ctcs.values():
        torch.nn.init.zeros_(ctc.ctc_lo.weight)
        ctc.ctc_lo.bias.data = torch.eye(len(ctc.ctc_lo.bias))[4] * 9
    decoded = DualDecoder(model, greedy)(batch["speech"], batch["speech_lengths"])
    assert decoded == {"surface": [["c"]] * 3, "meaning": [["z"]] * 3}
