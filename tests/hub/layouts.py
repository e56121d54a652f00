"""Folders as the hub has them: the files, settings, tensor names and tokenizers of four published models, with random weights.

    bert-base-uncased      WordPiece, vocab.txt and tokenizer.json; LayerNorm.gamma and .beta; heads that config.json does not name
    gpt2                   byte-level BPE, vocab.json and merges.txt; names without "transformer."; mask buffers; no padding piece
    t5-small               Unigram, tokenizer.json with a hundred sentinels; a bias that nothing reads; tied output layer
    google/flan-t5-small   the same tokenizer; gated feed-forward, an output layer of its own; the embedding stored three times

`make(name, folder)` writes a small one, of 2 layers and width 48; `make(name, folder, full=True)` one of the real size.
The vocabulary is learnt from real text where that lies beside the checkout, else from the embedded language.
"""

import json
import string
from functools import cache
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from minidelta.data import load_task
from minidelta.prompt.builtin import LABEL_WORDS
from minidelta.prompt.rules import RELATION_RULES, compose

NAMES = ("bert-base-uncased", "gpt2", "t5-small", "google/flan-t5-small")
REAL_TEXT = Path(__file__).parents[3] / "shared" / "data" / "mr_train.jsonl"
SMALL_VOCABULARY = 3000
OTHER_WORDS = ("terrible", "bad", "horrible", "great", "wonderful", "good", "film", "book", "restaurant", "hotel", "concert", "verdict", "news", "question", "life")

BERT = {"architectures": ["BertForMaskedLM"], "attention_probs_dropout_prob": 0.1, "gradient_checkpointing": False, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 768, "initializer_range": 0.02, "intermediate_size": 3072, "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "bert", "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 0, "position_embedding_type": "absolute", "transformers_version": "4.6.0.dev0", "type_vocab_size": 2, "use_cache": True, "vocab_size": 30522}  # fmt: skip
GPT2 = {"activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1, "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256, "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1, "summary_activation": None, "summary_first_dropout": 0.1, "summary_proj_to_labels": True, "summary_type": "cls_index", "summary_use_proj": True, "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}}, "vocab_size": 50257}  # fmt: skip
T5 = {"architectures": ["T5ForConditionalGeneration"], "d_ff": 2048, "d_kv": 64, "d_model": 512, "decoder_start_token_id": 0, "dropout_rate": 0.1, "eos_token_id": 1, "initializer_factor": 1.0, "is_encoder_decoder": True, "layer_norm_epsilon": 1e-06, "model_type": "t5", "n_positions": 512, "num_heads": 8, "num_layers": 6, "output_past": True, "pad_token_id": 0, "relative_attention_num_buckets": 32, "task_specific_params": {"translation_en_to_de": {"early_stopping": True, "max_length": 300, "num_beams": 4, "prefix": "translate English to German: "}}, "vocab_size": 32128}  # fmt: skip
FLAN = {"architectures": ["T5ForConditionalGeneration"], "d_ff": 1024, "d_kv": 64, "d_model": 512, "decoder_start_token_id": 0, "dropout_rate": 0.1, "eos_token_id": 1, "feed_forward_proj": "gated-gelu", "initializer_factor": 1.0, "is_encoder_decoder": True, "layer_norm_epsilon": 1e-06, "model_type": "t5", "n_positions": 512, "num_decoder_layers": 8, "num_heads": 6, "num_layers": 8, "output_past": True, "pad_token_id": 0, "relative_attention_max_distance": 128, "relative_attention_num_buckets": 32, "tie_word_embeddings": False, "transformers_version": "4.23.1", "use_cache": True, "vocab_size": 32128}  # fmt: skip
SMALLER = {
    "bert": {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96},
    "gpt2": {"n_embd": 48, "n_layer": 2, "n_head": 4},
    "t5": {"d_model": 48, "d_kv": 12, "d_ff": 96, "num_heads": 4, "num_layers": 2},
}
PUBLISHED = {"bert-base-uncased": BERT, "gpt2": GPT2, "t5-small": T5, "google/flan-t5-small": FLAN}


def make(name: str, folder: Path, full: bool = False) -> Path:
    """Write the folder of a published model.

    Args:
        name: one of NAMES.
        folder: made if it is not there.
        full: of the real size (up to 110 million parameters), else small.
    """
    config = dict(PUBLISHED[name])
    kind = config["model_type"]
    folder.mkdir(parents=True, exist_ok=True)
    pieces = {"bert": wordpiece, "gpt2": byte_pairs, "t5": unigram}[kind](folder, config["vocab_size"] if full else SMALL_VOCABULARY)
    if not full:
        config |= SMALLER[kind] | {"vocab_size": pieces + (28 if kind == "t5" else 0)}  # T5 rounds its embedding up to a multiple of 128
        config |= {key: pieces - 1 for key in ("bos_token_id", "eos_token_id") if kind == "gpt2"}
        config |= {"num_decoder_layers": 2} if "num_decoder_layers" in config else {}
    torch.manual_seed(0)
    build = {"bert": transformers.BertForPreTraining, "gpt2": transformers.GPT2LMHeadModel, "t5": transformers.T5ForConditionalGeneration}[kind]
    tensors = build(transformers.AutoConfig.for_model(**config)).state_dict()
    change = {"bert": _old_bert, "gpt2": _old_gpt2, "t5": _flan if name.startswith("google") else _old_t5}[kind]
    save_file(change(tensors, config), folder / "model.safetensors", metadata={"format": "pt"})
    _write(folder / "config.json", config)
    if kind == "gpt2":
        _write(folder / "generation_config.json", {"_from_model_config": True, "bos_token_id": config["bos_token_id"], "eos_token_id": config["eos_token_id"]})
    if kind == "t5":
        _write(folder / "generation_config.json", {"_from_model_config": True, "decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0})
    return folder


# -- tensors -------------------------------------------------------------------------------------------------


def _old_bert(tensors: dict, config: dict) -> dict:
    """As Google's TensorFlow checkpoint called them."""
    old = {key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value for key, value in tensors.items()}
    return {key: value for key, value in old.items() if not key.startswith("cls.predictions.decoder")}


def _old_gpt2(tensors: dict, config: dict) -> dict:
    """Without the prefix, with the masks of attention, which are no weights."""
    old = {key.removeprefix("transformer."): value for key, value in tensors.items() if key != "lm_head.weight"}
    mask = torch.ones(config["n_positions"], config["n_positions"]).tril()[None, None]
    return old | {f"h.{layer}.attn.bias": mask.clone() for layer in range(config["n_layer"])}


def _old_t5(tensors: dict, config: dict) -> dict:
    """With a relative bias in the cross-attention, which no version of the model ever read."""
    bias = "decoder.block.0.layer.{}.relative_attention_bias.weight"
    return _once(tensors) | {bias.format("1.EncDecAttention"): tensors[bias.format("0.SelfAttention")] + 1}


def _flan(tensors: dict, config: dict) -> dict:
    """The embedding under its three names, and an output layer that is not the embedding."""
    shared = tensors["shared.weight"]
    copies = {f"{side}.embed_tokens.weight": shared.clone() for side in ("encoder", "decoder")}
    return _once(tensors) | copies | {"lm_head.weight": torch.randn(shared.shape, generator=torch.Generator().manual_seed(1)) * shared.shape[1] ** -0.5}


def _once(tensors: dict) -> dict:
    """A T5's embedding under its first name alone."""
    return {key: value for key, value in tensors.items() if "embed_tokens" not in key and key != "lm_head.weight"}


# -- tokenizers ----------------------------------------------------------------------------------------------


@cache
def corpus() -> tuple[str, ...]:
    """Some thousand sentences, of film reviews or of the embedded world, and the words of prompts, which 30,000 pieces hold whole."""
    if REAL_TEXT.exists():
        lines = [json.loads(line)["text"].capitalize() for line in REAL_TEXT.read_text(encoding="utf-8").splitlines()[:3000]]
    else:
        lines = [example.text for name in ("sentiment", "topic", "question-type") for example in load_task(name).train[:1000]]
    of_labels = [word for words in LABEL_WORDS.values() for own in words.values() for word in own]
    of_rules = [word for words in compose(RELATION_RULES)[1].words.values() for word in words]
    return (*lines, *300 * [" ".join(("It", "was", *of_labels, *of_rules, *OTHER_WORDS))])


def wordpiece(folder: Path, size: int) -> int:
    """BERT's: the special tokens and free places stand where the published vocabulary has them; the number of pieces."""
    unused = [f"[unused{i}]" for i in range(994)]
    first = ["[PAD]", *unused[:99], "[UNK]", "[CLS]", "[SEP]", "[MASK]", *unused[99:]]
    core = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    core.normalizer, core.pre_tokenizer, core.decoder = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    core.train_from_iterator(corpus(), trainers.WordPieceTrainer(vocab_size=size, special_tokens=first, initial_alphabet=list(string.printable.strip()), show_progress=False))
    pieces = sorted(core.get_vocab(), key=core.get_vocab().get)
    pieces += [f"##[{i}]" for i in range(size - len(pieces))]  # a small corpus does not fill a large vocabulary
    core.model = models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]")
    core.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")])
    core.post_processor = processors.TemplateProcessing(single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", 101), ("[SEP]", 102)])
    core.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    _write(folder / "tokenizer_config.json", {"do_lower_case": True, "model_max_length": 512})
    return len(pieces)


def byte_pairs(folder: Path, size: int) -> int:
    """GPT-2's: cased, a space is part of the word behind it, and one special token ends a text."""
    end = "<|endoftext|>"
    core = Tokenizer(models.BPE())
    core.pre_tokenizer, core.decoder, core.post_processor = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel(), processors.ByteLevel(trim_offsets=False)
    core.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=size - 1, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    core.model.save(str(folder))  # vocab.json and merges.txt
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    vocabulary |= {f"[{i}]": i for i in range(len(vocabulary), size - 1)} | {end: size - 1}
    _write(folder / "vocab.json", vocabulary)
    core.model = models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    core.add_special_tokens([AddedToken(end, special=True, normalized=True)])
    core.save(str(folder / "tokenizer.json"))
    _write(folder / "tokenizer_config.json", {"model_max_length": 1024})
    return size


def unigram(folder: Path, size: int) -> int:
    """T5's: cased, a space is a mark, a hundred sentinels at the end of the vocabulary (whose embedding has 28 rows more)."""
    named, sentinels = ["<pad>", "</s>", "<unk>"], [f"<extra_id_{i}>" for i in range(100)]
    size -= 28 if size > SMALL_VOCABULARY else 0
    core = Tokenizer(models.Unigram())
    core.normalizer, core.pre_tokenizer, core.decoder = normalizers.NFKC(), pre_tokenizers.Metaspace(), decoders.Metaspace()
    core.train_from_iterator(corpus(), trainers.UnigramTrainer(vocab_size=min(size, 4000) - 100, special_tokens=named, unk_token="<unk>", show_progress=False))
    pieces = [(piece, score) for piece, score in json.loads(core.to_str())["model"]["vocab"]]
    pieces += [(f"[{i}]", -30.0) for i in range(size - 100 - len(pieces))] + [(sentinel, 0.0) for sentinel in reversed(sentinels)]
    core.model = models.Unigram(pieces, unk_id=2, byte_fallback=False)
    core.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in named + sentinels])
    core.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    core.save(str(folder / "tokenizer.json"))
    roles = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    _write(folder / "special_tokens_map.json", roles | {"additional_special_tokens": sentinels})
    _write(folder / "tokenizer_config.json", roles | {"extra_ids": 100, "additional_special_tokens": sentinels, "model_max_length": 512, "tokenizer_class": "T5Tokenizer"})
    return len(pieces)


def _write(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
