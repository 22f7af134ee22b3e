"""A small Whisper of random weights in the published format, and models on it."""

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

from l2dual.data.tokens import write_tokens

WIDTH = 16
TEXT = "the tea at the tee"


def save_tokenizer(path, the=264):
    """Bytes, and five pairs; ``the`` is the id of the last."""
    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    pairs = [("Ġ", "t"), ("h", "e"), ("Ġ", "a"), ("t", "e"), ("Ġt", "he")]
    numbers = [256, 257, 258, 259, the]
    vocabulary = letters | {left + right: number for (left, right), number in zip(pairs, numbers, strict=True)}
    tokenizer = Tokenizer(models.BPE(vocabulary, pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(path / "tokenizer.json"))


def save_weights(path, width=WIDTH, vocab_size=51865, positions=24):
    torch.manual_seed(0)
    sizes = dict(d_model=width, encoder_layers=3, decoder_layers=2, vocab_size=vocab_size)
    sizes |= dict(encoder_attention_heads=2, decoder_attention_heads=2, pad_token_id=1)
    sizes |= dict(encoder_ffn_dim=24, decoder_ffn_dim=24, max_target_positions=positions)
    sizes |= dict(bos_token_id=1, eos_token_id=1, decoder_start_token_id=1, init_std=0.3)
    WhisperModel(WhisperConfig(**sizes)).save_pretrained(path)
    WhisperFeatureExtractor().save_pretrained(path)
    save_tokenizer(path)
    return path


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="session")
def tokens(weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "text").write_text(f"u1 {TEXT}\n")
    write_tokens([folder / "text"], "whisper", folder, whisper=weights)
    return folder


@pytest.fixture
def vocabulary(tokens):
    return (tokens / "tokens.txt").read_text("utf-8").splitlines()


@pytest.fixture
def model(build_model, weights, vocabulary):
    """Surface by CTC over a mix of layers, meaning by Whisper's decoder; of three blocks those above the
    last of the ``layers`` have adapters of a ``rank``."""

    def build(system="do_split", layers=(1, 3), rank=None, **changes):
        head = {"stack": 2, "output_size": 8, "attention_heads": 2, "linear_units": 8, "num_blocks": 1}
        return build_model(
            system,
            frontend="pretrained",
            frontend_conf={"path": str(weights), "layers": list(layers), "mix": False},
            normalize=None,
            encoder="layered",
            encoder_conf={"layers": len(layers), "heads": {"surface": head}, "rank": rank},
            decoder="whisper",
            decoder_conf={"path": str(weights), "rank": 2, **changes},
            model_conf={"lsm_weight": 0.0},
            meaning_token_list=vocabulary,
        )

    return build


@pytest.fixture
def spoken(batch, vocabulary):
    """The batch, its meaning in Whisper's subwords."""
    generator = torch.Generator().manual_seed(2)
    meaning = torch.randint(2, len(vocabulary) - 1, (3, 5), generator=generator)
    meaning[2, 3:] = -1
    return batch | {"meaning": meaning, "meaning_lengths": torch.tensor([5, 5, 3])}
