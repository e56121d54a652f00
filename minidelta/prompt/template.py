"""Templates: text with gaps, in a small language that is parsed and never evaluated.

    {text_a|shorten} It was {mask}.                      PET (Schick and Schuetze 2020): "[x] It was [MASK]."
    Headline: {text_a|shorten:head|lower} {sep} Topic: {mask}
    {soft:10} {text_a|shorten} {soft:"it was"} {mask}    soft tokens: ten new ones, and two that start as words

The whole language:

    template  :=  ( text  |  "{{"  |  "}}"  |  "{" part "}" )*
    part      :=  name  [ "#" label ]  [ ":" argument ]  ( "|" filter [ ":" argument ] )*
    argument  :=  a quoted string "..." with \\" and \\\\ inside, or letters up to the next | or }

    {text_a} {text_b}          the two texts of an example
    {meta:key}                 what an example's record says under a key (a further column of your file); a list is joined by " ; "
    {head} {tail}              the two entities of a relation example
    {mask} {mask:3}            the place that the model fills, of one token or of three
    {sep}                      the model's separator: [SEP] of BERT, a line break for the others
    {soft} {soft:10}           new vectors that are trained and stand for no word
    {soft:"it was"}            one for each token of these words, and starting as them
    {soft#id} {soft#id:3}      the same id is the same vectors, wherever it stands
    {special:cls_token}        a special token by its role, or as it is written: {special:[E1]}

    |shorten                   this text may be cut where the whole is too long; nothing else ever is
                               shorten:tail (the end goes, the default), shorten:head (the beginning goes),
                               shorten:balanced (both ends alike)
    |lower |upper |capitalize |strip |strip_punctuation |first_sentence       change the text, from left to right

OpenPrompt (Ding et al. 2022) writes {"placeholder": "text_a", "shortenable": True} and evaluates it as Python.
"""

import re
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from minidelta.data import Example
from minidelta.errors import PromptError, near_misses

FILTERS: dict[str, Callable[[str], str]] = {
    "lower": str.lower,
    "upper": str.upper,
    "capitalize": lambda text: text[:1].upper() + text[1:],
    "strip": str.strip,
    "strip_punctuation": lambda text: text.strip(string.punctuation + string.whitespace + "。！？…"),
    "first_sentence": lambda text: re.split(r"(?<=[.!?。！？])\s", text.strip())[0],
}
SIDES = ("tail", "head", "balanced")
TEXTS = ("text_a", "text_b", "meta", "head", "tail")  # parts that take their text from the example
NAMES = (*TEXTS, "mask", "sep", "soft", "special")
MOST = 512  # masks or soft tokens in one part


@dataclass(frozen=True)
class Part:
    """One piece of a template.

    kind: "literal", or a name of NAMES.
    value: the words of a literal, the key of a meta, the name of a special token, the start words of a soft part.
    count: masks or soft tokens; None for a soft part whose words decide.
    label: the id of a soft part.
    filters: names of FILTERS, in the order in which they act.
    shorten: which end may be cut, one of SIDES; None: none.
    start, end: where it stands in the source, [start, end).
    """

    kind: str
    value: str | None = None
    count: int | None = 1
    label: str | None = None
    filters: tuple[str, ...] = ()
    shorten: str | None = None
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)

    def __str__(self) -> str:
        """The part as it is written, in its plainest form."""
        if self.kind == "literal":
            return self.value.replace("{", "{{").replace("}", "}}")
        inside = self.kind + (f"#{self.label}" if self.label else "")
        if self.kind in ("meta", "special") and self.value == self.value.strip() and not set(self.value) & set('|}"'):
            inside += f":{self.value}"
        elif self.value is not None:
            escaped = self.value.replace("\\", "\\\\").replace('"', '\\"')
            inside += f':"{escaped}"'
        elif self.count != 1:
            inside += f":{self.count}"
        inside += {None: "", "tail": "|shorten"}.get(self.shorten, f"|shorten:{self.shorten}")
        return "{" + "|".join([inside, *self.filters]) + "}"

    def text(self, example: Example) -> str:
        """What the example says here, filtered.  Raises: PromptError if it says nothing."""
        text = self.raw(example)
        for name in self.filters:
            text = FILTERS[name](text)
        return text

    def raw(self, example: Example) -> str:
        """The same before the filters."""
        if self.kind == "literal":
            return self.value
        if self.kind == "text_a":
            return example.text
        found = example.text_b if self.kind == "text_b" else example.meta.get(self.value if self.kind == "meta" else self.kind)
        if found is None:
            asked = self.kind + (f":{self.value}" if self.value else "")
            known = ["text_a", *["text_b"] * (example.text_b is not None), *(f"meta:{key}" for key, value in example.meta.items() if value is not None)]
            raise PromptError(f"{example.source}: the template asks for {{{asked}}}, which this record lacks. {near_misses(asked, known)}")
        if self.kind in ("head", "tail") and not isinstance(found, str):  # a span; a record of one's own may give the name itself
            return example.text[slice(*found)]
        return " ; ".join(map(str, found)) if isinstance(found, (list, tuple)) else str(found)


class Template:
    """A parsed template.

    Args:
        source: the template as it is written.
        name: what it is called in lists and errors.
        seen: whether its words stand in the pre-training text of the embedded models, so that its zero-shot score is no surprise.
    Raises: PromptError with a caret under the place that cannot be read.

    >>> template = Template("{text_a|shorten} It was {mask}.")
    >>> [part.kind for part in template.parts]
    ['text_a', 'literal', 'mask', 'literal']
    >>> template.fill(Example("A fine film."), "great")
    'A fine film. It was great.'
    """

    def __init__(self, source: str, name: str = "", seen: bool = False) -> None:
        self.source, self.name, self.seen = source, name, seen
        self.parts = tuple(_Reader(source).template())

    def __str__(self) -> str:
        return "".join(map(str, self.parts))

    def __repr__(self) -> str:
        return f"Template({self.source!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    @property
    def masks(self) -> list[Part]:
        """The {mask} parts, from left to right."""
        return [part for part in self.parts if part.kind == "mask"]

    @property
    def softs(self) -> list[Part]:
        """The {soft} parts, from left to right; an id that returns is listed again."""
        return [part for part in self.parts if part.kind == "soft"]

    @property
    def words(self) -> str:
        """The words that are always there, with a gap between them."""
        return " _ ".join(part.value.strip() for part in self.parts if part.kind == "literal" and part.value.strip())

    def mask_spaced(self, number: int = 0) -> bool:
        """Whether a space stands before a mask, so that the word in its place begins a new word.

        >>> Template("It was {mask}").mask_spaced(), Template("un{mask}").mask_spaced(), Template("{mask} news").mask_spaced()
        (True, False, False)
        """
        place = [i for i, part in enumerate(self.parts) if part.kind == "mask"][number]
        before = self.parts[place - 1] if place else None
        return before is not None and before.kind == "literal" and before.value[-1].isspace()

    def with_masks(self, count: int) -> "Template":
        """The same template with another number of masks in its (only) gap.

        >>> str(Template("It was {mask}.").with_masks(3))
        'It was {mask:3}.'
        """
        if len(self.masks) != 1:
            raise PromptError(f"The template {self.source!r} has {len(self.masks)} gaps, and an answer in several tokens needs exactly one {{mask}}.")
        return Template("".join(str(replace(part, count=count) if part.kind == "mask" else part) for part in self.parts), self.name, self.seen)

    def check(self, examples: Iterable[Example]) -> None:
        """Raises: PromptError for the first example that lacks a text that the template asks for."""
        for example in examples:
            for part in self.parts:
                if part.kind in TEXTS:
                    part.raw(example)

    def fill(self, example: Example, *answers: str) -> str:
        """The text that a person would read, with answers in the gaps; without answers the gaps read [MASK]."""
        said, text = iter(answers), ""
        for part in self.parts:
            if part.kind == "mask":
                text += next(said, " ".join(["[MASK]"] * part.count))
            elif part.kind == "sep":
                text += "[SEP]"
            elif part.kind == "soft":
                text += f"<{part.label or 'soft'}>" if part.value is None else f"<{part.value}>"
            elif part.kind == "special":
                text += f"<{part.value}>"
            else:
                text += part.text(example)
        return text


class _Reader:
    """Reads a template from left to right, one character after the other."""

    def __init__(self, source: str) -> None:
        if not isinstance(source, str):
            raise PromptError(f"A template is a text such as '{{text_a}} It was {{mask}}.', and {source!r} is none.")
        self.source, self.place = source, 0

    def template(self) -> list[Part]:
        if not self.source.strip():
            raise PromptError("The template is empty; write something such as '{text_a|shorten} It was {mask}.'")
        parts: list[Part] = []
        literal, start = "", 0
        while self.place < len(self.source):
            here = self.source[self.place]
            if self.source.startswith(("{{", "}}"), self.place):
                literal, self.place = literal + here, self.place + 2
            elif here == "}":
                self.fail("a closing brace without an opening one; write }} for a brace in the text", self.place)
            elif here == "{":
                if literal:
                    parts.append(Part("literal", literal, start=start, end=self.place))
                parts.append(self.part())
                literal, start = "", self.place
            else:
                literal, self.place = literal + here, self.place + 1
        if literal:
            parts.append(Part("literal", literal, start=start, end=self.place))
        return parts

    def part(self) -> Part:
        opening = self.place
        self.place += 1
        if self.source.find("}", opening) < 0:
            self.fail("this brace is never closed; write {{ for a brace in the text", opening)
        at = self.place
        name = self.name()
        if name not in NAMES:
            self.fail(f"there is no part called {name!r}. {near_misses(name, NAMES)}" if name else f"an empty part; write one of {', '.join(NAMES)}", at, at + max(1, len(name)))
        label = None
        if self.take("#"):
            mark = self.place
            label = self.name()
            if name != "soft" or not label:
                self.fail("only {soft#id} has an id, of letters, digits, - and _", mark - 1)
        at, argument, quoted = self.place + 1, *(self.argument() if self.take(":") else (None, False))
        part = self.arguments(name, label, argument, quoted, at, opening)
        filters, shorten = [], None
        while self.take("|"):
            at = self.place
            word = self.name()
            side, _ = self.argument() if self.take(":") else (None, False)
            if name not in TEXTS:
                self.fail(f"{{{name}}} is no text of the example, so it cannot be filtered or shortened", at, self.place)
            if word == "shorten":
                shorten = side or "tail"
                if shorten not in SIDES:
                    self.fail(f"shorten:{shorten} is not known; the end that goes is tail, head or balanced", at, self.place)
            elif word not in FILTERS:
                self.fail(f"there is no filter called {word!r}. {near_misses(word, ['shorten', *FILTERS])}", at, max(at + 1, self.place))
            elif side is not None:
                self.fail(f"the filter {word} takes no argument", at, self.place)
            else:
                filters.append(word)
        if not self.take("}"):
            self.fail("expected |filter or } here", self.place)
        return Part(name, **part, label=label, filters=tuple(filters), shorten=shorten, start=opening, end=self.place)

    def arguments(self, name: str, label: str | None, argument: str | None, quoted: bool, at: int, opening: int) -> dict:
        """What stands behind the colon, as value and count of the part."""
        if name in ("meta", "special"):
            if not argument:
                self.fail({"meta": "{meta:key} needs the key of the record, such as {meta:title}", "special": "{special:...} needs a token, such as {special:cls_token}"}[name], opening, self.place)
            return {"value": argument}
        if argument is None:
            return {}
        if name not in ("mask", "soft"):
            self.fail(f"{{{name}}} takes no argument", at, self.place)
        if name == "soft" and quoted:
            if not argument.strip():
                self.fail('{soft:"..."} needs words to start from', at, self.place)
            return {"value": argument, "count": None}
        if not argument.isdecimal() or not 1 <= int(argument) <= MOST:
            words = ', or words in quotes: {soft:"it was"}' if name == "soft" else ""
            self.fail(f"{{{name}:...}} needs a whole number from 1 to {MOST}{words}", at, max(at + 1, self.place))
        return {"count": int(argument)}

    def name(self) -> str:
        start = self.place
        while self.place < len(self.source) and (self.source[self.place].isalnum() or self.source[self.place] in "_-"):
            self.place += 1
        return self.source[start : self.place]

    def argument(self) -> tuple[str, bool]:
        """The argument, and whether it stood in quotes."""
        if self.take('"'):
            opening, value = self.place - 1, ""
            while not self.take('"'):
                if self.place >= len(self.source):
                    self.fail("this quote is never closed", opening)
                self.place += self.source[self.place] == "\\" and self.source[self.place + 1 : self.place + 2] in ('"', "\\")
                value, self.place = value + self.source[self.place], self.place + 1
            return value, True
        start = self.place
        while self.place < len(self.source) and self.source[self.place] not in "|}":
            self.place += 1
        return self.source[start : self.place].strip(), False

    def take(self, mark: str) -> bool:
        if self.source.startswith(mark, self.place):
            self.place += len(mark)
            return True
        return False

    def fail(self, complaint: str, start: int, end: int | None = None) -> None:
        """Point at the place: the line of the template where it stands, and a caret under each letter meant."""
        first = self.source.rfind("\n", 0, start) + 1
        line = self.source[first:].split("\n", 1)[0]
        carets = "^" * max(1, min(end or start + 1, first + len(line)) - start)
        raise PromptError(f"the template cannot be read at character {start + 1}: {complaint}\n  {line}\n  {' ' * (start - first)}{carets}")


def load_templates(path: str | Path) -> list[Template]:
    """The templates of a file: one a line, perhaps with a name in front (`@it-was {text_a} It was {mask}.`); # begins a remark.

    Raises: PromptError for a file without templates, or a line that cannot be read, with its number.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise PromptError(f"{path}: the file of templates is not UTF-8; convert it.") from None
    except OSError as problem:
        raise PromptError(f"{path}: the file of templates cannot be read ({problem.strerror}).") from None
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, rest = line.strip()[1:].partition(" ") if line.startswith("@") else (f"{len(found) + 1}", "", line.strip())
        try:
            found.append(Template(rest.strip(), name))
        except PromptError as error:
            raise PromptError(f"{path.name}:{number}: {error}") from None
    if not found:
        raise PromptError(f"{path}: no template in the file; write one a line, such as {{text_a|shorten}} It was {{mask}}.")
    return found


def choose_template(templates: Sequence[Template], choice: str | int | None = None, where: str = "the templates") -> Template:
    """One of several: by its number (from 1) or its name; the first where nothing is said.

    >>> two = [Template("{text_a} {mask}", "plain"), Template("{mask} news: {text_a}", "news")]
    >>> choose_template(two, "news") is choose_template(two, 2) is two[1]
    True
    """
    if choice is None:
        return templates[0]
    for number, template in enumerate(templates, 1):
        if template.name == str(choice) or str(number) == str(choice):
            return template
    raise PromptError(f"{where} has no template {choice!r}. {near_misses(str(choice), [template.name for template in templates])} A number from 1 to {len(templates)} chooses too.")
