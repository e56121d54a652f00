"""From a template and an example to token ids, for all three families of models.

                 the mask                      where the answer is read
    BERT         [MASK], once per token        at the mask
    GPT          nothing: the text ends here   at the last token, which predicts the next
    T5           <extra_id_0>, <extra_id_1>..  behind the same sentinel in the decoder, which begins <pad> <extra_id_0>

The whole text is tokenized in one piece, so that a word is cut here as it was cut in pre-training, and every token is
then traced back by its characters to the part of the template it came from.  Where the whole is too long, tokens go
from shortenable parts alone, from the longest first, so that short texts stay whole.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from minidelta.data import Example
from minidelta.errors import PromptError
from minidelta.learner import fair_limit
from minidelta.prompt.template import TEXTS, Part, Template

ADDED = -1  # the origin of a token that the model's own frame adds ([CLS], the last [SEP], </s>)


@dataclass
class Rendered:
    """One example as the model reads it.

    ids, types, origin: one number a token: its id, BERT's token type, the place of its part in `template.parts`.
    soft: one number a token: its row in the table of soft tokens, or -1.
    masks: for each {mask} the positions at which the answer is read: of BERT the masks, of GPT the last token; of T5
        positions in the decoder.
    decoder: what T5's decoder has read when the answer begins.
    cut: place of a part -> the token ids that did not fit.
    """

    ids: list[int]
    types: list[int]
    origin: list[int]
    soft: list[int]
    masks: list[list[int]]
    decoder: list[int] = field(default_factory=list)
    cut: dict[int, list[int]] = field(default_factory=dict)


class Renderer:
    """Renders a template for one model.

    Args:
        template: parsed.
        tokenizer: a fast tokenizer.
        shape: "encoder", "decoder" or "encoder-decoder".
        max_length: most tokens of the input.
        reserve: tokens kept free for the answer, which GPT writes into the same row.
        start: T5's decoder start token.
        writes: the decoder writes the answer from its own beginning, so that the template needs no mask.
    Raises: PromptError if the template does not suit this family: no mask, no mask token, text behind GPT's mask.

    >>> from minidelta.hub import load_tokenizer
    >>> tokenizer = load_tokenizer("t5-micro")
    >>> seen = Renderer(Template("{text_a|shorten} It was {mask}."), tokenizer, "encoder-decoder", 64, start=0)([Example("A fine film.")])[0]
    >>> tokenizer.convert_ids_to_tokens(seen.ids)[-4:], tokenizer.convert_ids_to_tokens(seen.decoder)
    (['Ġwas', '<extra_id_0>', 'Ġ.', '</s>'], ['<pad>', '<extra_id_0>'])
    """

    def __init__(self, template: Template, tokenizer: Any, shape: str, max_length: int, reserve: int = 0, start: int | None = None, writes: bool = False) -> None:
        self.template, self.tokenizer, self.shape, self.start = template, tokenizer, shape, start
        self.room = max_length - (reserve if shape == "decoder" else 0)
        self.parts: Sequence[Part] = template.parts
        if not template.masks and not writes:
            written = next((sign for sign in ("[MASK]", "<mask>", "<extra_id_0>") if sign in template.source), None)
            raise PromptError(f"The template {template.source!r} has no {{mask}}, so there is no place for an answer; {f'write it for {written}' if written else 'add one'}.")
        if shape == "encoder" and tokenizer.mask_token is None:
            raise PromptError("This tokenizer has no mask token; take a masked language model such as bert-micro.")
        if shape == "decoder":
            self.parts = self._before_the_mask()
        self.rows = soft_rows(template, tokenizer)
        self.frame: tuple[list[int], list[int]] = ([], [])
        if shape == "encoder":
            self.frame = [tokenizer.cls_token_id], [tokenizer.sep_token_id]
        elif shape == "encoder-decoder":
            self.frame = [], [tokenizer.eos_token_id]
        self.single = [self._written(place) if part.kind not in ("literal", *TEXTS) else None for place, part in enumerate(self.parts)]

    def _before_the_mask(self) -> Sequence[Part]:
        """What GPT reads: everything up to the mask.  Words behind it are never seen; texts behind it would be lost."""
        place = next(i for i, part in enumerate(self.template.parts) if part.kind == "mask")
        lost = next((part for part in self.template.parts[place + 1 :] if part.kind != "literal"), None)
        if lost is not None:
            raise PromptError(f"GPT reads from left to right and would never see {lost} behind the mask of {self.template.source!r}; put the {{mask}} last.")
        if not any(part.kind != "literal" or part.value.strip() for part in self.template.parts[:place]):
            raise PromptError(f"The mask of {self.template.source!r} stands first, and GPT has nothing to go on from; put the {{mask}} last.")
        return self.template.parts[:place]

    def _written(self, place: int) -> str:
        """A part of special tokens as the tokenizer's own notation."""
        part, tokenizer = self.parts[place], self.tokenizer
        if part.kind == "soft":
            return (tokenizer.pad_token or tokenizer.eos_token) * len(self.rows[place])  # placeholders: their vectors are replaced
        if part.kind == "mask" and self.shape == "encoder":
            return tokenizer.mask_token * part.count
        if part.kind == "mask":
            number = sum(other.kind == "mask" for other in self.parts[:place])
            return self._known(f"<extra_id_{number}>", part)
        if part.kind == "sep":
            return tokenizer.sep_token if self.shape == "encoder" else "\n"
        return self._known(getattr(tokenizer, part.value, None) if part.value.endswith("_token") else part.value, part)

    def _known(self, token: str | None, part: Part) -> str:
        if token is None or token not in self.tokenizer.get_vocab():
            raise PromptError(f"{part}: this tokenizer has no token {token or part.value!r}; its special tokens are {' '.join(self.tokenizer.all_special_tokens[:12])}.")
        return token

    def __call__(self, examples: Sequence[Example]) -> list[Rendered]:
        """Render examples; one call of the tokenizer for all of them.

        Raises: PromptError if an example lacks what the template asks for, or is too long and nothing may be cut.
        """
        if not examples:
            return []
        written = [self._write(example) for example in examples]
        encoded = self.tokenizer([text for text, _ in written], add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return [self._place(example, starts, ids, offsets) for example, (_, starts), ids, offsets in zip(examples, written, encoded["input_ids"], encoded["offset_mapping"])]

    def _write(self, example: Example) -> tuple[str, list[int]]:
        """The text with special tokens in the tokenizer's notation, and the character at which each part starts."""
        text, starts = "", []
        for part, single in zip(self.parts, self.single):
            starts.append(len(text))
            text += part.text(example) if single is None else single
        return (text.rstrip() if self.shape == "decoder" else text), starts  # GPT: the answer brings its own space

    def _place(self, example: Example, starts: list[int], ids: list[int], offsets: list[tuple[int, int]]) -> Rendered:
        """Trace tokens to their parts, cut, put the frame around, and note masks and soft tokens."""
        pieces: list[list[int]] = [[] for _ in self.parts]
        for token, (begin, end) in zip(ids, offsets):
            pieces[bisect_right(starts, max(begin, end - 1)) - 1].append(token)  # by its last character: the space before a word is the word's
        cut = self._shorten(pieces, example)

        first, last = self.frame
        tokens, origin, soft, types, masks, kind = list(first), [ADDED] * len(first), [-1] * len(first), [0] * len(first), [], 0
        for place, piece in enumerate(pieces):
            part = self.parts[place]
            if part.kind == "mask" and self.shape == "encoder":
                masks.append(list(range(len(tokens), len(tokens) + len(piece))))
            tokens += piece
            origin += [place] * len(piece)
            soft += self.rows[place] if part.kind == "soft" else [-1] * len(piece)
            types += [kind] * len(piece)
            kind = 1 if part.kind == "sep" and self.shape == "encoder" else kind
        tokens, origin, soft, types = tokens + last, origin + [ADDED] * len(last), soft + [-1] * len(last), types + [kind] * len(last)
        if not tokens:
            raise PromptError(f"{example.source}: nothing is left to read in {self.template.source!r}; its texts are empty.")
        rendered = Rendered(tokens, types, origin, soft, masks, cut=cut)
        if self.shape == "decoder":
            rendered.masks = [[len(tokens) - 1]]
        elif self.shape == "encoder-decoder":
            sentinels = [piece[0] for piece, part in zip(pieces, self.parts) if part.kind == "mask"]
            if sentinels:
                rendered.decoder, rendered.masks = [self.start, sentinels[0]], [[1]]
        return rendered

    def _shorten(self, pieces: list[list[int]], example: Example) -> dict[int, list[int]]:
        """Cut the shortenable pieces until all fit; returns what went."""
        places = [place for place, part in enumerate(self.parts) if part.shorten]
        fixed = sum(len(piece) for place, piece in enumerate(pieces) if place not in places) + sum(map(len, self.frame))
        room = self.room - fixed
        if room < 0:
            hint = "mark a text with |shorten, so that it may be cut" if not places else "shorten the template"
            raise PromptError(f"{example.source}: {fixed} tokens may not be cut and the model reads {self.room}; {hint}: {self.template.source}")
        limit, cut = fair_limit([len(pieces[place]) for place in places], room), {}
        for place in places:
            piece, side = pieces[place], self.parts[place].shorten
            if (lost := len(piece) - limit) > 0:
                front = {"tail": 0, "head": lost, "balanced": lost // 2}[side]
                cut[place] = piece[:front] + piece[front + limit :]
                pieces[place] = piece[front : front + limit]
        return cut


def soft_rows(template: Template, tokenizer: Any) -> dict[int, list[int]]:
    """Place of a soft part -> the rows of the table that stand there, numbered from 0 as they first appear.

    Raises: PromptError if one id stands for different numbers of vectors.
    """
    rows: dict[int, list[int]] = {}
    known: dict[str, list[int]] = {}
    total = 0
    for place, part in enumerate(template.parts):
        if part.kind != "soft":
            continue
        if part.label in known:
            rows[place] = known[part.label]
            if part.value is None and part.count not in (1, len(rows[place])):
                raise PromptError(f"{part}: {{soft#{part.label}}} stands for {len(rows[place])} vectors already; write the same number, or {{soft#{part.label}}}.")
            continue
        count = part.count or len(start_words(part, tokenizer))
        rows[place], total = list(range(total, total + count)), total + count
        if part.label:
            known[part.label] = rows[place]
    return rows


def start_words(part: Part, tokenizer: Any) -> list[int]:
    """The tokens of the words that a soft part starts from."""
    return tokenizer(f" {part.value}", add_special_tokens=False)["input_ids"]
