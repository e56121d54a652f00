"""What stands at the mask, as bars: the words that the model expects, and what the verbalizer makes of them."""

from typing import Any

import torch

from minidelta.data import Example


@torch.no_grad()
def mask_bars(learner: Any, example: Example, k: int = 8, axes: Any = None) -> Any:
    """Draw p(word at the mask) beside p(label).

    Args:
        learner: a `PromptLearner` of a task with labels.
        example: what is read.
        k: of the expected words, so many are shown; the label words are shown as well, in the colour of their label.
        axes: two matplotlib Axes; default a new figure.
    Returns: the two Axes.

    >>> import matplotlib; matplotlib.use("Agg")
    >>> from minidelta.data import load_task
    >>> from minidelta.hub import load_model, load_tokenizer
    >>> from minidelta.prompt import PromptLearner, WordVerbalizer
    >>> learner = PromptLearner(load_model("bert-nano"), load_tokenizer("bert-nano"), load_task("sentiment", shots=1), "{text_a} It was {mask}.", WordVerbalizer({"negative": ["bad"], "positive": ["good"]}))
    >>> words, labels = mask_bars(learner, Example("I hated the soup."))
    >>> [tick.get_text() for tick in labels.get_yticklabels()]
    ['negative', 'positive']
    """
    import matplotlib.pyplot as plt

    words_axes, labels_axes = axes if axes is not None else plt.subplots(1, 2, figsize=(9, 3), layout="constrained")[1]
    p = learner.log_p([example])[0].exp().cpu()  # [V]
    colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    own = {}  # token -> colour of its label
    if hasattr(learner.verbalizer, "ids"):
        own = {int(token): colours[int(label) % len(colours)] for token, label in zip(learner.verbalizer.ids[:, 0], learner.verbalizer.owner)}
    shown = list(dict.fromkeys([*p.topk(k).indices.tolist(), *own]))
    shown.sort(key=lambda token: -p[token])
    names = [learner.tokenizer.convert_ids_to_tokens(token).lstrip("Ġ▁") for token in shown]
    words_axes.barh(range(len(shown)), p[shown].tolist(), color=[own.get(token, "#cbd5e1") for token in shown])
    words_axes.set_yticks(range(len(shown)), names)
    words_axes.invert_yaxis()
    words_axes.set(xlabel="p(word at the mask)", title=learner.template.fill(example))

    shares = learner.score([example])[0].softmax(-1).cpu()  # [C]
    labels_axes.barh(range(len(shares)), shares.tolist(), color=[colours[i % len(colours)] for i in range(len(shares))])
    labels_axes.set_yticks(range(len(shares)), learner.task.labels)
    labels_axes.invert_yaxis()
    labels_axes.set(xlabel="p(label)", xlim=(0, 1), title="what the verbalizer makes of it")
    return words_axes, labels_axes
