"""Generation gives the tokens of transformers' generate, and says what it cannot do."""

import pytest
import torch

from minidelta.errors import ConfigError
from minidelta.model import Transformer, bert_config, gpt2_config, t5_config

SIZES = dict(vocab_size=61, d_model=32, n_layers=2, n_heads=4, d_ff=48)
WRITERS = ["gpt2", "t5", "t5-1.1"]
ENDS = [None, 1, [1, 5, 7, 9, 30], list(range(1, 20))]  # rarely, sometimes and soon met by a random model


def both(ours, theirs, ids, mask, ends, **settings):
    """(our tokens, their tokens)."""
    theirs.generation_config.eos_token_id = ends
    theirs.generation_config.pad_token_id = 0
    expected = theirs.generate(ids, attention_mask=mask, **{"do_sample": False} | settings)
    return ours.generate(ids, mask, eos_token_id=[] if ends is None else ends, **settings), expected


@pytest.mark.parametrize("family", WRITERS)
@pytest.mark.parametrize("seed", [0, 1])
def test_greedy_is_theirs(twins, ragged, family, seed):
    ours, theirs = twins(family, seed)
    for side in ["left"] if family == "gpt2" else ["left", "right"]:
        ids, mask = ragged(4, 9, side, seed)
        for ends in ENDS:
            got, expected = both(ours, theirs, ids, mask, ends, max_new_tokens=14)
            assert torch.equal(got, expected), f"{side} {ends}"
    got, expected = both(ours, theirs, ids[:1], None, 1, max_new_tokens=1)
    assert torch.equal(got, expected)


@pytest.mark.parametrize("family", WRITERS)
@pytest.mark.parametrize("ends", ENDS, ids=str)
def test_beams_are_theirs(twins, ragged, family, ends):
    lengths = set()
    for seed in (0, 1):
        ours, theirs = twins(family, seed)
        ids, mask = ragged(4, 9, "left" if family == "gpt2" else "right", seed)
        for beams, length_penalty, early_stopping in [(2, 1.0, False), (4, 1.0, False), (3, 0.0, "never"), (3, 2.0, "never"), (3, 2.0, True), (4, -1.0, False)]:
            settings = dict(max_new_tokens=10, num_beams=beams, length_penalty=length_penalty, early_stopping=early_stopping)
            got, expected = both(ours, theirs, ids, mask, ends, **settings)
            assert torch.equal(got, expected), f"seed {seed} {settings}"
            lengths.add(got.size(1))
    if ends is not None and len(ends if isinstance(ends, list) else [ends]) > 5:
        assert len(lengths) > 1, "no search ended early: this test shows less than it seems to"


@pytest.mark.parametrize("family", WRITERS)
@pytest.mark.parametrize("shape", [dict(temperature=0.7), dict(top_k=5), dict(top_p=0.8), dict(temperature=1.5, top_k=20, top_p=0.6)], ids=str)
def test_samples_are_theirs(twins, ragged, family, shape):
    """Drawn with the same seed of torch's global generator, even the random pieces agree."""
    ours, theirs = twins(family)
    ids, mask = ragged(4, 9, "left")
    theirs.generation_config.eos_token_id = theirs.generation_config.pad_token_id = None
    settings = dict(max_new_tokens=12, do_sample=True) | shape
    torch.manual_seed(3)
    expected = theirs.generate(ids, attention_mask=mask, pad_token_id=0, **{"top_k": 0} | settings)
    torch.manual_seed(3)
    assert torch.equal(ours.generate(ids, mask, eos_token_id=[], **settings), expected)
    assert torch.equal(ours.generate(ids, mask, eos_token_id=[], seed=3, **settings), expected)
    assert not torch.equal(ours.generate(ids, mask, eos_token_id=[], seed=4, **settings), expected)


def gpt(**settings) -> Transformer:
    model = Transformer(gpt2_config(**SIZES | dict(pad_token_id=0, eos_token_id=1) | settings), seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0)  # a new model repeats itself; a louder one has something to say
    return model.eval()


def test_the_likeliest_of_one_is_greedy(ragged):
    ids, mask = ragged(side="left")
    greedy = gpt().generate(ids, mask, max_new_tokens=9)
    assert torch.equal(gpt().generate(ids, mask, max_new_tokens=9, do_sample=True, top_k=1), greedy)
    assert torch.equal(gpt().generate(ids, mask, max_new_tokens=9, do_sample=True, top_p=1e-6), greedy)


def test_draws_follow_the_distribution():
    model = gpt()
    prompt = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        expected = model(prompt)[0, -1].div(2.0).softmax(-1)
    drawn = model.generate(prompt.expand(4000, -1), max_new_tokens=1, do_sample=True, temperature=2.0, seed=0)[:, -1]
    assert (drawn.bincount(minlength=61) / 4000 - expected).abs().max() < 0.03


def test_a_finished_text_is_filled_up(ragged):
    ids, mask = ragged(4, 9, "left")
    out = gpt().generate(ids, mask, max_new_tokens=15, eos_token_id=list(range(2, 14)), pad_token_id=60)
    for text in out[:, 9:].tolist():
        end = next((i for i, piece in enumerate(text) if 2 <= piece < 14), len(text))
        assert set(text[end + 1 :]) <= {60}
    assert out.size(1) < 24 or any(text[-1] != 60 for text in out.tolist())


@pytest.mark.parametrize("beams", [1, 3])
def test_padding_is_seen_where_the_padding_piece_stands(ragged, beams):
    ids, mask = ragged(side="left")
    settings = dict(max_new_tokens=6, num_beams=beams)
    assert torch.equal(gpt().generate(ids, **settings), gpt().generate(ids, mask, **settings))
    for row, length in enumerate(mask.sum(1).tolist()):
        alone = gpt().generate(ids[row : row + 1, -length:], **settings)[0, length:].tolist()
        assert gpt().generate(ids, **settings)[row, 11:].tolist()[: len(alone)] == alone
    ends = gpt(pad_token_id=0, eos_token_id=0)  # the padding piece ends texts, so it may be text
    assert torch.equal(ends.generate(ids, **settings), ends.generate(ids, torch.ones_like(ids), **settings))


def test_dropout_rests_and_wakes_again(ragged):
    model = gpt().train()
    model.layers[0].eval()
    ids, mask = ragged(side="left")
    assert torch.equal(model.generate(ids, mask), gpt().generate(ids, mask))
    assert model.training and model.layers[1].dropout.training and not model.layers[0].dropout.training


def test_generation_keeps_no_graph(ragged):
    assert not gpt().generate(*ragged(side="left")).requires_grad


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (dict(max_new_tokens=0), "max_new_tokens is 0"),
        (dict(num_beams=0), "num_beams is 0"),
        (dict(temperature=0.5), "do_sample=True"),
        (dict(do_sample=True, temperature=0.0), "temperature is 0.0"),
        (dict(do_sample=True, top_p=0.0), "top_p 0.0"),
        (dict(do_sample=True, top_k=0), "top_k 0"),
        (dict(do_sample=True, num_beams=2), "num_beams=2"),
        (dict(early_stopping="always", num_beams=2), "early_stopping is 'always'"),
        (dict(max_new_tokens=1020), "1030 positions, and the model has 1024"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_meant(ragged, settings, words):
    with pytest.raises(ConfigError, match=words):
        gpt().generate(*ragged(side="left"), **settings)


def test_models_and_inputs_that_cannot_write(ragged):
    ids, mask = ragged(side="right")
    with pytest.raises(ConfigError, match="pad decoder prompts on the left"):
        gpt().generate(ids, mask)
    with pytest.raises(ConfigError, match="an encoder reads and does not write"):
        Transformer(bert_config(**SIZES)).generate(ids, mask)
    with pytest.raises(ConfigError, match="no language-model head"):
        gpt(lm_head=None).generate(ids.clamp(min=2))
    with pytest.raises(ConfigError, match="decoder_start_token_id"):
        Transformer(t5_config(**SIZES, decoder_start_token_id=None)).generate(ids, mask)


def test_the_last_positions_can_be_used():
    model = gpt(max_positions=12)
    assert model.generate(torch.full((1, 10), 5), max_new_tokens=3, eos_token_id=[]).shape == (1, 13)
