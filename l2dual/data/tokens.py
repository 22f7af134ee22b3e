"""Token lists, one per output or one for both, and the way back from tokens to text."""

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import sentencepiece
import tokenizers
from espnet2.text.abs_tokenizer import AbsTokenizer
from espnet2.text.char_tokenizer import CharTokenizer
from espnet2.text.sentencepiece_tokenizer import SentencepiecesTokenizer
from espnet2.text.token_id_converter import TokenIDConverter
from espnet2.text.word_tokenizer import WordTokenizer

from l2dual.data.datadir import read_table
from l2dual.data.weights import model_folder, read_tokenizer
from l2dual.errors import DataError, UsageError
from l2dual.files import atomic_write
from l2dual.text import BLANK, SOS_EOS, UNKNOWN

SPACE = "Ġ"  # in Whisper's subwords


class JamoTokenizer(CharTokenizer):
    """Hangul syllables by their letters (NFD), everything else by characters.

    A learner's errors make syllables that no training text has; their letters it has.
    """

    def text2tokens(self, line: str) -> list[str]:
        """Letters of ``line``; an onset and a coda are different letters."""
        return super().text2tokens(unicodedata.normalize("NFD", line))

    def tokens2text(self, tokens: Iterable[str]) -> str:
        """The syllables (NFC) that ``tokens`` compose."""
        return unicodedata.normalize("NFC", super().tokens2text(tokens))


class WhisperTokenizer(AbsTokenizer):
    """Whisper's subwords of a text that has a space before it, as Whisper writes it.

    Args:
        path: a tokenizer.json in Hugging Face's format.

    Raises:
        DataError: it is none.
    """

    def __init__(self, path: str):
        try:
            self.subwords = tokenizers.Tokenizer.from_file(path)
        except Exception as error:  # tokenizers raises no other kind
            raise DataError(f"{path}: not a tokenizer ({str(error).splitlines()[0]}): get or make it again") from error

    def text2tokens(self, line: str) -> list[str]:
        """Subwords of ``line``, their bytes as letters."""
        return self.subwords.encode(f" {line}", add_special_tokens=False).tokens

    @staticmethod
    def pieces(tokens: Sequence[str]) -> list[str]:
        """What each token adds to the text; a letter of several tokens is the last one's."""
        found, done = [], ""
        for end in range(1, len(tokens) + 1):
            text = tokenizers.decoders.ByteLevel().decode(list(tokens[:end]))
            found.append("" if text.endswith("\ufffd") else text[len(done) :])
            done = done if text.endswith("\ufffd") else text
        return found

    @staticmethod
    def tokens2text(tokens: Iterable[str]) -> str:
        """The text that ``tokens`` write."""
        return tokenizers.decoders.ByteLevel().decode(list(tokens)).strip()


def build_tokenizer(token_type: str, bpemodel: str | None = None) -> AbsTokenizer:
    """The tokenizer of ``token_type``; most are ESPnet's. `bpe` and `whisper` need their model's file."""
    if token_type == "bpe":
        return SentencepiecesTokenizer(bpemodel)
    if token_type == "whisper":
        return WhisperTokenizer(str(bpemodel))
    kinds = {"char": CharTokenizer, "jamo": JamoTokenizer, "phn": WordTokenizer, "word": WordTokenizer}
    return kinds[token_type]()


class TextToIds:
    """A text -> token ids, as a training writes it.

    Args:
        token_type, bpemodel, token_list: a training's, for one output.
    """

    FROM = ("token_type", "bpemodel", "token_list")

    def __init__(self, token_type: str, bpemodel: str | None, token_list: str | Sequence[str]):
        self.tokenizer = build_tokenizer(token_type, bpemodel)
        self.converter = TokenIDConverter(token_list, UNKNOWN)

    def __call__(self, text: str) -> list[int]:
        """The ids of ``text``."""
        return self.converter.tokens2ids(self.tokenizer.text2tokens(text))


def write_tokens(
    texts: Iterable[Path], token_type: str, out: Path, nbpe: int | None = None, whisper: Path | None = None
) -> list[str]:
    """Write ``out``/tokens.txt (and bpe.model) from the training texts; return the tokens.

    Tokens are ordered by frequency, then alphabetically, between `<blank>`, `<unk>` and
    `<sos/eos>`. Those of `whisper` are the subwords of the model in the directory ``whisper`` that
    its tokenizer can make of the bytes of the training texts, so they write any word in their letters.

    Raises:
        DataError: a text is no table, or the vocabulary asked for is larger than the texts allow.
        UsageError: ``whisper`` has no tokenizer that fits its weights.
    """
    lines = [line for text in texts for line in read_table(text).values()]
    out.mkdir(parents=True, exist_ok=True)
    model = None
    if token_type == "bpe":
        model = _train_sentencepiece(lines, out, nbpe)
    if token_type == "whisper":
        if whisper is None:
            raise UsageError("whisper tokens need its weights: give a train_config with decoder: whisper, or --whisper")
        model = _choose_subwords(lines, out, model_folder(str(whisper)))
    tokenizer = build_tokenizer(token_type, model)
    counts = Counter(token for line in lines for token in tokenizer.text2tokens(line))
    if token_type == "whisper":
        counts.update(dict.fromkeys(tokenizer.subwords.get_vocab(), 0))
    ordered = sorted(counts, key=lambda token: (-counts[token], token))
    reserved = (BLANK, UNKNOWN, SOS_EOS)
    tokens = [BLANK, UNKNOWN, *(t for t in ordered if t not in reserved), SOS_EOS]
    with atomic_write(out / "tokens.txt") as stream:
        stream.writelines(f"{token}\n" for token in tokens)
    return tokens


def _train_sentencepiece(lines: Sequence[str], out: Path, nbpe: int | None) -> str:
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_prefix=str(out / "bpe"),
            model_type="bpe",
            vocab_size=nbpe,
            character_coverage=1.0,
            bos_id=-1,
            eos_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise DataError(
            f"--nbpe {nbpe} does not fit the training text of {len(lines)} utterances: "
            f"{str(error).splitlines()[0].split(') ')[-1]}"
        ) from error
    return str(out / "bpe.model")


def _choose_subwords(lines: Sequence[str], out: Path, folder: Path) -> str:
    """Write ``out``/bpe.model, Whisper's tokenizer with no other bytes than those of ``lines``."""
    content = read_tokenizer(folder)
    WhisperTokenizer(str(folder / "tokenizer.json"))  # is whole
    used = {letter for line in lines for letter in _bytes(f" {line}")}
    model = content["model"]
    model["vocab"] = {token: number for token, number in model["vocab"].items() if used.issuperset(token)}
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
    model["merges"] = [pair for pair in pairs if used.issuperset("".join(pair))]
    model["vocab"][UNKNOWN] = 1 + max(model["vocab"].values())
    model["unk_token"] = UNKNOWN
    content["added_tokens"] = []
    with atomic_write(out / "bpe.model") as stream:
        json.dump(content, stream, ensure_ascii=False)
    return str(out / "bpe.model")


def unwritten(tokens: Iterable[str], words: bool = False) -> Callable[[str], list[str]]:
    """What of a text a token list can't write: letters; or, by a list of phones or words, those.

    ``words``: it is known to be of phones or words. Else that is seen in its tokens.
    """
    known = set(tokens)
    if words:
        return lambda text: sorted(set(text.split()) - known)
    letters = all(len(token) < 2 or token.startswith("<") for token in known)  # without a space: texts of one word
    if "<space>" in known or letters or any("▁" in token for token in known):
        alphabet = {" ", *"".join(token for token in known if not token.startswith("<") or token == "<")}
        return lambda text: sorted(_letters(text, alphabet) - alphabet)
    if SPACE in known:
        return lambda text: sorted(letter for letter in set(text) if not known.issuperset(_bytes(letter)))
    return lambda text: sorted(set(text.split()) - known)


def _letters(text: str, alphabet: set[str]) -> set[str]:
    """Those of ``text``; of Hangul the jamo, unless the alphabet has all its syllables."""
    return set(text if alphabet.issuperset(text) else unicodedata.normalize("NFD", text))


def _bytes(text: str) -> str:
    """Bytes as the letters that Whisper's subwords have for them."""
    letters = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return letters.pre_tokenize_str(text)[0][0]


def tokens_to_text(tokens: Sequence[str], token_type: str) -> str:
    """The text that ``tokens`` write; phones and words are separated by spaces.

    An unknown token stays `<unk>` (sentencepiece would write " ⁇ ").
    """
    if token_type in ("phn", "word"):
        return " ".join(tokens)
    if token_type == "bpe":
        text = "".join(tokens).replace("▁", " ")
    elif token_type == "whisper":
        text = WhisperTokenizer.tokens2text(tokens)
    else:
        text = build_tokenizer(token_type).tokens2text(tokens)
    return " ".join(text.split())
