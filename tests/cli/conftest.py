"""Tiny random models as folders, one for each family, and a file of reviews that two words decide."""

import json

import pytest
import torch

FAMILIES = ("bert", "gpt", "t5")


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Family -> a Hugging Face folder with a model of width 32."""
    from minidelta.hub import save_pretrained, train_tokenizer
    from minidelta.model import Transformer
    from minidelta.pretrain.recipes import Recipe, configuration

    place = tmp_path_factory.mktemp("models")
    words = [f"the {noun} was {word} ." for noun in ("film", "book", "meal") for word in ("good", "bad", "dull", "fine")] * 5
    for family in FAMILIES:
        tokenizer = train_tokenizer(family, words, 400)
        torch.manual_seed(0)
        save_pretrained(Transformer(configuration(Recipe(family, 32, 1, 2, 1, 1e-3), tokenizer)), place / family, tokenizer)
    return {family: place / family for family in FAMILIES}


@pytest.fixture(scope="session")
def reviews(tmp_path_factory):
    """A .jsonl file with 120 usable records and three broken ones."""
    path = tmp_path_factory.mktemp("data") / "reviews.jsonl"
    rows = [json.dumps({"text": f"the {noun} was {word} {i}", "label": label}) for i in range(15) for noun in ("film", "meal") for word, label in (("good", "pos"), ("bad", "neg"), ("fine", "pos"), ("dull", "neg"))]
    path.write_text("\n".join([*rows, '{"text": ""}', "{", '{"text": "no label"}']) + "\n", encoding="utf-8")
    return path
