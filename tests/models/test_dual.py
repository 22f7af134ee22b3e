"""The model: padding, gradients, losses, and what the systems share."""

import copy
import logging

import pytest
import torch

from l2dual.errors import DataError, UsageError
from l2dual.files import read_yaml
from l2dual.models.search import DualDecoder, SearchOptions
from l2dual.systems import active_outputs
from tests.conftest import select

ENCODERS = {
    "slim_conformer": {},
    "conformer": {"encoder_conf": {"input_layer": "conv2d"}},
    "e_branchformer": {"encoder_conf": {"cgmlp_linear_units": 64, "cgmlp_conv_kernel": 7}},
    "transformer": {},
}
FOREIGN = {
    "slim_conformer": (),
    "conformer": ("subsampling_channels",),
    "e_branchformer": ("subsampling_channels", "macaron_style", "use_cnn_module",
                       "cnn_module_kernel"),
    "transformer": ("subsampling_channels", "macaron_style", "use_cnn_module",
                    "cnn_module_kernel", "rel_pos_type"),
}  # fmt: skip


@pytest.fixture(params=ENCODERS)
def any_encoder(request, build_model, root):
    """A dual-output model with each of the encoders, in the sizes of conf/train/tiny.yaml."""
    kept = read_yaml(root / "conf/train/tiny.yaml")["encoder_conf"]
    kept = {key: value for key, value in kept.items() if key not in FOREIGN[request.param]}
    own = ENCODERS[request.param].get("encoder_conf", {})
    return build_model(encoder=request.param, encoder_conf=kept | own).eval()


def test_a_batch_is_encoded_as_its_utterances_alone(any_encoder, batch):
    encoded, lengths = any_encoder.encode(batch["speech"], batch["speech_lengths"]).of(any_encoder.outputs[0])
    for index in range(3):
        single = select(batch, index)
        alone, length = any_encoder.encode(single["speech"], single["speech_lengths"]).of(any_encoder.outputs[0])
        assert length.item() == lengths[index].item() == alone.size(1)
        torch.testing.assert_close(encoded[index, :length], alone[0], atol=2e-5, rtol=1e-4)


def test_more_padding_changes_nothing(any_encoder, batch):
    longer = torch.nn.functional.pad(batch["speech"], (0, 4000))
    expected, _ = any_encoder.encode(batch["speech"], batch["speech_lengths"]).of(any_encoder.outputs[0])
    encoded, _ = any_encoder.encode(longer, batch["speech_lengths"]).of(any_encoder.outputs[0])
    torch.testing.assert_close(encoded, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("normalized", [True, False])
def test_the_loss_of_a_batch_is_the_mean_of_its_utterances(build_model, batch, normalized):
    model = build_model("so_meaning", model_conf={"length_normalized": normalized}).eval()
    model.loss_weights = {"meaning": {"ctc": 1.0, "attention": 0.0}}  # one normalizer: L, not L + 1
    together = model(**batch)[0].squeeze()
    losses = torch.stack([model(**select(batch, index))[0].squeeze() for index in range(3)])
    weights = batch["meaning_lengths"].float() if normalized else torch.ones(3)
    torch.testing.assert_close(together, (losses * weights).sum() / weights.sum())


def test_padding_of_the_texts_changes_no_loss(build_model, batch):
    model = build_model("do").eval()
    padded = dict(batch)
    for output in ("surface", "meaning"):
        padded[output] = torch.nn.functional.pad(batch[output], (0, 3), value=-1)
    torch.testing.assert_close(model(**padded)[0], model(**batch)[0])


@pytest.mark.parametrize("output", ["surface", "meaning"])
@pytest.mark.parametrize("loss", ["ctc", "attention"])
def test_a_loss_reaches_the_encoder_and_its_own_decoder_only(build_model, batch, output, loss):
    model = build_model("do")
    other = "meaning" if output == "surface" else "surface"
    model.loss_weights = {
        name: {kind: float((name, kind) == (output, loss)) for kind in ("ctc", "attention")}
        for name in (output, other)
    }
    model(**batch)[0].backward()

    def moved(module):
        return [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters()]

    assert all(moved(model.encoder.encoders))
    assert any(moved(model.decoders[output])) == (loss == "attention")
    assert all(moved(model.ctcs[output])) == (loss == "ctc")
    assert not any(moved(model.decoders[other]) + moved(model.ctcs[other]))


@pytest.mark.parametrize(
    "system, ctc, attention",
    [
        ("do", {"surface": 0.1, "meaning": 0.1}, {"surface": 0.4, "meaning": 0.4}),
        ("do_paper", {"surface": 0.2}, {"surface": 0.5, "meaning": 0.3}),
        ("do_split", {"surface": 0.5}, {"meaning": 0.5}),
        ("so_surface", {"surface": 0.2}, {"surface": 0.8}),
        ("so_meaning", {"meaning": 0.2}, {"meaning": 0.8}),
        ("so_surface_ctconly", {"surface": 1.0}, {}),
        ("so_meaning_ctconly", {"meaning": 1.0}, {}),
        ("do_ctconly", {"surface": 0.5, "meaning": 0.5}, {}),
    ],
)
def test_a_system_weighs_its_losses_as_its_configuration_says(
    build_model, batch, system, ctc, attention
):
    model = build_model(system).eval()
    loss, stats, weight = model(**batch)
    assert set(model.ctcs) == set(ctc) and set(model.decoders) == set(attention)
    expected = sum(w * stats[f"loss_ctc_{o}"] for o, w in ctc.items())
    expected += sum(w * stats[f"loss_att_{o}"] for o, w in attention.items())
    torch.testing.assert_close(loss, expected)
    assert weight == 3
    assert set(stats) == set(model.statistics())


def test_the_accuracy_of_an_output_without_attention_is_that_of_its_best_labels(build_model, batch):
    model = build_model("so_surface_ctconly").eval()
    said = [[0, 2, 2, 0, 3, 4], [4, 4, 3, 0, 3, 3], [2, 5, 0, 0, 0, 0]]
    frames = torch.zeros(3, 200, dtype=torch.long)
    frames[:, :6] = torch.tensor(said)
    model.ctcs["surface"].argmax = lambda _: frames
    _, stats, _ = model(**batch)
    assert stats["acc_surface"] == stats["acc"] == pytest.approx(1 - 1 / 9)  # the first lacks its last token


def test_weights_of_zero_give_the_single_output_model(build_model, batch):
    zero = {"meaning": {"ctc": 0.0, "attention": 0.0}, "surface": {"ctc": 0.2, "attention": 0.8}}
    dual = build_model("do", model_conf={"loss_weights": zero})
    single = build_model("so_surface")
    assert dual.state_dict().keys() == single.state_dict().keys()
    assert dual.outputs == ("surface",)
    for name, value in single.state_dict().items():
        torch.testing.assert_close(dual.state_dict()[name], value, rtol=0, atol=0)
    torch.manual_seed(0)
    expected = single(**batch)[0]
    torch.manual_seed(0)
    torch.testing.assert_close(dual(**batch)[0], expected, rtol=0, atol=0)


def test_systems_of_one_seed_start_alike(build_model):
    single, dual, other = build_model("so_meaning"), build_model("do"), build_model("do", seed=2)
    for name, value in single.state_dict().items():
        torch.testing.assert_close(dual.state_dict()[name], value, rtol=0, atol=0)
    assert not torch.equal(
        dual.encoder.encoders[0].feed_forward.w_1.weight,
        other.encoder.encoders[0].feed_forward.w_1.weight,
    )
    assert not torch.equal(
        dual.decoders["surface"].decoders[0].feed_forward.w_1.weight,
        dual.decoders["meaning"].decoders[0].feed_forward.w_1.weight,
    )


def test_building_a_model_leaves_the_random_generator_alone(build_model):
    draws = []
    for system in ("so_surface", "do"):
        torch.manual_seed(7)
        build_model(system)
        draws.append(torch.rand(1).item())
    assert draws[0] == draws[1]


def test_golden_loss(build_model, batch):
    """Recorded with torch 2.14.1 and espnet 202611: a change means that training changed."""
    _, stats, _ = build_model("do").eval()(**batch)
    golden = {
        "loss_att_surface": 1.7249,
        "loss_ctc_surface": 9.2525,
        "loss_att_meaning": 1.7416,
        "loss_ctc_meaning": 7.2287,
    }
    for name, value in golden.items():
        assert stats[name].item() == pytest.approx(value, abs=2e-3), name


@pytest.mark.slow
def test_a_tiny_batch_is_learned_and_decoded_on_both_outputs(build_model, batch):
    model = build_model("do", model_conf={"lsm_weight": 0.0})
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        model(**batch)[0].backward()
        optimizer.step()
    decoded = DualDecoder(model.eval(), SearchOptions(beam_size=3))(
        batch["speech"], batch["speech_lengths"]
    )
    for output in ("surface", "meaning"):
        for index in range(3):
            target = batch[output][index, : batch[f"{output}_lengths"][index]]
            expected = [model.token_lists[output][token] for token in target]
            assert decoded[output][index] == expected


def test_a_batch_is_decoded_as_its_utterances_alone(build_model, batch):
    decoder = DualDecoder(build_model("do_paper").eval(), SearchOptions(beam_size=3))
    together = decoder(batch["speech"], batch["speech_lengths"])
    for index in range(3):
        single = select(batch, index)
        alone = decoder(single["speech"], single["speech_lengths"])
        for output in ("surface", "meaning"):
            assert alone[output][0] == together[output][index]


def test_one_encoder_pass_feeds_both_searches(build_model, batch):
    model, passes = build_model("do").eval(), []
    model.encoder.register_forward_hook(lambda *_: passes.append(1))
    DualDecoder(model, SearchOptions(beam_size=2))(batch["speech"], batch["speech_lengths"])
    assert len(passes) == 1


def test_a_missing_or_empty_text_is_named(build_model, batch):
    model = build_model("do")
    missing = {name: value for name, value in batch.items() if "meaning" not in name}
    with pytest.raises(DataError, match="text.meaning"):
        model(**missing)
    empty = copy.deepcopy(batch)
    empty["surface_lengths"][2] = 0
    with pytest.raises(DataError, match="utterance u3: text.surface is empty"):
        model(**empty, utt_id=["u1", "u2", "u3"])


def test_an_utterance_that_ctc_cannot_align_is_named(build_model, batch, caplog):
    batch["surface"] = torch.full((3, 40), 2)
    batch["surface"][2, 2:] = -1
    batch["surface_lengths"] = torch.tensor([40, 40, 2])
    with caplog.at_level(logging.WARNING):
        build_model("so_surface")(**batch, utt_id=["u1", "u2", "u3"])
    assert [r.args[0] for r in caplog.records if "CTC ignores" in r.msg] == ["u1", "u2"]


@pytest.mark.parametrize(
    "weights, fault",
    [
        ({"sound": {"ctc": 1.0, "attention": 1.0}}, "unknown output 'sound'"),
        ({"surface": {"ctc": 1.0}}, "give ctc and attention"),
        ({"surface": {"ctc": -1.0, "attention": 1.0}}, "negative"),
        ({"surface": {"ctc": float("nan"), "attention": 1.0}}, "not a finite number"),
        ({"surface": {"ctc": 0.5, "attention": "nan"}}, "not a finite number"),
        ({"surface": {"ctc": 0.0, "attention": 0.0}}, "all are 0"),
    ],
)
def test_bad_loss_weights_are_named(weights, fault):
    with pytest.raises(UsageError, match=fault):
        active_outputs(weights)
