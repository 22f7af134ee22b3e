"""The prior that the meaning gives to the surface."""

import itertools
import math

import pytest
import torch
from espnet2.asr.ctc import CTC

from l2dual.errors import UsageError
from l2dual.models.beam import BeamOptions, BeamSearch
from l2dual.models.guide import Channel, Guidance, Guide, likelihoods, said_for, with_errors
from l2dual.models.search import DualDecoder, SearchOptions
from l2dual.text.phones import ERROR

SIZE = 6  # blank, unknown, a, b, c, sos/eos
CHANNEL = Channel(changed=0.2, dropped=0.1, added=0.15)
TOKENS = ["<blank>", "<unk>", "a", "b", "c", "<sos/eos>"]
AS_CALLED = said_for({}, TOKENS)
SAID = said_for({"b": {"b": 0.7, "a": 0.2, "c": 0.1}, "z": {"a": 1.0}}, TOKENS)


def probability(canonical, said):
    """Of all ways in which the channel turns one text into the other, one after another."""
    share = 1 / (SIZE - 2)
    if not canonical:
        return CHANNEL.added * share * probability((), said[1:]) if said else 1 - CHANNEL.added
    whole = CHANNEL.dropped * probability(canonical[1:], said)
    if said:
        here = 1 - CHANNEL.dropped
        passed = CHANNEL.changed * share + (1 - CHANNEL.added - CHANNEL.changed) * SAID[canonical[0], said[0]].item()
        whole += here * CHANNEL.added * share * probability(canonical, said[1:])
        whole += here * passed * probability(canonical[1:], said[1:])
    return whole


def steps(canonical):
    return Guide(SAID[list(canonical)], CHANNEL).steps(torch.zeros(1, 1, 1))


@pytest.mark.parametrize("said", [(), (2,), (2, 3, 4), (3, 3), (4, 2, 4, 4), (1, 2, 3)])
def test_a_texts_probability_is_that_of_all_ways_to_it(said):
    canonical, found, prior = (2, 3, 4), 0.0, steps((2, 3, 4))
    for length, token in enumerate([*said, SIZE - 1]):
        tokens = torch.tensor([[[SIZE - 1, *said[:length]]]])
        scores = prior.score(tokens)
        assert scores.exp().sum().item() == pytest.approx(1.0, abs=1e-6)
        found += scores[0, 0, token].item()
        prior.extend(torch.tensor([[0]]), torch.tensor([[token]]))
    assert found == pytest.approx(torch.tensor(probability(canonical, said)).log().item(), abs=1e-5)


def test_hypotheses_keep_their_own_pasts():
    prior, alone = steps((2, 3)), steps((2, 3))
    for one, parents, tokens in ((prior, [[0, 0]], [[3, 2]]), (prior, [[1, 0]], [[4, 4]])):
        one.extend(torch.tensor(parents), torch.tensor(tokens))
    for token in (2, 4):
        alone.extend(torch.tensor([[0]]), torch.tensor([[token]]))
    both = prior.score(torch.zeros(1, 2, 3, dtype=torch.long))
    torch.testing.assert_close(both[:, :1], alone.score(torch.zeros(1, 1, 3, dtype=torch.long)))


def test_where_the_ctc_is_in_doubt_the_meaning_decides():
    ctc = CTC(SIZE, SIZE).eval()
    with torch.no_grad():
        ctc.ctc_lo.weight.copy_(torch.eye(SIZE))
        ctc.ctc_lo.bias.zero_()
    heard = torch.zeros(1, 5, SIZE)  # a, silence, b or c, silence, a
    for frame, token in enumerate((2, 0, 3, 0, 2)):
        heard[0, frame, token] = 8.0
    heard[0, 2, 4] = 8.1

    def found(canonical):
        search = BeamSearch(Guide(AS_CALLED[list(canonical)], Channel()), ctc, TOKENS, 0.5, BeamOptions())
        return search(heard, torch.tensor([5]))[0][0].tokens

    assert found((2, 3, 2)) == ["a", "b", "a"]
    assert found((2, 4, 2)) == found((2, 1, 2)) == ["a", "c", "a"]
    assert found((3, 3, 3)) == ["a", "b", "a"]  # what was heard well stays


def test_what_is_said_for_a_token_is_a_probability():
    assert SAID.sum(1).tolist() == pytest.approx([1.0] * SIZE) and SAID[2:5, 2:5].tolist() == [
        [1.0, 0.0, 0.0], [0.2, 0.7, 0.1], [0.0, 0.0, 1.0]
    ]  # fmt: skip


def test_likelihoods_are_sums_over_all_alignments():
    generator = torch.Generator().manual_seed(0)
    log_probs = torch.randn(4, 3, generator=generator).log_softmax(-1)
    called = [[1], [1, 1], [2, 1], [], [1, 2, 1, 2, 1]]
    sums = {tuple(ids): 0.0 for ids in called}
    for path in itertools.product(range(3), repeat=4):
        spelled = tuple(token for token, _ in itertools.groupby(path) if token)
        if spelled in sums:
            sums[spelled] += math.exp(sum(log_probs[frame, token].item() for frame, token in enumerate(path)))
    found = likelihoods(log_probs, called).exp()
    assert found.tolist() == pytest.approx(list(sums.values()), abs=1e-6) and found[-1] == 0.0


def test_a_guided_search_asks_what_the_meaning_calls_for(build_model, batch):
    asked = []

    def canonical(meaning):
        asked.append(meaning)
        return [["a", "no such token"], ["none"]]

    model, weights = build_model("do").eval(), {"surface": 0.0, "meaning": 0.7}
    guidance = Guidance(model.token_lists["surface"], canonical)
    decoder = DualDecoder(model, SearchOptions(guided=True, ctc_weight=weights), guidance)
    plain = DualDecoder(model, SearchOptions()).nbest(batch["speech"], batch["speech_lengths"], 4)["meaning"]
    found = decoder(batch["speech"], batch["speech_lengths"])
    assert found == {"surface": [["a"]] * 3, "meaning": [some[0].tokens for some in plain]}
    assert asked == [some[0].tokens for some in plain]


def test_a_guided_search_asks_what_learners_say(build_model, batch):
    model, options = build_model("do").eval(), SearchOptions(guided=True, ctc_weight={"surface": 0.0, "meaning": 0.7})
    for said, expected in (({"a": {"b": 1.0}}, ["b"]), ({"a": {"a": 1.0}}, ["a"])):
        decoder = DualDecoder(model, options, Guidance(model.token_lists["surface"], lambda meaning: [["a"]], said))
        assert decoder(batch["speech"], batch["speech_lengths"])["surface"] == [expected] * 3


def test_errors_take_their_share_and_leave_the_rest_in_proportion():
    calls = torch.tensor([[0.0, 0.6, 0.2, 0.2], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).double()
    found = with_errors(calls, [0.5, 0.25, 0.1], error=2)
    assert found.tolist() == [pytest.approx(row) for row in ([0, 0.375, 0.5, 0.125], [0, 0.75, 0.25, 0], [0, 0, 1, 0])]


def test_a_guided_search_asks_the_rater_about_the_words_of_the_best_meaning(build_model, batch):
    tokens = ["<blank>", "<unk>", "a", ERROR, "c", "<space>", "<sos/eos>"]
    model = build_model("do", surface_token_list=tokens).eval()
    options = SearchOptions(guided=True, ctc_weight={"surface": 0.0, "meaning": 0.7})
    _, frames = model.encode(batch["speech"], batch["speech_lengths"]).of("surface")
    asked = []

    def errors(log_probs, words):
        asked.append((log_probs.shape, words))
        return [0.9, 0.2]

    guidance = Guidance(tokens, lambda meaning: [["a", "b"], ["c"], ["b"]], {"a": {"a": 1.0}}, errors)
    found = DualDecoder(model, options, guidance)(batch["speech"], batch["speech_lengths"])
    assert found["surface"] == [[ERROR, "c"]] * 3  # b is not in the vocabulary
    assert asked == [((int(length), len(tokens)), [["a"], ["c"]]) for length in frames]


def test_a_guided_search_needs_a_guide(build_model):
    with pytest.raises(UsageError, match="needs the lexicon of a run"):
        DualDecoder(build_model("do"), SearchOptions(guided=True))


@pytest.mark.parametrize("system", ["so_surface", "so_meaning"])
def test_a_single_output_is_searched_as_without_a_guide(build_model, batch, system):
    model, speech = build_model(system).eval(), (batch["speech"], batch["speech_lengths"])
    assert DualDecoder(model, SearchOptions(guided=True))(*speech) == DualDecoder(model, SearchOptions())(*speech)


def test_the_surface_has_a_say_in_the_choice_of_the_meaning(build_model, batch):
    """A meaning's score is its own and the weighted log likelihood of what it calls for."""
    model = build_model("do").eval()
    calls = {}

    def canonical(meaning):
        return calls.setdefault(tuple(meaning), [[["a"]], [["b"]], [["a"], ["b"]], [["b", "a"], ["b"]]][len(calls) % 4])

    def nbest(weight):
        options = SearchOptions(guided=True, canonical_weight=weight)
        decoder = DualDecoder(model, options, Guidance(model.token_lists["surface"], canonical))
        return decoder.nbest(batch["speech"], batch["speech_lengths"], 4)["meaning"]

    plain = DualDecoder(model, SearchOptions()).nbest(batch["speech"], batch["speech_lengths"], 4)["meaning"]
    assert [[one.tokens for one in some] for some in nbest(0.0)] == [[one.tokens for one in some] for some in plain]
    encoded = model.encode(batch["speech"], batch["speech_lengths"])
    tokens, (states, lengths) = model.token_lists["surface"], encoded.of("surface")
    for some, usual, own, length in zip(nbest(2.0), plain, states, lengths, strict=True):
        log_probs = model.ctcs["surface"].log_softmax(own[None, :length])[0]
        of = {tuple(one.tokens): one.score for one in usual}
        heard = likelihoods(log_probs, [[tokens.index(t) for word in calls[key] for t in word] for key in of]).tolist()
        due = sorted((score + 2.0 * ll for score, ll in zip(of.values(), heard, strict=True)), reverse=True)
        assert [one.score for one in some] == pytest.approx(due) and {tuple(one.tokens) for one in some} == set(of)
