"""Tokenizers: loading any model's own, and training the embedded ones.

The three embedded families share one way to cut text, so that they differ only in what the lecture says they differ in.
Text is composed (NFC) and lower-cased; then it is cut into words, punctuation marks and runs of symbols; each of them
begins with a space mark ("Ġ") wherever it stands, so a word has one and the same first piece at the start of the text,
inside it, after a bracket and after [MASK]; then its bytes (Wang et al. 2020, byte-level BPE) are joined to pieces.
Every byte is in the vocabulary: no text is ever unknown, be it Chinese, an emoji or a control character.

    bert   byte-level BPE      [CLS] a [SEP] b [SEP] with token types 0 and 1; entity marks [E1] [/E1] [E2] [/E2]
    gpt    byte-level BPE      nothing added; keeps line breaks; pads on the left, so that the last token is always text
    t5     byte-level Unigram  a </s>; thirty-two sentinels <extra_id_0> ... for span corruption
"""

from collections import Counter
from collections.abc import Iterable
from math import log
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from minidelta.errors import CheckpointError, ConfigError
from minidelta.hub.locate import VOCABULARIES, find_folder, holds_tokenizer, read_json, refuse_pointer

if TYPE_CHECKING:  # transformers takes seconds to import: only those who need a tokenizer wait for it
    from transformers import PreTrainedTokenizerFast

WORD = r"[\p{L}\p{N}][\p{L}\p{N}\p{M}]*"  # letters and digits with their accents
MARK = r"\p{P}"  # one punctuation mark
SYMBOLS = r"[^\s\p{L}\p{N}\p{P}]+"  # a run of anything else: signs, emoji, control characters

SPECIAL = {  # in the order of their ids, from 0
    "bert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[E1]", "[/E1]", "[E2]", "[/E2]"],
    "gpt": ["<|endoftext|>", "<|pad|>"],
    "t5": ["<pad>", "</s>", "<unk>"] + [f"<extra_id_{i}>" for i in range(32)],
}
ROLES = {  # what transformers is told about them
    "bert": {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"},
    "gpt": {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|pad|>"},
    "t5": {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
}
MAX_LENGTH = 512  # tokens; the positions of the embedded BERT and GPT


def train_tokenizer(family: str, texts: Iterable[str], vocab_size: int) -> "PreTrainedTokenizerFast":
    """Learn a vocabulary from text.

    BPE (Sennrich et al. 2016) joins the commonest neighbouring pieces until the vocabulary is full.  Unigram (Kudo 2018)
    gives every piece a probability and cuts a word where the product is largest; here BPE proposes the pieces, and a
    piece's probability is its share of the text (Kudo starts from all substrings and prunes them by expectation maximisation).

    Args:
        family: "bert", "gpt" or "t5".
        texts: the text to learn from.
        vocab_size: most pieces to have, special tokens included; at least 256 bytes and the special tokens must fit.
    Returns: a transformers fast tokenizer; the same texts give the same one.  Save it with `.save_pretrained(folder)`.
    Raises:  ConfigError for an unknown family or a vocabulary too small.

    >>> tokenizer = train_tokenizer("bert", ["The cheese is good.", "The good cheese!"], vocab_size=300)
    >>> tokenizer.decode(tokenizer("Cheese: 好").input_ids)
    '[CLS] cheese: 好[SEP]'
    """
    from transformers import PreTrainedTokenizerFast

    if family not in SPECIAL:
        raise ConfigError(f"There is no tokenizer family {family!r}; use bert, gpt or t5.")
    special, alphabet = SPECIAL[family], sorted(pre_tokenizers.ByteLevel.alphabet())
    if vocab_size < len(special) + len(alphabet):
        raise ConfigError(f"vocab_size {vocab_size} is too small: {len(alphabet)} bytes and {len(special)} special tokens need {len(special) + len(alphabet)}.")

    marked = [AddedToken(token, special=True, normalized=False) for token in special]  # found in the raw text, never cut
    core = Tokenizer(models.BPE())
    line_break = r"|\n" if family == "gpt" else ""
    pieces = Regex(f"{WORD}|{MARK}|{SYMBOLS}{line_break}")
    core.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    core.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(pieces, behavior="removed", invert=True),  # inverted: what does not match, white space, goes
        pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
    ])
    core.decoder = decoders.Sequence([decoders.ByteLevel(), *_close_up()])
    texts = list(texts)
    core.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=vocab_size, min_frequency=2, special_tokens=marked, initial_alphabet=alphabet, show_progress=False))
    if family == "t5":
        core.model = _unigram(core, texts, len(special))
    if family == "bert":
        ends = [("[CLS]", special.index("[CLS]")), ("[SEP]", special.index("[SEP]"))]
        core.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends)
    if family == "t5":
        core.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])

    others = [token for token in special if token not in ROLES[family].values()]
    inputs = ["input_ids", "token_type_ids", "attention_mask"] if family == "bert" else ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        **ROLES[family],
        additional_special_tokens=others,
        model_max_length=MAX_LENGTH,
        model_input_names=inputs,
        padding_side="left" if family == "gpt" else "right",
        clean_up_tokenization_spaces=False,
    )


def _unigram(bpe: Tokenizer, texts: list[str], n_special: int) -> models.Unigram:
    """Keep the pieces of a BPE tokenizer, but score each with the logarithm of its share of the text (a half if never used)."""
    count = Counter()
    for start in range(0, len(texts), 1000):
        for encoded in bpe.encode_batch_fast(texts[start : start + 1000], add_special_tokens=False):
            count.update(encoded.ids)
    pieces = sorted(bpe.get_vocab().items(), key=lambda item: item[1])  # (piece, id) in the order of the ids
    whole = count.total() + 0.5 * len(pieces)
    scores = [(piece, 0.0 if i < n_special else log((count[i] + 0.5) / whole)) for piece, i in pieces]
    return models.Unigram(scores, unk_id=2, byte_fallback=False)  # the bytes are pieces themselves


def _close_up() -> list[decoders.Decoder]:
    """Take back the spaces that the space mark put before closing marks and after opening ones, for reading."""
    closing = [decoders.Replace(f" {mark}", mark) for mark in [".", ",", ";", ":", "?", "!", ")", "]", "%"]]
    opening = [decoders.Replace(f"{mark} ", mark) for mark in ["(", "[", "$"]]
    within = [decoders.Replace(f" {mark} ", mark) for mark in ["'", "’", "-", "/", "_"]]
    decimal = decoders.Replace(Regex(r"(?<=\p{N}\.) (?=\p{N})"), "")
    return closing + opening + within + [decimal, decoders.Replace(" \n", "\n"), decoders.Replace("\n ", "\n"), decoders.Strip(" ", 1, 0)]


def load_tokenizer(name_or_folder: str | Path) -> "PreTrainedTokenizerFast":
    """Open the tokenizer of an embedded model, of a folder, or of a model on the Hugging Face hub.

    Args:
        name_or_folder: "bert-micro", a folder with tokenizer.json, or a hub name such as "bert-base-uncased".
    Returns: a transformers fast tokenizer.
    Raises:  CheckpointError if there is none, or if its files are damaged.
    """
    folder = find_folder(name_or_folder, weights=False)
    if not holds_tokenizer(folder):
        raise CheckpointError(f"{folder} holds no tokenizer; expected tokenizer.json there (write it with tokenizer.save_pretrained).")
    for name in VOCABULARIES:
        refuse_pointer(folder / name)
    try:
        return _tokenizer_class(folder).from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # a damaged file surfaces as almost any class of error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"The tokenizer in {folder} cannot be read ({reason}); save it again with tokenizer.save_pretrained.") from error


def _tokenizer_class(folder: Path) -> type:
    """AutoTokenizer finds out which class a folder needs; one that says so itself spares its seconds of imports."""
    settings = folder / "tokenizer_config.json"
    if (folder / "tokenizer.json").is_file() and settings.is_file():
        if read_json(settings).get("tokenizer_class") in ("TokenizersBackend", "PreTrainedTokenizerFast"):
            from transformers import PreTrainedTokenizerFast

            return PreTrainedTokenizerFast
    from transformers import AutoTokenizer

    return AutoTokenizer
