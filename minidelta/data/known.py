"""The data sets of the hub that are known by name: repository, columns, splits, and how a row becomes a record.

    name       repository                            rows for training    the test part is
    sst2       stanfordnlp/sst2                                 67,349    its validation split (the test labels are hidden)
    mnli       nyu-mll/glue, mnli                              392,702    validation_matched (likewise)
    ag_news    fancyzhx/ag_news                                120,000    its test split
    semeval    SemEvalWorkshop/sem_eval_2010_task_8              8,000    its test split
    squad      rajpurkar/squad                                  87,599    its validation split (the test part was never published)
    wmt14      wmt/wmt14, such as de-en                      4,508,785    its test split, newstest2014
    wmt16      wmt/wmt16, such as ro-en                        610,320    its test split, newstest2016

Each is also known by its repository: "hub:nyu-mll/glue:sst2" is "hub:sst2" with GLUE's copy of the rows.  T5 saw the prefixes
of sst2, mnli and squad in its pre-training, and those from English to German, French and Romanian (Raffel et al. 2020,
appendix D): "t5-small" thus knows these tasks already.  The others are new to it, and only look like them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from minidelta.data.readers import BadRecord, Columns
from minidelta.errors import DataError

Record = dict[str, Any]
LANGUAGES = {"cs": "Czech", "de": "German", "en": "English", "fi": "Finnish", "fr": "French", "hi": "Hindi", "ro": "Romanian", "ru": "Russian", "tr": "Turkish"}
PAIRS = {"wmt14": ("cs-en", "de-en", "fr-en", "hi-en", "ru-en"), "wmt16": ("cs-en", "de-en", "fi-en", "ro-en", "ru-en", "tr-en")}
MARKED = re.compile(r"<e([12])>(.*?)</e\1>")


@dataclass(frozen=True)
class Known:
    """A data set that needs no explanation by its user.

    Args:
        repository, config: where it is on the hub.
        columns: what its rows call text, second text and answer.
        splits: part -> split.
        kind, metric, prefix, description: as of a `Task`.
        reshape: a row -> a record with the keys of an `Example`, where the columns alone do not say it.
    """

    repository: str
    config: str | None = None
    columns: Columns = Columns()
    splits: dict[str, str] | None = field(default_factory=lambda: {"train": "train", "test": "test"})
    kind: str = "classification"
    metric: str = "accuracy"
    prefix: str = ""
    description: str = ""
    reshape: Callable[[Record], Record] | None = None


def two_entities(row: Record) -> Record:
    """SemEval-2010 task 8 (Hendrickx et al. 2010): two nominals marked in a sentence, and the relation that holds between them.

    >>> two_entities({"sentence": "The <e1>fire</e1> was caused by the <e2>bomb</e2>.", "relation": "Cause-Effect(e2,e1)"})
    {'text': 'The fire was caused by the bomb.', 'label': 'Cause-Effect(e2,e1)', 'head': [4, 8], 'tail': [27, 31]}
    """
    plain, spans, read = "", {}, 0
    sentence = row["sentence"].strip()
    for mark in MARKED.finditer(sentence):
        plain += sentence[read : mark.start()]
        spans[mark[1]] = [len(plain), len(plain) + len(mark[2])]
        plain, read = plain + mark[2], mark.end()
    if sorted(spans) != ["1", "2"] or any(start == end for start, end in spans.values()):
        raise BadRecord("no two entities are marked, as <e1>...</e1> and <e2>...</e2>")
    return {"text": plain + sentence[read:], "label": row["relation"], "head": spans["1"], "tail": spans["2"]}


def passage_and_answer(row: Record) -> Record:
    """SQuAD (Rajpurkar et al. 2016): a paragraph, a question, and where in the paragraph the answer stands.

    Several people answered the questions of the validation split: the first answer is learnt from, all count as right.

    >>> passage_and_answer({"context": " Ada lived in Oslo.", "question": "Where?", "answers": {"text": ["Oslo", "in Oslo"], "answer_start": [14, 11]}})
    {'text': 'Ada lived in Oslo.', 'text_b': 'Where?', 'answer': 'Oslo', 'start': 13, 'answers': ['Oslo', 'in Oslo']}
    """
    context, answers = row["context"], row["answers"]
    if not answers["text"]:
        raise BadRecord("the question has no answer in the passage")
    answer, start = answers["text"][0], answers["answer_start"][0]
    if not answer.strip() or context[start : start + len(answer)] != answer:
        raise BadRecord(f"the answer {answer!r} does not stand at character {start} of the passage")
    text = context.strip()  # as every text is read; the places move with it
    start += len(answer) - len(answer.lstrip()) - (len(context) - len(context.lstrip()))
    return {"text": text, "text_b": row["question"], "answer": answer.strip(), "start": start, "answers": list(dict.fromkeys(answers["text"]))}


def translation(source: str, target: str) -> Callable[[Record], Record]:
    """WMT: a sentence in two languages.

    >>> translation("de", "en")({"translation": {"de": "Guten Morgen", "en": "Good morning"}})
    {'text': 'Guten Morgen', 'answer': 'Good morning'}
    """

    def reshape(row: Record) -> Record:
        pair = row["translation"]
        if not (pair.get(target) or "").strip():
            raise BadRecord(f"the sentence in {LANGUAGES[target]} is empty")
        return {"text": pair.get(source), "answer": pair[target].strip()}

    return reshape


LABELLED_VALIDATION = {"train": "train", "test": "validation"}
SST2 = Known("stanfordnlp/sst2", None, Columns("sentence"), LABELLED_VALIDATION, prefix="sst2 sentence:", description="Is this phrase of a film review negative or positive?")
KNOWN = {
    "sst2": SST2,
    "mnli": Known("nyu-mll/glue", "mnli", Columns("premise", "hypothesis"), {"train": "train", "test": "validation_matched"}, prefix="mnli hypothesis: ... premise:", description="Does the premise entail the hypothesis, contradict it, or neither?"),
    "ag_news": Known("fancyzhx/ag_news", prefix="topic:", description="Is this a report on the world, sports, business or science?"),
    "semeval": Known("SemEvalWorkshop/sem_eval_2010_task_8", None, Columns("sentence", label="relation"), kind="relation", metric="f1_semeval", prefix="relation:", description="Which relation holds between the two marked nominals, and which way?", reshape=two_entities),
    "squad": Known("rajpurkar/squad", None, Columns("context", "question", "answers"), LABELLED_VALIDATION, "extraction", "f1_answer", "question:", "Which stretch of the passage answers the question?", passage_and_answer),
    "wmt14": Known("wmt/wmt14", "de-en"),
    "wmt16": Known("wmt/wmt16", "de-en"),
}
ALIASES = {("nyu-mll/glue", "sst2"): replace(SST2, repository="nyu-mll/glue", config="sst2")}
OLD = {"glue": "nyu-mll/glue", "sem_eval_2010_task_8": "SemEvalWorkshop/sem_eval_2010_task_8"}  # repositories as they were called before they had owners
ALIASES |= {(one.repository, one.config): one for name, one in KNOWN.items() if name not in PAIRS}


def find_known(name: str, config: str | None) -> Known | None:
    """What is known of a data set by its short name or its repository; None for any other.

    A translation is named by its languages, from which to which: `de-en` and `en-de` read the same rows.
    Raises: DataError for languages that the data set does not have, or a configuration where there is one only.

    >>> find_known("sst2", None).repository, find_known("wmt16", "en-ro").prefix, find_known("some/where", None)
    ('stanfordnlp/sst2', 'translate English to Romanian:', None)
    >>> find_known("glue", "sst2").repository  # as many still write it
    'nyu-mll/glue'
    """
    name = OLD.get(name, name)
    if (short := name.removeprefix("wmt/")) in PAIRS:
        return _languages(short, config)
    if name in KNOWN and config is not None:
        raise DataError(f"the data set {name!r} is known without a configuration; write hub:{name}, or hub:{KNOWN[name].repository}:{config}")
    return KNOWN.get(name) or ALIASES.get((name, config))


def is_known(name: str) -> bool:
    """Whether something is known of `name` or `name:config`.

    >>> is_known("sst2"), is_known("glue:mnli"), is_known("sst3")
    (True, True, False)
    """
    name, _, config = name.partition(":")
    try:
        return find_known(name, config or None) is not None
    except DataError:
        return False


def _languages(name: str, config: str | None) -> Known:
    """WMT's rows of one pair of languages, read in one direction."""
    asked = config or KNOWN[name].config or ""
    source, _, target = asked.partition("-")
    pair = next((pair for pair in PAIRS[name] if sorted(pair.split("-")) == sorted((source, target))), None)
    if pair is None:
        raise DataError(f"{name} has no languages {asked!r}; expected one of {', '.join(PAIRS[name])}, in either order")
    return replace(
        KNOWN[name], config=pair, columns=Columns("translation", label="translation"), splits={"train": "train", "validation": "validation", "test": "test"},
        kind="generation", metric="bleu", prefix=f"translate {LANGUAGES[source]} to {LANGUAGES[target]}:",
        description=f"{LANGUAGES[source]} sentences in {LANGUAGES[target]}", reshape=translation(source, target),
    )  # fmt: skip
