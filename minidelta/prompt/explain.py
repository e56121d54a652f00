"""What a template does to an example, made visible; and what is probably wrong with it.

`explain` shows the text, every token in the colour of its origin (frame, template, text, mask, soft), where the answer
is read and the loss falls, and what was cut.  `lint` looks for the mistakes that cost people days and raise no error.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from minidelta.data import Example
from minidelta.errors import PromptError
from minidelta.prompt.render import ADDED, Rendered, Renderer
from minidelta.prompt.template import TEXTS

COLOURS = {  # origin -> (ANSI code, CSS colour)
    "frame": ("90", "#e5e7eb"),
    "template": ("34", "#bfdbfe"),
    "text": ("39", "#ffffff"),
    "mask": ("1;31", "#fecaca"),
    "soft": ("35", "#e9d5ff"),
}


@dataclass
class Explanation:
    """One example as a template puts it; prints as text, and shows itself in colour in a notebook.

    text: what a person would read.
    tokens: (token, origin) in order; origin is a key of COLOURS.
    decoder: T5's decoder, in the same form.
    reads: where the answer is read and the loss falls, in words.
    cut: what did not fit, part by part.
    """

    text: str
    tokens: list[tuple[str, str]]
    decoder: list[tuple[str, str]]
    reads: str
    cut: dict[str, str]

    def __str__(self) -> str:
        lines = [self.text, *(f"  {origin:8}  {' '.join(run)}" for origin, run in _runs(self.tokens))]
        if self.decoder:
            lines += [f"  decoder   {' '.join(token for token, _ in self.decoder)}"]
        lines.append(f"loss: {self.reads}")
        lines += [f"cut from {part}: {words}" for part, words in self.cut.items()]
        return "\n".join(lines)

    def coloured(self) -> str:
        """The tokens in one line, in a terminal's colours."""
        return " ".join(f"\033[{COLOURS[origin][0]}m{token}\033[0m" for token, origin in [*self.tokens, *self.decoder])

    def _repr_html_(self) -> str:
        def spans(tokens: list[tuple[str, str]]) -> str:
            return " ".join(f'<span title="{origin}" style="background:{COLOURS[origin][1]};color:#111827;padding:1px 3px;border-radius:3px">{html.escape(token)}</span>' for token, origin in tokens)

        lines = [f"<p>{html.escape(self.text)}</p>", f"<p>{spans(self.tokens)}</p>"]
        if self.decoder:
            lines.append(f"<p>decoder: {spans(self.decoder)}</p>")
        lines.append(f"<p>loss: {html.escape(self.reads)}</p>")
        lines += [f"<p>cut from {html.escape(part)}: <s>{html.escape(words)}</s></p>" for part, words in self.cut.items()]
        return "".join(lines)


def explain(renderer: Renderer, example: Example, answer: str | None = None) -> Explanation:
    """Show what a model reads of one example.

    Args:
        renderer: a template and a tokenizer, made for a family.
        example: any.
        answer: a label word to stand in the gap of `text`; None shows [MASK].
    Raises: PromptError if the example cannot be rendered.

    >>> from minidelta.hub import load_tokenizer
    >>> from minidelta.prompt.template import Template
    >>> print(explain(Renderer(Template("{text_a} It was {mask}."), load_tokenizer("bert-micro"), "encoder", 64), Example("A fine film.")))
    A fine film. It was [MASK].
      frame     [CLS]
      text      a fine film .
      template  it was
      mask      [MASK]
      template  .
      frame     [SEP]
    loss: at the mask, position 7
    """
    (rendered,) = renderer([example])
    tokenizer, parts = renderer.tokenizer, renderer.template.parts
    names = [_shown(token) for token in tokenizer.convert_ids_to_tokens(rendered.ids)]
    names = [name if row < 0 else f"<soft {row}>" for name, row in zip(names, rendered.soft)]
    origins = ["frame" if place == ADDED else {"literal": "template", "sep": "template", "special": "template", "mask": "mask", "soft": "soft"}.get(parts[place].kind, "text") for place in rendered.origin]
    decoder = [(_shown(token), "frame" if i == 0 else "mask") for i, token in enumerate(tokenizer.convert_ids_to_tokens(rendered.decoder))]
    cut = {str(parts[place]): tokenizer.decode(ids).strip() for place, ids in rendered.cut.items()}
    return Explanation(renderer.template.fill(example, *([answer] if answer else [])), list(zip(names, origins)), decoder, _where(renderer, rendered, names), cut)


def _where(renderer: Renderer, rendered: Rendered, names: list[str]) -> str:
    if renderer.shape == "decoder":
        return f"on the token after {names[-1]!r}, position {len(names) - 1}"
    if renderer.shape == "encoder-decoder":
        return "on what the decoder says behind its sentinel, position 1 of the decoder"
    places = [str(position) for positions in rendered.masks for position in positions]
    return f"at {'the mask' if len(places) == 1 else 'the masks'}, position{'s' * (len(places) > 1)} {', '.join(places)}"


def _runs(tokens: list[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Neighbours of one origin together."""
    runs: list[tuple[str, list[str]]] = []
    for token, origin in tokens:
        if not runs or runs[-1][0] != origin:
            runs.append((origin, []))
        runs[-1][1].append(token)
    return runs


def _shown(token: str) -> str:
    """A token without the tokenizer's space mark."""
    return token.lstrip("Ġ▁") or "_"


def lint(renderer: Renderer, label_words: dict[str, list[str]] | None = None, examples: Sequence[Example] = (), split: bool = True) -> list[str]:
    """Warnings about a template, its label words and how they meet; none is an error by itself.

    Args:
        renderer: a template and a tokenizer, made for a family.
        label_words: label -> its words.
        examples: some examples, to see what is cut.
        split: warn of label words of several tokens; False where it was decided how they count.
    Returns: one sentence for each finding.

    >>> from minidelta.hub import load_tokenizer
    >>> from minidelta.prompt.template import Template
    >>> lint(Renderer(Template("{text_a|shorten} A good film? {mask}"), load_tokenizer("bert-micro"), "encoder", 64), {"positive": ["good"]})
    ["The label word 'good' of 'positive' stands in the template itself, which gives it away or holds it back."]
    """
    template, tokenizer, found = renderer.template, renderer.tokenizer, []
    written = set(re.findall(r"\w+", template.words.lower()))
    for label, words in (label_words or {}).items():
        for word in words:
            if word.lower() in written:
                found.append(f"The label word {word!r} of {label!r} stands in the template itself, which gives it away or holds it back.")
            ids = tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
            if split and len(ids) > 1:
                found.append(f"The label word {word!r} of {label!r} is {len(ids)} tokens ({' '.join(map(_shown, tokenizer.convert_ids_to_tokens(ids)))}); one mask reads one of them.")
    for token in tokenizer.all_special_tokens:
        if any(part.kind == "literal" and token in part.value for part in template.parts):
            found.append(f"The template writes {token} itself, which the model reads as its own sign; the place of the answer is {{mask}}, and other signs are {{sep}} and {{special:...}}.")
    for number, part in enumerate(template.masks):
        before = template.source[: part.start]
        if before and before[-1].isalnum() and not "\u2e80" <= before[-1] <= "\u9fff":  # Chinese and Japanese write no spaces
            found.append(f"No space stands before mask {number + 1}: its word is glued to {before.split()[-1]!r}.")
    if renderer.shape == "decoder" and len(renderer.parts) + 1 < len(template.parts):
        lost = "".join(map(str, template.parts[len(renderer.parts) + 1 :])).strip()
        if any(c.isalnum() for c in lost):
            found.append(f"GPT stops at the mask and never reads {lost!r}.")
    if not any(part.kind in TEXTS for part in template.parts):
        found.append("The template uses no text of the example, so every example reads alike.")
    elif not any(part.shorten for part in template.parts):
        found.append("No text is marked |shorten, so an example that is too long is an error.")
    cut = overflow = 0
    for example in examples:
        try:
            cut += bool(renderer([example])[0].cut)
        except PromptError:
            overflow += 1
    if cut:
        found.append(f"{cut:,} of {len(examples):,} examples are cut to {renderer.room} tokens.")
    if overflow:
        found.append(f"{overflow:,} of {len(examples):,} examples cannot be rendered: too long with nothing to cut, or without a text that the template asks for.")
    return found
