"""Whisper's decoder with adapters, on small random weights in the published format."""

import json

import numpy as np
import pytest
import soundfile
import torch
from tokenizers import Tokenizer
from transformers import WhisperFeatureExtractor, WhisperModel

from l2dual.bin import token_list
from l2dual.bin import zero_shot as zero_shot_command
from l2dual.data.datadir import read_table, write_datadir
from l2dual.data.recording import read
from l2dual.data.tokens import build_tokenizer, tokens_to_text, write_tokens
from l2dual.data.utterance import Utterance
from l2dual.data.validate import Options, validate
from l2dual.errors import DataError, L2DualError, UsageError
from l2dual.inference.listening import listen
from l2dual.models import zero_shot
from l2dual.models.beam import BeamOptions, BeamSearch
from l2dual.models.scorers import CachedSteps, decoder_steps
from l2dual.models.search import DualDecoder, SearchOptions
from l2dual.models.whisper_decoder import END, START, WhisperDecoder, prompt_of
from l2dual.models.zero_shot import ZeroShot
from tests.conftest import ROOT, SURFACE_TOKENS
from tests.models.conftest import TEXT, WIDTH, save_tokenizer, save_weights

INFO = {"corpus": "x", "language": "en", "convention": "heard", "surface_unit": "char", "meaning_unit": "char"}


@pytest.fixture(params=["subwords", "phones"])
def decoder(weights, vocabulary, request):
    """With adapters that change something; of Whisper's subwords, or of a vocabulary of its own."""
    torch.manual_seed(1)
    tokens = vocabulary if request.param == "subwords" else None
    decoder = WhisperDecoder(len(vocabulary), WIDTH, str(weights), rank=2, tokens=tokens).eval()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return decoder


def test_the_vocabulary_writes_all_words_in_the_texts_letters(tokens, vocabulary):
    tokenizer = build_tokenizer("whisper", str(tokens / "bpe.model"))
    assert tokenizer.text2tokens(TEXT) == ["Ġthe", "Ġt", "e", "a", "Ġa", "t", "Ġthe", "Ġt", "e", "e"]
    assert set(vocabulary) == {*"Ġthea", "Ġt", "he", "Ġa", "te", "Ġthe", "<blank>", "<unk>", "<sos/eos>"}
    assert tokens_to_text(tokenizer.text2tokens("heat"), "whisper") == "heat"
    assert "<unk>" in tokenizer.text2tokens("zoo")


def test_texts_are_compared_with_whispers_bytes(tokens, tmp_path):
    texts = {"s1-1": "heat the tea", "s1-2": "zoo", "s1-3": "thé"}
    utts = [Utterance(utt, "test", "s1", tmp_path / "a.wav", "a", text, "a", l1="fr") for utt, text in texts.items()]
    write_datadir(tmp_path / "test", utts, INFO)
    _, found = validate(tmp_path / "test", Options(tokens={"meaning": tokens / "tokens.txt"}, audio=False))
    named = {finding.utterance: finding.detail for finding in found if finding.check == "tokens"}
    assert named == {"s1-2": "o z", "s1-3": "é"}


def test_stage_5_names_texts_that_whisper_can_not_write(weights, tmp_path, monkeypatch, capsys):
    def call(**texts):
        command = ["token_list", "--token_type", "whisper", "--whisper", weights, "--out", tmp_path / "out"]
        for split, text in {"text": TEXT, **texts}.items():
            (tmp_path / split).write_text(f"u1 {TEXT}\nu2 {text}\nu3 {text}\n")
            command += [f"--{split}", tmp_path / split]
        monkeypatch.setattr("sys.argv", list(map(str, command)))
        token_list.main()
        return capsys.readouterr().out.splitlines()[1:]

    assert call(valid=TEXT, test=TEXT) == []
    found = call(valid="thé", test=f"{'the ' * 21}zoo")
    assert len(found) == 2 and found[0].endswith("valid, utterance u2 (and 1 more): in no training text, "
                                                 "so it counts as <unk>: é")  # fmt: skip
    for split in ("text", "valid"):
        assert call(**{split: "the " * 20}) == []
        with pytest.raises(DataError, match=f"{split}, utterance u2: 21 subwords, and Whisper writes at most 20: corr"):
            call(**{split: "the " * 21})
        capsys.readouterr()


@pytest.mark.parametrize("language, token", [("en", 50259), ("ko", 50264)])
def test_before_training_it_is_whisper(weights, vocabulary, language, token):
    """Scores of a text behind the prompt of its language, as Hugging Face's model has them."""
    conf = {"rank": 2, "tokens": vocabulary, "language": language}
    decoder = WhisperDecoder(len(vocabulary), WIDTH, str(weights), **conf).eval()
    whisper = WhisperModel.from_pretrained(weights).eval().decoder
    ids = json.loads((weights / "tokenizer.json").read_text())["model"]["vocab"]
    states, text = torch.randn(1, 9, WIDTH), [4, 5, 3]
    theirs = [50258, token, 50359, START, *(ids[vocabulary[i]] for i in text)]
    ours = torch.tensor([[len(vocabulary) - 1, *text]])
    with torch.no_grad():
        scores, _ = decoder(states, torch.tensor([9]), ours, torch.tensor([4]))
        hidden = whisper(torch.tensor([theirs]), encoder_hidden_states=states).last_hidden_state
        expected = hidden @ whisper.embed_tokens.weight.T
    rows = [*(ids[token] for token in vocabulary[2:-1]), END]
    torch.testing.assert_close(scores[0, :, 2:], expected[0, 3:, rows], atol=1e-4, rtol=0)
    assert (scores[..., :2] == -100).all()  # blank and unknown


def test_a_batch_gives_what_single_utterances_give(decoder):
    states, text = torch.randn(2, 9, WIDTH), torch.tensor([[9, 4, 5], [9, 3, 9]])
    with torch.no_grad():
        both, _ = decoder(states, torch.tensor([9, 6]), text, torch.tensor([3, 2]))
        alone, _ = decoder(states[1:, :6], torch.tensor([6]), text[1:, :2], torch.tensor([2]))
    torch.testing.assert_close(both[1:, :2], alone, atol=1e-5, rtol=0)


def test_the_search_with_a_cache_scores_as_the_whole_forward(decoder, vocabulary):
    states, lengths = torch.randn(2, 9, WIDTH), torch.tensor([9, 6])
    steps = decoder_steps(decoder, states, lengths)
    assert isinstance(steps, CachedSteps)
    eos = len(vocabulary) - 1
    texts = torch.tensor([[[eos, 4, 5, 3], [eos, 3, 6, 6]], [[eos, 3, 4, 5], [eos, 5, 4, 3]]])
    with torch.inference_mode():
        for length in range(1, 5):
            now = texts[:, :1, :1] if length == 1 else texts[..., :length]
            scores = steps.score(now)
            flat, width = now.flatten(0, 1), now.size(1)
            read = states.repeat_interleave(width, 0), lengths.repeat_interleave(width)
            whole, _ = decoder(*read, flat, torch.full((len(flat),), length))
            expected = whole[:, -1].log_softmax(1).view(2, width, -1)
            torch.testing.assert_close(scores, expected, atol=1e-4, rtol=0)
            if length < 4:
                parents = torch.tensor([[0, 0], [0, 0]]) if length == 1 else torch.tensor([[0, 1], [0, 1]])
                steps.extend(parents, texts[..., length])


def test_a_search_ends_where_whisper_has_no_more_places(decoder, vocabulary):
    with torch.no_grad():
        decoder.output_layer.bias[-1] = -100.0  # never the end
    search = BeamSearch(decoder, None, vocabulary, 0.0, BeamOptions(beam_size=2))
    [[best]] = search(torch.randn(1, 60, WIDTH), torch.tensor([60]))
    assert len(best.tokens) <= decoder.longest == 21


@pytest.mark.parametrize("layers", [(1, 2), (3, 1)])
def test_another_layer_than_the_last_is_refused(model, layers):
    with pytest.raises(UsageError, match="must read the last .* has layers 0 to 3: name 3 last") as error:
        model(layers=layers)
    assert "\n" not in str(error.value)
    assert not model("so_surface_ctconly", layers=layers).decoders
    assert model(layers=layers, rank=0).encoder.adapted


def test_gradients_reach_the_adapters_and_nothing_frozen(model, spoken):
    model = model()
    frozen = model.decoders["meaning"].embed[0].weight.clone()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss, stats, _ = model(**spoken)
        loss.backward()
        losses.append(float(stats["loss_att_meaning"]))
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0], losses
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert torch.equal(model.decoders["meaning"].embed[0].weight, frozen)
    trained = dict(model.decoders.named_parameters())
    assert trained and {name.rsplit(".", 1)[1] for name in trained} == {"up", "down"}


def test_it_gives_the_states_of_its_layers_without_the_prompt(decoder):
    inputs = torch.randn(1, 9, WIDTH), torch.tensor([9]), torch.tensor([[9, 4, 5]]), torch.tensor([3])
    with torch.no_grad():
        scores, _ = decoder(*inputs)
        (same, states), lengths = decoder(*inputs, return_all_hs=True)
        last = decoder.output_layer(decoder.after_norm(states[-1]))
    assert [state.shape for state in states] == [(1, 3, WIDTH)] * 2 and lengths.tolist() == [3]
    assert torch.equal(scores, same) and torch.equal(scores, last)


@pytest.mark.parametrize("rank", [2, None])
def test_a_surface_in_phones_has_a_vocabulary_of_its_own(build_model, weights, batch, rank):
    """Behind Whisper's layers, which keep their weights or, without adapters, are trained too."""
    model = build_model(
        "so_surface",
        frontend="waveform",
        frontend_conf={},
        normalize=None,
        encoder="pretrained",
        encoder_conf={"path": str(weights)},
        decoder="whisper",
        decoder_conf={"path": str(weights), "rank": rank},
        surface_token_type="phn",
        init="xavier_uniform",  # of what is not pretrained
    )
    speech = {"speech": torch.randn(3, 16000), "speech_lengths": torch.tensor([16000, 16000, 12000])}
    loss, _, _ = model(**batch | speech)
    loss.backward()
    reached = {name for name, parameter in model.decoders["surface"].named_parameters() if parameter.grad is not None}
    own = {"embed.0.weight", "output_layer.weight", "output_layer.bias"}
    assert own < reached and ("after_norm.weight" in reached) == (rank is None)
    assert reached == {name.removeprefix("decoders.surface.") for name in model.state_dict() if "decoders." in name}
    whisper = WhisperModel.from_pretrained(weights).decoder.layers[1].fc1.weight
    layer = model.decoders["surface"].decoders[1].feed_forward.w_1
    assert torch.equal(layer.weight, whisper)
    model.decoders["surface"].forget(1)
    assert torch.equal(layer.weight, whisper) == (rank is not None)


def test_a_checkpoint_holds_what_was_trained_and_gives_the_same_model(model, spoken):
    one, other = model(), model()
    for parameter in one.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    state = one.state_dict()
    of_decoder = {name for name in state if name.startswith("decoders.")}
    assert of_decoder == {f"decoders.{name}" for name, _ in one.decoders.named_parameters()}
    other.load_state_dict(state)
    with torch.no_grad():
        assert torch.equal(one.eval()(**spoken)[0], other.eval()(**spoken)[0])


def test_each_output_reads_its_own_states(model, spoken):
    model = model().eval()
    with torch.no_grad():
        encoded = model.encode(spoken["speech"], spoken["speech_lengths"])
        layers, frames = model.frontend.frozen_states(spoken["speech"], spoken["speech_lengths"])
    meaning, lengths = encoded.of("meaning")
    assert torch.equal(meaning, layers[..., WIDTH:]) and torch.equal(lengths, frames)
    surface, lengths = encoded.of("surface")
    assert surface.shape == (3, int(frames.max()) // 2, 8) and torch.equal(lengths, frames // 2)
    found = DualDecoder(model, SearchOptions(beam_size=2))(spoken["speech"], spoken["speech_lengths"])
    assert set(found) == {"surface", "meaning"} and set().union(*found["surface"]) <= set(SURFACE_TOKENS)


@pytest.mark.parametrize("system, output", [("so_surface_ctconly", "surface"), ("so_meaning_attention", "meaning")])
def test_a_dual_output_system_is_two_single_output_ones(model, spoken, system, output):
    """They share what is frozen alone."""
    both, alone = model().eval(), model(system).eval()
    assert set(alone.state_dict()) < set(both.state_dict())
    with torch.no_grad():
        name = f"acc_{output}"
        assert both(**spoken)[1][name] == alone(**spoken)[1][name]


def test_what_does_not_fit_is_refused(weights, vocabulary, tmp_path):
    def make(path, width=WIDTH, tokens=vocabulary, **conf):
        return WhisperDecoder(len(tokens), width, str(path), tokens=tokens, **conf)

    with pytest.raises(UsageError, match="language: fr: use en or ko"):
        make(weights, language="fr")

    with pytest.raises(UsageError, match="states of 16 values, and the encoder gives 8"):
        make(weights, 8)
    with pytest.raises(UsageError, match="has no token xyz: give the output the token type whisper"):
        make(weights, tokens=["<blank>", "<unk>", "xyz", "<sos/eos>"])
    with pytest.raises(UsageError, match="not those of a multilingual Whisper"):
        make(save_weights(tmp_path, vocab_size=51864))
    save_weights(tmp_path)
    save_tokenizer(tmp_path, the=262)  # as the English models have it
    with pytest.raises(UsageError, match="not those of a multilingual Whisper"):
        make(tmp_path)
    save_tokenizer(tmp_path)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"decoder_layers": 2', '"decoder_layers": 3'))
    with pytest.raises(UsageError, match=r"its weights lack decoder\.layers\.2\.self_attn\."):
        make(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match=r"tokenizer.json: no such file: run l2dual get_whisper"):
        make(tmp_path)


def _english(path):
    save_weights(path, vocab_size=51864)


def _large(path):
    save_weights(path, vocab_size=51866)


def _foreign(path):
    (path / "tokenizer.json").write_text('{"model": {"type": "Unigram", "vocab": [["a", 0.0]]}}')


def _truncated(path):
    file = path / "tokenizer.json"
    file.write_bytes(file.read_bytes()[:-200])


def _incomplete(path):
    file = path / "tokenizer.json"
    content = json.loads(file.read_text("utf-8"))
    content["model"]["merges"] = "none"
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "spoil, fault",
    [
        (_english, "not those of a multilingual Whisper"),
        (_large, "not those of a multilingual Whisper"),
        (_foreign, "not those of a multilingual Whisper"),
        (_truncated, r"tokenizer.json: not JSON \(.*\): get the model again"),
        (_incomplete, r"tokenizer.json: not a tokenizer \(.*\): get or make it again"),
    ],
)
def test_what_is_no_tokenizer_of_the_weights_is_one_line(tmp_path, spoil, fault):
    """In stage 5, and where Whisper transcribes as it comes."""
    spoil(save_weights(tmp_path))
    (tmp_path / "text").write_text(f"u1 {TEXT}\n")
    for call in (
        lambda: write_tokens([tmp_path / "text"], "whisper", tmp_path / "out", whisper=tmp_path),
        lambda: ZeroShot(str(tmp_path)),
    ):
        with pytest.raises(L2DualError, match=fault) as error:
            call()
        assert "\n" not in str(error.value) and not (tmp_path / "out/tokens.txt").exists()


def test_a_text_that_whisper_can_not_write_is_refused(decoder):
    text = torch.full((1, 22), 3)
    with pytest.raises(DataError, match="21 tokens: Whisper writes at most 20: correct it"):
        decoder(torch.randn(1, 9, WIDTH), torch.tensor([9]), text, torch.tensor([22]))


@pytest.fixture
def noise():
    return 0.1 * torch.randn(16000, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("language", ["en", "ko"])
def test_whisper_as_it_comes(weights, noise, language, monkeypatch):
    """The likeliest text by Hugging Face's model, one token at a time, of audio padded to 30 s."""
    monkeypatch.setattr(zero_shot, "RULES", {})
    found = ZeroShot(str(weights), language, beam_size=1)(noise)
    whisper = WhisperModel.from_pretrained(weights).eval()
    given = WhisperFeatureExtractor()(noise.numpy(), sampling_rate=16000, return_tensors="pt")["input_features"]
    assert given.shape[2] == 3000
    subwords = Tokenizer.from_file(str(weights / "tokenizer.json"))
    unspoken = [*(subwords.token_to_id(sign) for sign in '"#()*+/:;<=>@[]^_`{|}~'), subwords.token_to_id("\\")]
    text = [*prompt_of(language), START]
    with torch.no_grad():
        states = whisper.encoder(given).last_hidden_state
        while len(text) < whisper.config.max_target_positions and END not in text:
            last = whisper.decoder(torch.tensor([text]), encoder_hidden_states=states).last_hidden_state[0, -1]
            scores = last @ whisper.decoder.embed_tokens.weight.T
            scores[[*unspoken, 50258, *range(50358, START)]] = -torch.inf
            if len(text) == 4:
                scores[[220, END]] = -torch.inf
            text.append(int(scores.argmax()))
    expected = subwords.decode([number for number in text[4:] if number < END])
    assert found == " ".join(expected.split())


@pytest.mark.slow
def test_a_text_that_whisper_doubts_is_drawn_again(weights, noise, monkeypatch):
    by_rules = ZeroShot(str(weights), beam_size=1)
    drawn = by_rules(noise)
    assert by_rules(noise) == drawn  # the same each time
    monkeypatch.setattr(zero_shot, "RULES", zero_shot.RULES | {"temperature": 0.0})
    assert by_rules(noise) != drawn


@pytest.mark.slow
def test_whisper_as_a_command(weights, tmp_path, monkeypatch):
    wave = tmp_path / "a.wav"
    soundfile.write(wave, 0.1 * np.random.default_rng(0).standard_normal(8000), 16000)

    def prepared(name, rate):
        utts = [Utterance(f"s1-{n}", "test", "s1", wave, "so", "so", "so", l1="mandarin") for n in range(3)]
        write_datadir(tmp_path / name, utts, INFO | {"sampling_rate": rate})
        return tmp_path / name

    def call(data, out, *words):
        command = ["zero_shot", "--path", weights, "--data", data, "--utts", 2, "--out", tmp_path / out, *words]
        monkeypatch.setattr("sys.argv", list(map(str, command)))
        zero_shot_command.main()
        return read_table(tmp_path / out / "text.meaning")

    monkeypatch.setattr(zero_shot, "RULES", {})
    data = prepared("test", 16000)
    texts = call(data, "out")
    assert len(texts) == 2 and call(data, "out") == texts and len(call(data, "out", "--utts", "3")) == 3
    assert call(data, "out", "--seed", "1") == call(data, "new", "--seed", "1")  # not those of another draw
    assert read_table(tmp_path / "out/text.meaning.old").keys() == {f"s1-{n}" for n in range(3)}
    with pytest.raises(UsageError, match="is at 8000 Hz, and Whisper takes 16000 Hz"):
        call(prepared("slow", 8000), "other")
    with pytest.raises(UsageError, match="model.safetensors: no such file"):
        call(data, "third", "--path", str(tmp_path))


@pytest.mark.slow
def test_whisper_takes_long_speech_by_what_lies_between_pauses(weights, tmp_path, monkeypatch):
    sound = read(str(ROOT / "docs/corpora/examples/audio/mina.opus"))
    voice = listen((sound.samples, sound.rate), 16000).samples
    once, pause = np.append(voice, np.zeros(32000, np.float32)), 16000
    number = 1 + 32 * 16000 // len(once)
    wave = tmp_path / "long.wav"
    soundfile.write(wave, np.tile(once, number), 16000)
    utterance = Utterance("s1-1", "test", "s1", wave, "so", "so", "so", l1="mandarin")
    write_datadir(tmp_path / "test", [utterance], INFO | {"sampling_rate": 16000})
    heard = []
    monkeypatch.setattr(ZeroShot, "__call__", lambda self, piece: heard.append(piece) or f"{len(heard)}")
    command = ["zero_shot", "--path", weights, "--data", tmp_path / "test", "--out", tmp_path / "out"]
    monkeypatch.setattr("sys.argv", list(map(str, command)))
    zero_shot_command.main()
    assert len(heard) >= number and all(len(piece) < len(voice) + pause for piece in heard)
    expected = " ".join(str(n + 1) for n in range(len(heard)))
    assert read_table(tmp_path / "out/text.meaning") == {"s1-1": expected}
