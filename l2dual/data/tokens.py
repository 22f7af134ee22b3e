"""Token lists, one per output or one for both, and the way back from tokens to text."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import sentencepiece
from espnet2.text.abs_tokenizer import AbsTokenizer
from espnet2.text.char_tokenizer import CharTokenizer
from espnet2.text.sentencepiece_tokenizer import SentencepiecesTokenizer
from espnet2.text.word_tokenizer import WordTokenizer

from l2dual.data.datadir import read_table
from l2dual.errors import DataError
from l2dual.files import atomic_write

TOKEN_TYPES = ("char", "jamo", "bpe", "phn", "word")
BLANK, UNKNOWN, SOS_EOS = "<blank>", "<unk>", "<sos/eos>"


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


def build_tokenizer(token_type: str, bpemodel: str | None = None) -> AbsTokenizer:
    """The tokenizer of ``token_type``; all but that of `jamo` are ESPnet's."""
    if token_type == "bpe":
        return SentencepiecesTokenizer(bpemodel)
    kinds = {"char": CharTokenizer, "jamo": JamoTokenizer, "phn": WordTokenizer, "word": WordTokenizer}
    return kinds[token_type]()


def write_tokens(
    texts: Iterable[Path], token_type: str, out: Path, nbpe: int | None = None
) -> list[str]:
    """Write ``out``/tokens.txt (and bpe.model) from the training texts; return the tokens.

    Tokens are ordered by frequency, then alphabetically, between `<blank>`, `<unk>` and
    `<sos/eos>`.

    Raises:
        DataError: a text is no table, or the vocabulary asked for is larger than the texts allow.
    """
    lines = [line for text in texts for line in read_table(text).values()]
    out.mkdir(parents=True, exist_ok=True)
    model = None
    if token_type == "bpe":
        model = _train_sentencepiece(lines, out, nbpe)
    tokenizer = build_tokenizer(token_type, model)
    counts = Counter(token for line in lines for token in tokenizer.text2tokens(line))
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


def tokens_to_text(tokens: Sequence[str], token_type: str) -> str:
    """The text that ``tokens`` write; phones and words are separated by spaces.

    An unknown token stays `<unk>` (sentencepiece would write " ⁇ ").
    """
    if token_type in ("phn", "word"):
        return " ".join(tokens)
    if token_type == "bpe":
        text = "".join(tokens).replace("▁", " ")
    else:
        text = build_tokenizer(token_type).tokens2text(tokens)
    return " ".join(text.split())
