"""In-context learning: what is computed once is what would be computed anew, and what does not fit is told."""

import pytest
import torch

from minidelta.data import Example, load_task
from minidelta.errors import PromptError
from minidelta.hub import load_model, load_tokenizer
from minidelta.prompt.answers import AnswerLearner, Answers
from minidelta.prompt.context import FORMATS, Nearest, choose
from minidelta.prompt.incontext import InContextLearner, InContextWriter


@pytest.fixture(scope="module")
def gpt():
    return load_model("gpt-nano"), load_tokenizer("gpt-nano")


@pytest.mark.parametrize("name", ["sentiment", "qa-choice", "entailment"])
@pytest.mark.parametrize("normalise", ["sum", "mean"])
def test_the_shared_beginning_changes_nothing(name, normalise, gpt):
    task = load_task(name)
    learner = InContextLearner(*gpt, task, choose(task.train, 3), description="Answer.", normalise=normalise)
    with torch.no_grad():
        batch = learner.pad(learner.encode(task.test[:5]))
        once, anew = learner.at_masks(batch), AnswerLearner.at_masks(learner, batch)
    real = batch["answers"] >= 0
    assert learner.memory is not None and len(learner.memory[0]) > 20
    torch.testing.assert_close(once[real], anew[real], atol=1e-4, rtol=1e-4)


def test_the_score_of_an_answer_is_the_sum_over_its_tokens(gpt):
    model, tokenizer = gpt
    task = load_task("question-type")
    learner = InContextLearner(model, tokenizer, task, choose(task.train, 2))
    found = learner.score(task.test[:1])[0]
    (prompt, _, _), *_ = learner.context.prompts(task.test[:1])
    text = tokenizer(prompt.fill(task.test[0], "").rstrip(), add_special_tokens=False)["input_ids"]
    for label, score in zip(task.labels, found):
        answer = tokenizer(f" {label}", add_special_tokens=False)["input_ids"]
        log_p = model(torch.tensor([text + answer], device=model.device))[0].log_softmax(-1)
        assert float(score) == pytest.approx(sum(log_p[len(text) - 1 + place, token].item() for place, token in enumerate(answer)), abs=1e-3)


def test_without_context_counts_less(gpt):
    task = load_task("sentiment")
    shown = choose(task.train, 2)
    plain, less = (InContextLearner(*gpt, task, shown, normalise=how).score(task.test[:4]) for how in ("sum", "unconditional"))
    lean = plain - less
    assert torch.allclose(lean, lean[:1].expand_as(lean), atol=1e-4) and lean.abs().max() > 0.1


def test_a_verbalizer_serves_several_ways_of_counting(gpt):
    task, words = load_task("question-type"), Answers({label: [f"some {label}"] for label in load_task("question-type").labels})
    alone = InContextLearner(*gpt, task, verbalizer=words).score(task.test[:3])
    InContextLearner(*gpt, task, verbalizer=words, normalise="mean").score(task.test[:3])
    assert words.normalise == "sum" and InContextLearner(*gpt, task, verbalizer=words).score(task.test[:3]).equal(alone)


@pytest.mark.parametrize("family", ["bert", "gpt", "t5"])
def test_every_family_answers(family):
    task = load_task("topic")
    learner = InContextLearner(load_model(f"{family}-nano"), load_tokenizer(f"{family}-nano"), task, choose(task.train, 2))
    assert set(learner.predict(task.test[:4])) <= set(task.labels)


def test_each_question_may_have_its_own_demonstrations(gpt):
    task = load_task("question-type", shots=6)
    learner = InContextLearner(*gpt, task)
    learner.context.shown = Nearest(learner, task.train, 2)
    prompts = [template.source for template, _, _ in learner.context.prompts(task.train[:3])]
    assert len(set(prompts)) == 3 and all(example.text in prompt for example, prompt in zip(task.train, prompts))
    assert learner.score(task.test[:3]).shape == (3, 6)


def test_demonstrations_are_drawn_with_a_seed_and_balanced():
    task = load_task("topic")
    assert choose(task.train, 6, seed=1) == choose(task.train, 6, seed=1) != choose(task.train, 6, seed=2)
    assert sorted(example.label for example in choose(task.train, 6)) == sorted(task.labels)
    with pytest.raises(PromptError, match="9000 demonstrations were asked for"):
        choose(task.train, 9000)
    with pytest.raises(PromptError, match="balanced"):
        choose(task.train, 2, "balance")


def test_what_does_not_fit_is_told_with_what_would(gpt):
    task = load_task("sentiment")
    shown = choose(task.train, 60)
    with pytest.raises(PromptError, match=r"60 demonstrations take \d+ tokens .* show (\d+) at most") as found:
        InContextLearner(*gpt, task, shown).score(task.test[:8])
    fit = int(str(found.value).split("show ")[1].split()[0])
    longest = sorted(shown, key=lambda example: len(example.text), reverse=True)
    assert 5 < fit < 60
    InContextLearner(*gpt, task, longest[: fit - 2]).score(task.test[:8])


def test_a_gpt_and_a_t5_write():
    task = load_task("translation")
    shown = [Example("the cat", meta={"answer": "le chat"}), Example("milk", meta={"answer": "lait"})]
    for name in ("gpt-micro", "t5-micro"):
        answers = InContextWriter(load_model(name), load_tokenizer(name), task, shown, FORMATS["arrow"], "translate english to french :").predict(task.test[:3])
        assert len(answers) == 3 and all(answer and "extra_id" not in answer and "\n" not in answer for answer in answers)
    with pytest.raises(PromptError, match="does not write"):
        InContextWriter(load_model("bert-nano"), load_tokenizer("bert-nano"), task, shown)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A folder as GPT-2's own: byte-level BPE without a blank before a text, one special token, no padding; and the twin that wrote it."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder = tmp_path_factory.mktemp("gpt2")
    core = Tokenizer(models.BPE())
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    texts = [example.text for example in load_task("sentiment").train[:200]]
    core.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=600, special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    transformers.GPT2TokenizerFast(tokenizer_object=core).save_pretrained(folder)
    torch.manual_seed(0)
    twin = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=600, n_embd=32, n_layer=2, n_head=2, n_positions=256, bos_token_id=0, eos_token_id=0)).eval()
    twin.save_pretrained(folder)
    return load_model(folder), load_tokenizer(folder), twin


def test_a_folder_of_gpt2_scores_as_transformers_does(gpt2):
    model, tokenizer, twin = gpt2
    task = load_task("sentiment")
    learner = InContextLearner(model, tokenizer, task, choose(task.train, 2))
    question = task.test[0]
    prompt = next(learner.context.prompts([question]))[0].fill(question, "").rstrip()
    assert prompt.endswith("Label:"), "a blank here would be a token of its own"
    for label, score in zip(task.labels, learner.score([question])[0]):
        ids, answer = tokenizer(prompt)["input_ids"], tokenizer(f" {label}")["input_ids"]
        assert ids + answer == tokenizer(f"{prompt} {label}")["input_ids"] and len(answer) > 1
        with torch.no_grad():
            log_p = twin(torch.tensor([ids + answer])).logits[0].log_softmax(-1)
        assert float(score) == pytest.approx(sum(log_p[len(ids) - 1 + place, token].item() for place, token in enumerate(answer)), abs=1e-3)


def test_a_folder_of_gpt2_writes_as_transformers_does(gpt2):
    model, tokenizer, twin = gpt2
    task = load_task("translation")
    writer = InContextWriter(model, tokenizer, task, [Example("the cat", meta={"answer": "le chat"})], description="In French:")
    question = Example("a wolf")
    prompt = next(writer.context.prompts([question]))[0].fill(question, "").rstrip()
    ids = torch.tensor([tokenizer(prompt)["input_ids"]])
    written = twin.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24, eos_token_id=writer.stops, pad_token_id=0)
    text = tokenizer.decode(written[0, ids.size(1) :], skip_special_tokens=True)
    assert writer.predict([question])[0] == text.split("\n")[0].split(" . ")[0].removesuffix(" .").strip()
