"""Reinforcement learning of prompts: words are actions, the model's agreement with the labels is the reward.

    pi(w_1 .. w_n) = prod_j softmax(theta_j)[w_j]                         theta [n,W] trained, W candidate words
    grad theta     = mean over samples of  (r - mean r) / std r  *  grad log pi(w)      REINFORCE (Williams 1992) with a baseline
    r              = mean over (x, y) of  p(y | T_w(x)) - max over y' != y of p(y' | T_w(x))

No gradient of the model is needed, only its answers.  RLPrompt (Deng et al. 2022) trains a small network on top of a frozen GPT by soft
Q-learning, scales the gap of the reward by whether it is positive, and normalises rewards as here; a table of independent word
choices is the policy of BDPL (Diao et al. 2022).
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from minidelta.data import Example
from minidelta.errors import PromptError
from minidelta.progress import progress
from minidelta.prompt.autoprompt import Found, triggers
from minidelta.prompt.expand import name, whole_words
from minidelta.prompt.learner import PromptLearner
from minidelta.prompt.template import Template


def policy_search(
    ask: Callable[[Template], PromptLearner],
    examples: Sequence[Example],
    candidates: Sequence[str] | None = None,
    count: int = 3,
    steps: int = 30,
    samples: int = 8,
    lr: float = 0.3,
    batch: int = 16,
    seed: int = 0,
    before: str = "{text_a|shorten}",
    after: str = "{mask}",
) -> Found:
    """Learn a policy over trigger words, and return the best prompt that it drew.

    Args:
        ask: template -> learner with a frozen model; see `search.asking`.
        examples: labelled.
        candidates: the words it chooses from, without the label words; default the 100 commonest whole words of the examples.
        count: n, words of the prompt.
        steps, samples: updates, and prompts drawn for each.
        lr: of Adam on theta.
        batch: examples that the prompts of a step are judged on.
        seed: of draws and batches.
        before, after: what stands around the words.
    Returns: as of AutoPrompt, but the score is the mean reward on all examples.
    Raises: PromptError for too few words, samples or examples.

    >>> from minidelta.data import load_task
    >>> from minidelta.hub import load_model, load_tokenizer
    >>> from minidelta.prompt.search import asking
    >>> task = load_task("sentiment", shots=2)
    >>> ask = asking(load_model("bert-nano").requires_grad_(False), load_tokenizer("bert-nano"), task, {"negative": ["bad"], "positive": ["good"]})
    >>> len(policy_search(ask, task.train, count=2, steps=2, samples=2).template.words.split())
    2
    """
    if count < 1 or samples < 2 or not examples:
        raise PromptError(f"A policy needs at least one word, two samples a step and one labelled example; got {count}, {samples} and {len(examples)}.")
    first = ask(triggers(["x"] * count, before, after))
    avoided = {word.lower() for word in getattr(first.verbalizer, "flat", [])}
    words = [word for word in candidates or common_words(first.tokenizer, examples, avoid=avoided) if word.lower() not in avoided]
    if not words:
        raise PromptError("All candidates are label words; give others.")
    rng, chance = random.Random(seed), torch.Generator().manual_seed(seed)
    theta = torch.zeros(count, len(words), requires_grad=True)
    moves = torch.optim.Adam([theta], lr=lr)
    best = Found(triggers(words[:1] * count, before, after), -float("inf"))
    for step in progress(range(steps), description="policy", unit="step"):
        some = rng.sample(list(examples), min(batch, len(examples)))
        drawn = torch.multinomial(theta.detach().softmax(-1), samples, replacement=True, generator=chance).T  # [samples,n]
        prompts = [triggers([words[i] for i in row], before, after) for row in drawn.tolist()]
        rewards = torch.tensor([reward(ask(prompt), some) for prompt in prompts])
        moves.zero_grad()
        policy_loss(theta, drawn, rewards).backward()
        moves.step()
        chosen = prompts[int(rewards.argmax())]
        if rewards.max() > best.score:  # only what looks better on the batch is judged on all examples
            score = reward(ask(chosen), examples)
            if score > best.score:
                best = Found(chosen, score, [*best.history, (step + 1, score, chosen.source)])
    return best


def policy_loss(theta: Tensor, drawn: Tensor, rewards: Tensor) -> Tensor:
    """Its gradient is minus the policy gradient.

    Args:
        theta: [n,W].
        drawn: [S,n] the words of each sample.
        rewards: [S].

    >>> theta = torch.zeros(1, 2, requires_grad=True)
    >>> policy_loss(theta, torch.tensor([[0], [1]]), torch.tensor([1.0, 0.0])).backward()
    >>> theta.grad  # the rewarded word grows, at a descent step
    tensor([[-0.3536,  0.3536]])
    """
    log_pi = theta.log_softmax(-1)[torch.arange(theta.size(0)), drawn].sum(-1)  # [S,n] -> [S]
    advantage = (rewards - rewards.mean()) / rewards.std().clamp(min=1e-6)
    return -(advantage * log_pi).mean()


def reward(learner: PromptLearner, examples: Sequence[Example]) -> float:
    """By how much the right label is likelier than the next one, from -1 to 1."""
    p = learner.score(examples).softmax(-1).cpu()  # [N,C]
    labels = torch.tensor([learner.label_number(example) for example in examples])[:, None]
    right = p.gather(1, labels)
    return (right - p.scatter(1, labels, -1.0).amax(1, keepdim=True)).mean().item()


def common_words(tokenizer: Any, examples: Sequence[Example], most: int = 100, avoid: Sequence[str] = ()) -> list[str]:
    """The commonest whole words of some texts that are one token each."""
    known = {name(tokenizer, token) for token in whole_words(tokenizer, letters=2)} - set(avoid)
    counts = Counter(word for example in examples for word in f"{example.text} {example.text_b or ''}".lower().split())
    found = [word for word, _ in counts.most_common() if word in known][:most]
    if not found:
        raise PromptError("The examples hold no whole word to choose from; give candidates.")
    return found
