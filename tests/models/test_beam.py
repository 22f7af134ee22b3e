"""The beam search against ESPnet's, and against the scores of whole sequences."""

import random

import pytest
import torch
from espnet2.asr.ctc import CTC
from espnet2.asr.decoder import transformer_decoder
from espnet2.asr.decoder.rnn_decoder import RNNDecoder
from espnet2.asr.decoder.transformer_decoder import TransformerDecoder
from espnet2.legacy.nets.batch_beam_search import BatchBeamSearch
from espnet2.legacy.nets.scorers.ctc import CTCPrefixScorer
from espnet2.legacy.nets.scorers.length_bonus import LengthBonus

from l2dual.errors import UsageError
from l2dual.models.beam import BLANK, BeamOptions, BeamSearch, GreedyCTC

SIZE, WIDTH = 13, 16
TOKENS = [str(number) for number in range(SIZE)]
EOS = SIZE - 1
ALL = 10**6
FRAMES = torch.tensor([20, 1, 9, 4])  # of the utterances of a batch


def parts_of(seed, peak, decoder_class=TransformerDecoder, **changes):
    """A decoder and a CTC whose distributions are the more peaked, the larger ``peak`` is."""
    torch.manual_seed(seed)
    sizes = {"attention_heads": 2, "linear_units": 16, "num_blocks": 2}
    decoder = decoder_class(SIZE, WIDTH, **sizes | changes).eval()
    ctc = CTC(SIZE, WIDTH).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():  # norms and biases begin as ones and zeros
            if parameter.dim() == 1:
                parameter += 0.1 * torch.randn_like(parameter)
        decoder.output_layer.weight *= peak
        decoder.output_layer.bias[EOS] += 0.5 * peak * (seed % 3 - 1)
        ctc.ctc_lo.weight *= peak
        ctc.ctc_lo.bias[BLANK] += 0.7 * peak * (seed % 2)
    return decoder, ctc


def frames(seed, lengths=FRAMES):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(lengths), int(lengths.max()), WIDTH, generator=generator)


@torch.inference_mode()
def espnet(decoder, ctc, ctc_weight, options, x, lengths=FRAMES):
    """What ESPnet's search finds, one utterance at a time."""
    scorers = {"decoder": decoder, "length_bonus": LengthBonus(SIZE)}
    if ctc_weight > 0:
        scorers["ctc"] = CTCPrefixScorer(ctc=ctc, eos=EOS)
    search = BatchBeamSearch(
        scorers=scorers,
        weights={"decoder": 1 - ctc_weight, "ctc": ctc_weight, "length_bonus": options.penalty},
        beam_size=min(options.beam_size, SIZE),
        vocab_size=SIZE,
        sos=EOS,
        eos=EOS,
        pre_beam_score_key=None if ctc_weight == 1 else "full",
        normalize_length=options.normalize_length,
    ).eval()
    ratios = {"maxlenratio": options.maxlenratio, "minlenratio": options.minlenratio}
    return [search(x[i, :length], **ratios) for i, length in enumerate(lengths.tolist())]


def comparable(found, ctc_weight):
    """False where ESPnet's beam had to take what CTC calls impossible: a blank, too many tokens.

    ESPnet gives it -1e10, and in float32 its extensions a score near 0: better than any real one.
    """
    return ctc_weight == 0 or not any(h.score < -1e6 or BLANK in h.yseq for h in found)


def assert_same(ours, theirs, tolerance=1e-4):
    """Same scores in the same order, and the same tokens and parts."""
    assert [h.score for h in ours] == pytest.approx(
        [float(h.score) for h in theirs], rel=tolerance, abs=tolerance
    )
    named = {
        tuple(h.yseq.tolist()[1:]): {name: float(part) for name, part in h.scores.items()}
        for h in theirs
    }
    spelled = {}
    for ids, parts in named.items():
        parts.pop("length_bonus", None)
        tokens = tuple(TOKENS[i] for i in ids if i not in (BLANK, EOS))
        spelled.setdefault(tokens, []).append(parts)
    for hypothesis in ours:
        candidates = spelled[tuple(hypothesis.tokens)]
        assert any(
            hypothesis.parts == pytest.approx(parts, rel=tolerance, abs=tolerance)
            for parts in candidates
        )


def drawn_options(rng, beam):
    return BeamOptions(
        beam_size=beam,
        penalty=rng.choice([0.0, 0.0, 0.5, -0.5, 2.0]),
        normalize_length=rng.random() < 0.3,
        maxlenratio=rng.choice([0.0, 0.0, 0.3, 1.0, -4.0, -12.0]),
        minlenratio=rng.choice([0.0, 0.0, 0.2, 0.5, -3.0]),
    )


@pytest.mark.parametrize("ctc_weight", [0.0, 0.1, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("beam", [1, 2, 3, 10, *(pytest.param(beam, marks=pytest.mark.slow) for beam in range(4, 10))])
def test_it_finds_what_espnet_finds(beam, ctc_weight):
    rng = random.Random(f"{beam} {ctc_weight}")
    compared = 0
    for _ in range(3):
        seed, peak, options = rng.randrange(10**6), rng.choice([1, 3, 8]), drawn_options(rng, beam)
        decoder, ctc = parts_of(seed, peak)
        x = frames(seed)
        ours = BeamSearch(decoder, ctc, TOKENS, ctc_weight, options)(x, FRAMES, ALL)
        theirs = espnet(decoder, ctc, ctc_weight, options, x)
        for mine, other in zip(ours, theirs, strict=True):
            if comparable(other, ctc_weight):
                assert_same(mine, other)
                compared += 1
    assert compared >= 4


@pytest.mark.parametrize("peak", [1, 4])
@pytest.mark.parametrize("seed", range(4))
def test_the_scores_are_those_of_the_whole_sequence(seed, peak):
    decoder, ctc = parts_of(seed, peak)
    x = frames(seed)
    options = BeamOptions(beam_size=6, maxlenratio=-40, penalty=0.3)  # eos ends every hypothesis
    found = BeamSearch(decoder, ctc, TOKENS, 0.4, options)(x, FRAMES, ALL)
    assert min(map(len, found)) > 1
    for utterance, hypotheses in enumerate(found):
        own, length = x[utterance, None, : FRAMES[utterance]], FRAMES[utterance, None]
        for tokens, score, parts in hypotheses:
            ids = torch.tensor([[int(token) for token in tokens]], dtype=torch.long)
            with torch.inference_mode():
                given = torch.nn.functional.pad(ids, (1, 0), value=EOS)
                logits, _ = decoder(own, length, given, torch.tensor([given.size(1)]))
                log_p = logits.log_softmax(2)[0]
                due = torch.nn.functional.pad(ids, (0, 1), value=EOS)[0]
                attention = log_p[torch.arange(len(due)), due].sum().item()
                spoken = ctc.log_softmax(own).transpose(0, 1)
                aligned = -torch.nn.functional.ctc_loss(
                    spoken, ids, length, torch.tensor([ids.size(1)]), reduction="sum"
                ).item()
            assert parts == pytest.approx({"decoder": attention, "ctc": aligned}, rel=1e-5, abs=1e-4)
            expected = 0.6 * attention + 0.4 * aligned + 0.3 * len(due)
            assert score == pytest.approx(expected, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3, 1.0])
def test_a_batch_is_searched_as_its_utterances_alone(ctc_weight):
    decoder, ctc = parts_of(3, 4)
    lengths = torch.tensor([20, 1, 9, 4, 14, 14, 13, 12, 11])  # one that is done stays for a while
    x = frames(3, lengths)
    search = BeamSearch(decoder, ctc, TOKENS, ctc_weight, BeamOptions(beam_size=5))
    together = search(x, lengths, ALL)
    for index, length in enumerate(lengths):
        (alone,) = search(x[index, None, :length], length[None], ALL)
        assert [h.tokens for h in alone] == [h.tokens for h in together[index]]
        assert [h.score for h in alone] == pytest.approx([h.score for h in together[index]], abs=1e-5)


@pytest.mark.parametrize("penalty, normalize_length", [(0.0, False), (-0.5, False), (2.0, False), (0.0, True)])
@pytest.mark.parametrize("seed", range(4))
def test_fewer_hypotheses_are_the_first_of_all(seed, penalty, normalize_length):
    decoder, ctc = parts_of(seed, 3)
    x = frames(seed)
    options = BeamOptions(beam_size=4, penalty=penalty, normalize_length=normalize_length)
    search = BeamSearch(decoder, ctc, TOKENS, 0.3, options)
    every = search(x, FRAMES, ALL)
    for number in (1, 2, 5):
        few = search(x, FRAMES, number)
        assert [[h.tokens for h in utt] for utt in few] == [[h.tokens for h in utt[:number]] for utt in every]


def test_a_search_for_one_hypothesis_is_over_sooner():
    decoder, ctc = parts_of(2, 6)
    steps = []
    decoder.output_layer.register_forward_hook(lambda *_: steps.append(1))
    search = BeamSearch(decoder, ctc, TOKENS, 0.3, BeamOptions(beam_size=4))
    search(frames(2), FRAMES, ALL)
    of_all = len(steps)
    search(frames(2), FRAMES)
    assert 0 < len(steps) - of_all < of_all


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3, 1.0])
def test_no_frames_have_no_hypotheses(ctc_weight):
    decoder, ctc = parts_of(0, 2)
    search = BeamSearch(decoder, ctc, TOKENS, ctc_weight, BeamOptions())
    lengths = torch.tensor([0, 6, 0])
    x = frames(0, lengths)
    first, second, third = search(x, lengths)
    assert first == third == [] and len(second) == 1
    assert search(x[:1], lengths[:1]) == [[]]
    assert search(x[:1, :0], lengths[:1]) == [[]]


def test_a_ctc_that_hears_only_blanks_finds_nothing():
    decoder, ctc = parts_of(0, 1)
    ctc.ctc_lo.bias.data[BLANK] = 30.0
    for ctc_weight in (0.3, 1.0):
        search = BeamSearch(decoder, ctc, TOKENS, ctc_weight, BeamOptions())
        for (hypothesis,) in search(frames(0), FRAMES):
            assert hypothesis.tokens == []
            assert hypothesis.parts["ctc"] == pytest.approx(0.0, abs=1e-4)


def test_without_a_decoder_ctc_scores_alone():
    decoder, ctc = parts_of(5, 4)
    x = frames(5)
    alone = BeamSearch(None, ctc, TOKENS, 0.3, BeamOptions())(x, FRAMES, 3)
    assert alone == BeamSearch(decoder, ctc, TOKENS, 1.0, BeamOptions())(x, FRAMES, 3)
    assert all(set(h.parts) == {"ctc"} for utt in alone for h in utt)
    attention = BeamSearch(decoder, None, TOKENS, 0.3, BeamOptions())(x, FRAMES, 3)
    assert attention == BeamSearch(decoder, ctc, TOKENS, 0.0, BeamOptions())(x, FRAMES, 3)


def test_when_nothing_is_long_enough_shorter_hypotheses_count():
    decoder, ctc = parts_of(1, 2)
    options = BeamOptions(beam_size=3, maxlenratio=0.5, minlenratio=0.8)
    x, lengths = frames(1)[:3], FRAMES[:3]
    ours = BeamSearch(decoder, ctc, TOKENS, 0.3, options)(x, lengths, ALL)
    theirs = espnet(decoder, ctc, 0.3, options, x, lengths)
    assert min(map(len, ours)) > 0
    for mine, other in zip(ours, theirs, strict=True):
        assert comparable(other, 0.3)
        assert_same(mine, other)


@pytest.mark.parametrize(
    "name, changes",
    [
        ("TransformerDecoder", {"qk_norm": True}),
        ("TransformerDecoder", {"use_sdpa": True}),
        ("TransformerDecoder", {"concat_after": True}),
        ("TransformerDecoder", {"normalize_before": False}),
        ("LightweightConvolutionTransformerDecoder", {"conv_kernel_length": (3, 3)}),
        ("DynamicConvolutionTransformerDecoder", {"conv_kernel_length": (3, 3)}),
    ],
)
def test_other_decoders_of_espnet(name, changes):
    decoder, ctc = parts_of(4, 3, getattr(transformer_decoder, name), **changes)
    options = BeamOptions(beam_size=4)
    ours = BeamSearch(decoder, ctc, TOKENS, 0.3, options)(frames(4), FRAMES, ALL)
    theirs = espnet(decoder, ctc, 0.3, options, frames(4))
    compared = [pair for pair in zip(ours, theirs, strict=True) if comparable(pair[1], 0.3)]
    assert len(compared) > 1
    for mine, other in compared:
        assert_same(mine, other)


def test_a_decoder_that_scores_one_hypothesis_at_a_time_is_refused():
    with pytest.raises(UsageError, match="RNNDecoder.*decoder: transformer"):
        BeamSearch(RNNDecoder(SIZE, WIDTH), None, TOKENS, 0.0, BeamOptions())


def test_greedy_ctc_collapses_the_likeliest_path():
    ctc = CTC(4, 4).eval()
    ctc.ctc_lo.weight.data = 9 * torch.eye(4)
    ctc.ctc_lo.bias.data.zero_()
    path = torch.tensor([[1, 1, 0, 1, 2, 2, 3, 0], [2, 1, 1, 1, 1, 1, 1, 1], [1] * 8])
    x = torch.nn.functional.one_hot(path, 4).float()
    search = GreedyCTC(ctc, ["<blank>", "a", "b", "<sos/eos>"])
    (first,), (second,), third = search(x, torch.tensor([8, 1, 0]))
    assert first.tokens == ["a", "a", "b"] and second.tokens == ["b"] and third == []
    best = torch.tensor([9.0, 0, 0, 0]).log_softmax(0)[0].item()
    assert first.score == pytest.approx(8 * best, abs=1e-5)
    assert second.parts == {"ctc": pytest.approx(best, abs=1e-6)}
