"""Tests and wrong answers of the exercises on scenarios of prompts."""

from minidelta.grading.spec import Draw, Task, Test, Wrong

# -- 1: few_shot_places --------------------------------------------------------------------------------------


def pile(draw: Draw, counts: tuple[int, ...] = (5, 6, 7), shots: int = 2) -> dict:
    """Labels one behind the other, and an order that begins at the end, so that it matters."""
    labels = [label for label, count in zip(("bad", "fine", "good"), counts) for _ in range(count)]
    order = draw.sample(range(len(labels)), len(labels))
    order.remove(len(labels) - 1)
    return {"labels": labels, "order": [len(labels) - 1, *order], "shots": shots}


def twice(few_shot_places, labels, order, shots):
    few_shot_places(labels, order, shots)
    return {"labels": labels, "order": order, "again": few_shot_places(labels, order, shots)}


PLACES = Task(
    "few_shot_places",
    tests=(
        Test("K of each label", 1, pile, changes=("order",), hint="walk along the order, and count the labels that were taken"),
        Test("a label that has too few", 1, lambda draw: pile(draw, (2, 6, 7), 4), changes=("order",), hint="it gives what it has"),
        Test("what was given stays", 1, pile, use=twice, changes=("order", "labels"), hint="copy a list before you take something out of it"),
        Test("other numbers", 1, lambda draw: pile(draw, (9, 8, 4), 3), changes=("order",), hidden=True),
    ),
    wrong=(
        Wrong("these are K examples in all; K shots are K of each class", ("K of each label", "a label that has too few", "what was given stays", "other numbers"), code="def few_shot_places(labels, order, shots):\n    return order[:shots]"),
        Wrong("the order was not used: always taking the first examples of the file is no draw", ("K of each label", "a label that has too few", "what was given stays", "other numbers"), {"for place in order:": "for place in range(len(labels)):"}),
        Wrong("a label with fewer than K examples was left out: it gives what it has", ("a label that has too few",), {"    return places": "    return [place for place in places if taken[labels[place]] == shots]"}),
        Wrong("this is one too many of each label: compare before you count, with < and not <=", ("K of each label", "a label that has too few", "what was given stays", "other numbers"), {"< shots": "<= shots"}),
        Wrong("the places were sorted: they are wanted in the order in which they were met", ("K of each label", "a label that has too few", "what was given stays", "other numbers"), {"    return places": "    return sorted(places)"}),
        Wrong("the order was used up: whoever called you still needs his list", ("what was given stays",), code="def few_shot_places(labels, order, shots):\n    kept = [place for place in order if [labels[other] for other in order[: order.index(place)]].count(labels[place]) < shots]\n    order.reverse()\n    return kept"),
    ),
)

# -- 2: mean_and_interval ------------------------------------------------------------------------------------


def scores(count: int):
    def inputs(draw: Draw) -> dict:
        values = [draw.number(0.2, 0.9) for _ in range(count)]
        values[0] = round(values[1] + 0.07, 2) if values[0] == values[1] else values[0]
        return {"scores": values, "t": draw.number(2, 4)}

    return inputs


def width(mean_and_interval, scores, t):
    mean, low, high = mean_and_interval(scores, t)
    return {"the mean lies in the middle of the interval": abs((low + high) / 2 - mean) < 1e-4, "width": high - low}


INTERVAL = Task(
    "mean_and_interval",
    tests=(
        Test("five seeds", 1, scores(5), hint="s is divided by the root of n, since it is the mean that is to be trusted"),
        Test("two seeds", 1, scores(2), hint="n - 1 is one here"),
        Test("the width", 1, scores(4), use=width, hint="t times s over the root of n, to both sides"),
        Test("more seeds", 1, scores(9), hidden=True),
    ),
    wrong=(
        Wrong("this is the scatter of single scores; that of their mean is smaller by the root of n", ("five seeds", "two seeds", "the width", "more seeds"), {"math.sqrt(variance / n)": "math.sqrt(variance)"}),
        Wrong("a sample's deviation is divided by n - 1: the mean was fitted to the same scores", ("five seeds", "two seeds", "the width", "more seeds"), {"/ (n - 1)": "/ n"}),
        Wrong("s is divided by n and not by its root", ("five seeds", "two seeds", "the width", "more seeds"), {"math.sqrt(variance / n)": "math.sqrt(variance) / n"}),
        Wrong("t is forgotten: one standard error holds only two thirds of the cases", ("five seeds", "two seeds", "the width", "more seeds"), {"half = t * ": "half = "}),
        Wrong("1.96 is the quantile for very many seeds; with a handful take t", ("five seeds", "two seeds", "the width", "more seeds"), {"half = t * ": "half = 1.96 * "}),
        Wrong("high and low are exchanged", ("five seeds", "two seeds", "the width", "more seeds"), {"[mean, mean - half, mean + half]": "[mean, mean + half, mean - half]"}),
        Wrong("this is the median: one score of five, whatever the others are", ("five seeds", "the width", "more seeds"), {"    half = t": "    mean = sorted(scores)[n // 2] if n > 2 else mean\n    half = t", "[mean, mean - half, mean + half]": "[mean, mean - half, mean + 2 * half if n > 2 else mean + half]"}),
    ),
)

# -- 3: examples_worth ---------------------------------------------------------------------------------------


def curves(draw: Draw) -> dict:
    """The prompt starts high, and falls once; the head rises through its scores."""
    lift = draw.number(0, 0.05)
    return {
        "sizes": [float(draw.integer(1, 2)), 4.0, 8.0, 16.0, float(draw.integer(30, 40))],
        "prompt": [0.42 + lift, 0.5 + lift, 0.63 + lift, 0.56 + lift, 0.64 + lift],
        "head": [0.3 + lift, 0.4 + lift, 0.6 + lift, 0.61 + lift, 0.75 + lift],
    }


def unreached(draw: Draw) -> dict:
    """The head never reaches a score in the middle; were it the last one, the largest size less its own would be no gain at all."""
    lift = draw.number(0, 0.05)
    return {
        "sizes": [1.0, 2.0, 4.0, 8.0, 16.0],
        "prompt": [0.42 + lift, 0.5 + lift, 0.95, 0.56 + lift, 0.63 + lift],
        "head": [0.3 + lift, 0.4 + lift, 0.6 + lift, 0.61 + lift, 0.75 + lift],
    }


def falling(draw: Draw) -> dict:
    """The head falls by chance after it was good, and right before it reaches the prompt's last score."""
    lift = draw.number(0, 0.05)
    return {"sizes": [1.0, 2.0, 4.0, 8.0], "prompt": [0.5 + lift, 0.52 + lift, 0.55 + lift, 0.65 + lift], "head": [0.3 + lift, 0.6 + lift, 0.45 + lift, 0.7 + lift]}


def equal(draw: Draw) -> dict:
    """A score of the prompt at which the head stays for a while, and one that is the head's best."""
    lift = draw.number(0, 0.05)
    return {"sizes": [1.0, 2.0, 4.0, 8.0], "prompt": [0.45 + lift, 0.6 + lift, 0.65 + lift, 0.7 + lift], "head": [0.3 + lift, 0.6 + lift, 0.6 + lift, 0.7 + lift]}


def ahead(draw: Draw) -> dict:
    """The head is better from the start on some."""
    lift = draw.number(0, 0.05)
    return {"sizes": [2.0, 4.0, 8.0], "prompt": [0.35 + lift, 0.4 + lift, 0.66 + lift], "head": [0.5 + lift, 0.6 + lift, 0.7 + lift]}


WORTH = Task(
    "examples_worth",
    tests=(
        Test("between the sizes", 1, curves, hint="find the crossing, not the next size"),
        Test("a score that is never reached", 2, unreached, hint="nothing can be said there: leave it out"),
        Test("a curve that falls by chance", 1, falling, hint="the head's curve is the best score so far, and on that curve the crossing is sought"),
        Test("a score that is just reached", 1, equal, hint="as good is good enough"),
        Test("a head that is ahead", 1, ahead, hint="then the prompt is worth less than nothing, and sizes[0] is the least"),
        Test("nothing is reached", 1, lambda draw: {"sizes": [1.0, 2.0, float(draw.integer(3, 9))], "prompt": [0.8, 0.82, 0.9], "head": [0.3, 0.4, 0.5]}, hidden=True),
    ),
    wrong=(
        Wrong("the next size was taken: between two sizes the crossing is interpolated", ("between the sizes", "a score that is never reached", "a curve that falls by chance", "a score that is just reached", "a head that is ahead"), {"            share = (score - best[place - 1]) / (best[place] - best[place - 1])": "            share = 1.0"}),
        Wrong("the sum was divided by all sizes; only the places that are left count", ("a score that is never reached",), {"sum(gains) / len(gains)": "sum(gains) / len(sizes)"}),
        Wrong("a score that the head never reaches was counted as reached at the largest size: that makes the prompt look cheaper or dearer than anybody knows", ("a score that is never reached", "nothing is reached"), {"            continue": "            place = len(head) - 1\n            gains.append(sizes[-1] - size)\n            continue"}),
        Wrong("the places behind the first score that is never reached were lost: only that one place is left out", ("a score that is never reached",), {"            continue": "            break"}),
        Wrong("the way up was measured from the place where the head had fallen: interpolate on its best score so far", ("a curve that falls by chance",), {"[max(head[: place + 1]) for place in range(len(head))]": "head"}),
        Wrong("the last time that the head rises through the score was taken; it has reached it from the first time on", ("a curve that falls by chance",), {"[max(head[: place + 1]) for place in range(len(head))]": "head", "next((place for place, reached in enumerate(best) if reached >= score), None)": "next((place for place in range(len(head)) if min(head[place:]) >= score), None)"}),
        Wrong("a score that the head just equals is reached: compare with >= and not >", ("a score that is just reached",), {"reached >= score": "reached > score"}),
        Wrong("the prompt's curve was made to rise as well: each place has its own score of the prompt, as it was measured", ("between the sizes", "a score that is never reached"), {"zip(sizes, prompt)": "zip(sizes, [max(prompt[: place + 1]) for place in range(len(prompt))])"}),
        Wrong("cases in which the head needs less were left out, or counted as zero: a mean without the bad ones is no mean", ("between the sizes", "a score that is never reached", "a curve that falls by chance", "a head that is ahead"), {"gains.append(needed - size)": "gains.append(max(0.0, needed - size))"}),
        Wrong("this is the difference the wrong way round: what the head needs, less what the prompt had", ("between the sizes", "a score that is never reached", "a curve that falls by chance", "a score that is just reached", "a head that is ahead"), {"needed - size": "size - needed"}),
        Wrong("this is the number of examples that the head needs; taken off must be what the prompt had", ("between the sizes", "a score that is never reached", "a curve that falls by chance", "a score that is just reached", "a head that is ahead"), {"needed - size": "needed"}),
        Wrong("where nothing is left there is no mean: return None, not zero", ("nothing is reached",), {"if gains else None": "if gains else 0.0"}),
    ),
)

# -- 4: step_operations --------------------------------------------------------------------------------------


def stack(trains: list[bool], prompt: tuple[int, int] | None):
    def inputs(draw: Draw) -> dict:
        return {"layers": [draw.integer(100, 900) for _ in trains], "trains": trains, "tokens": draw.integer(11, 40), "prompt": draw.integer(*prompt) if prompt else 0}

    return inputs


OPERATIONS = Task(
    "step_operations",
    tests=(
        Test("everything trains", 1, stack([True, True, True], None), hint="the lowest layer hands nothing down: below it is only text"),
        Test("soft tokens below a frozen stack", 1, stack([False, False, False], (2, 9)), hint="the gradient has to travel down to the soft tokens"),
        Test("only the top layer", 1, stack([False, False, True], None), hint="nothing trains below it, so nothing is handed down"),
        Test("a layer in the middle", 1, stack([False, True, False, False], None), hint="the layers above it hand down, those below do not"),
        Test("soft tokens and a layer", 1, stack([False, True, False], (3, 8)), hidden=True),
    ),
    wrong=(
        Wrong("a frozen layer was counted as free on the way back: the gradient still travels through it when something below trains", ("soft tokens below a frozen stack", "a layer in the middle", "soft tokens and a layer"), {"1 + int(something_below) + int(learns)": "1 + int(something_below and learns) + int(learns)"}),
        Wrong("every layer hands the gradient down here, even where nothing below it trains: there the way back ends", ("everything trains", "only the top layer", "a layer in the middle"), {"something_below = 0, prompt > 0": "something_below = 0, True"}),
        Wrong("soft tokens are read by every layer as well: a text has T + P tokens", ("soft tokens below a frozen stack", "soft tokens and a layer"), {"(tokens + prompt)": "tokens"}),
        Wrong("soft tokens train too: the gradient must reach them at the very bottom", ("soft tokens below a frozen stack", "soft tokens and a layer"), {"something_below = 0, prompt > 0": "something_below = 0, False"}),
        Wrong("a multiplication and an addition are two operations for each weight", ("everything trains", "soft tokens below a frozen stack", "only the top layer", "a layer in the middle", "soft tokens and a layer"), {"passes * 2 * weights": "passes * weights"}),
        Wrong("this looks above instead of below: what trains below a layer decides whether it hands down", ("everything trains", "only the top layer", "a layer in the middle"), {"    for weights, learns in zip(layers, trains):": "    for weights, learns in reversed(list(zip(layers, trains))):"}),
    ),
)

# -- 5: PromptShelf ------------------------------------------------------------------------------------------


def shelf(draw: Draw, p: int = 2, q: int = 3, d: int = 4) -> dict:
    return {"news": draw.tensor(p, d), "mood": draw.tensor(q, d), "x": draw.tensor(3, 2, d)}


def in_front(PromptShelf, news, mood, x):
    part = PromptShelf(x.shape[-1])
    part.add("news", news)
    part.add("mood", mood)
    return {"news": part("news", x), "mood": part("mood", x), "news again": part("news", x)}


def what_trains(PromptShelf, news, mood, x):
    part = PromptShelf(x.shape[-1])
    part.add("news", news)
    part.add("mood", mood)
    part.add("news", news * 2)
    kinds = [list(news.shape), list(mood.shape)]
    prompts = sorted([list(item.shape), bool(item.requires_grad)] for item in part.parameters() if list(item.shape) in kinds)
    return {"the prompts, and whether each trains": prompts, "something else is a parameter": len(prompts) < len(list(part.parameters())), "news after a second add, summed over the tokens": part("news", x).sum(dim=1)}


def only_its_own(PromptShelf, news, mood, x):
    part = PromptShelf(x.shape[-1])
    part.add("news", news)
    part.add("mood", mood)
    part("news", x).square().sum().backward()
    kinds = [list(news.shape), list(mood.shape)]
    return sorted(([list(item.shape), None if item.grad is None else item.grad.flatten()] for item in part.parameters() if list(item.shape) in kinds), key=lambda pair: pair[0])


def a_copy(PromptShelf, news, mood, x):
    part = PromptShelf(x.shape[-1])
    part.add("news", news)
    with torch.no_grad():  # noqa: F821
        for item in part.parameters():
            item.add_(1.0)
    return news


def unknown(PromptShelf, news, mood, x):
    part = PromptShelf(x.shape[-1])
    part.add("news", news)
    try:
        part("weather", x)
    except KeyError:
        return "KeyError"
    except Exception as problem:
        return type(problem).__name__
    return "an answer"


SHELF = Task(
    "PromptShelf",
    tests=(
        Test("the prompt stands in front", 1, shelf, use=in_front, hint="join along the tokens, the prompt first"),
        Test("the prompts train, and nothing else", 1, shelf, use=what_trains, hint="one parameter for each task; a second prompt of a task takes the place of the first"),
        Test("a task moves its own prompt alone", 1, shelf, use=only_its_own, hint="the gradients of all texts of the batch add up in the prompt that was used"),
        Test("the vectors are copied", 1, shelf, use=a_copy, changes=("news",), hint="whoever gave them may go on using them"),
        Test("an unknown task", 1, lambda draw: shelf(draw, 3, 2, 5), use=unknown, hidden=True),
    ),
    wrong=(
        Wrong("the prompts lie in a plain dictionary, where parameters() does not look: nothing would ever train", ("the prompts train, and nothing else", "a task moves its own prompt alone"), {"nn.ParameterDict()": "{}"}),
        Wrong("the prompt stands behind the text", ("the prompt stands in front",), {"(prompt.expand(len(x), -1, -1), x)": "(x, prompt.expand(len(x), -1, -1))"}),
        Wrong("the vectors are the caller's own: training the prompt changes what was given", ("the vectors are copied",), {"vectors.clone()": "vectors"}),
        Wrong("a prompt does not train: what stands in parameters() has to ask for a gradient", ("the prompts train, and nothing else", "a task moves its own prompt alone"), {"nn.Parameter(vectors.clone())": "nn.Parameter(vectors.clone(), requires_grad=False)"}),
        Wrong("something beside the prompts is a parameter: the prompts alone train", ("the prompts train, and nothing else",), {"nn.ParameterDict()": "nn.ParameterDict()\n        self.project = nn.Linear(d_model, d_model)"}),
        Wrong("a second prompt of a task changed nothing: it takes the place of the first", ("the prompts train, and nothing else",), {"        self.prompts[task] = nn.Parameter(vectors.clone())": "        if task not in self.prompts:\n            self.prompts[task] = nn.Parameter(vectors.clone())"}),
        Wrong("an earlier prompt of the same task was kept beside the new one: a new one takes its place", ("the prompts train, and nothing else",), {"        self.prompts[task] = nn.Parameter(vectors.clone())": "        if task not in self.prompts:\n            self.prompts[task] = nn.Parameter(vectors.clone())\n        else:\n            self.prompts[task + '2'] = nn.Parameter(vectors.clone())"}),
        Wrong("the prompt is cut off from its gradient: it is the one thing that should get one", ("a task moves its own prompt alone",), {"prompt = self.prompts[task]": "prompt = self.prompts[task].detach() + 0 * sum(item.sum() for item in self.prompts.values())"}),
        Wrong("an unknown task was answered by another task's prompt: that is a wrong answer that nobody notices", ("an unknown task",), {"            raise KeyError(task)": "            task = next(iter(self.prompts))"}),
        Wrong("ParameterDict answers an unknown name with an AttributeError: ask first whether it is there, and raise KeyError", ("an unknown task",), {"        if task not in self.prompts:\n            raise KeyError(task)\n": ""}),
    ),
)

# -- 6: mended_report ----------------------------------------------------------------------------------------


def runs(draw: Draw) -> dict:
    """Validation likes one rate, the test part another; within each seed a third wins."""
    lift = draw.number(0, 0.09)
    validation = torch_of([[0.5, 0.52, 0.51, 0.53], [0.72, 0.6, 0.7, 0.61], [0.55, 0.74, 0.5, 0.62]], lift)
    test = torch_of([[0.9, 0.5, 0.86, 0.88], [0.66, 0.61, 0.64, 0.6], [0.5, 0.7, 0.45, 0.55]], lift)
    return {"validation": validation, "test": test}


def torch_of(rows: list[list[float]], lift: float):
    import torch

    return torch.tensor(rows) + lift


def means(mended_report, validation, test):
    return mended_report(validation, test)[0]


def scatter(mended_report, validation, test):
    return mended_report(validation, test)[1]


def ties(draw: Draw) -> dict:
    """Two rates with the same validation scores: the first counts."""
    found = runs(draw)
    found["validation"][2] = found["validation"][1]
    return found


MENDED = Task(
    "mended_report",
    tests=(
        Test("the mean of the rate that validation chose", 1, runs, use=means, changes=("validation", "test"), hint="the test part is looked at once, when all is decided"),
        Test("its deviation", 1, runs, use=scatter, changes=("validation", "test"), hint="over the seeds, divided by n - 1"),
        Test("the tables stay as they were", 1, runs, hint="-= on a tensor that came from outside writes into it"),
        Test("two rates that are equally good", 1, ties, changes=("validation", "test"), hidden=True),
    ),
    wrong=(
        Wrong("the test scores chose the rate: then they no longer say what a new text would bring", ("the mean of the rate that validation chose", "its deviation", "the tables stay as they were", "two rates that are equally good"), {"rate = validation.mean": "rate = test.mean"}),
        Wrong("each seed chose a rate of its own: that picks out the luck of every seed", ("the mean of the rate that validation chose", "its deviation", "the tables stay as they were"), {"rate = validation.mean(dim=1).argmax()": "rate = validation.argmax(dim=0)", "chosen = test[rate]": "chosen = test[rate, torch.arange(test.size(1))]"}),
        Wrong("the best seed was reported; what one can expect is the mean", ("the mean of the rate that validation chose", "the tables stay as they were", "two rates that are equally good"), {"chosen.mean()": "chosen.max()"}),
        Wrong("the validation scores were reported: they are flattered, since the rate was chosen by them", ("the mean of the rate that validation chose", "its deviation", "the tables stay as they were", "two rates that are equally good"), {"chosen = test[rate]": "chosen = validation[rate]"}),
        Wrong("the deviation is divided by n: of a sample it is n - 1", ("its deviation", "the tables stay as they were", "two rates that are equally good"), {"chosen.std()": "chosen.std(correction=0)"}),
        Wrong("a table was changed in place: whoever made it still needs it", ("the tables stay as they were",), {"    rate = validation": "    validation -= 0.25\n    rate = validation"}),
        Wrong("of two equally good rates the last was taken; the first counts", ("two rates that are equally good",), {"rate = validation.mean(dim=1).argmax()": "means = validation.mean(dim=1)\n    rate = (means == means.max()).nonzero().max()"}),
    ),
)

TASKS = (PLACES, INTERVAL, WORTH, OPERATIONS, SHELF, MENDED)
