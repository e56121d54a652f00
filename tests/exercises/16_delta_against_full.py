"""Tests and wrong answers of the exercises on what a delta costs, and what a whole model does."""

import torch

from minidelta.grading.spec import Draw, Task, Test, Wrong

# -- 1: storage_of_tasks -------------------------------------------------------------------------------------


def shelf(eighths: int | None = None, more: int = 0):
    """A delta of so many eighths of the backbone and a few numbers more; None: a small one."""

    def inputs(draw: Draw) -> dict:
        backbone = 8 * draw.integer(1000, 9000)
        delta = backbone * eighths // 8 + more if eighths is not None else draw.integer(10, 90)
        return {"backbone": backbone, "delta": delta, "head": draw.integer(100, 300), "size": draw.choice((2, 8)), "tasks": draw.integer(3, 9)}

    return inputs


def both(storage_of_tasks, **inputs):
    found = storage_of_tasks(**inputs)
    return [found["copies"], found["deltas"]]


def each(storage_of_tasks, **inputs):
    return storage_of_tasks(**inputs)["each"]


def pays(storage_of_tasks, **inputs):
    return storage_of_tasks(**inputs)["pays_from"]


def never_pays(storage_of_tasks, backbone, head, size, tasks, delta):
    return [storage_of_tasks(backbone, larger, head, size, tasks)["pays_from"] for larger in (delta, delta + 1, 3 * delta)]


STORAGE = Task(
    "storage_of_tasks",
    tests=(
        Test("bytes of both ways", 1, shelf(), use=both, hint="the backbone once, a head and what trained for each task"),
        Test("each task's share", 1, shelf(1), use=each, hint="the backbone is shared out as well"),
        Test("from when on", 1, shelf(5, 3), use=pays, hint="try k = 1, 2, 3 by hand"),
        Test("on the border", 1, shelf(4), use=pays, hidden=True, hint="as few bytes are not fewer bytes"),
        Test("never", 1, shelf(8), use=never_pays, hidden=True, hint="a delta as large as the backbone saves nothing"),
    ),
    wrong=(
        Wrong("a delta of exactly half the backbone takes as much with two tasks, and fewer bytes were asked for: the border itself does not count", ("on the border",), {"backbone // (backbone - delta) + 1": "-(-backbone // (backbone - delta))"}),
        Wrong("this is what one more task adds; shared out, the backbone is in it too", ("each task's share",), {"deltas / tasks": "float(size * (delta + head))"}),
        Wrong("the backbone is counted for every task: it lies there once, which is the whole point", ("bytes of both ways", "each task's share"), {"(backbone + tasks * (delta + head))": "tasks * (backbone + delta + head)"}),
        Wrong("the backbone is missing: a delta without its backbone answers nothing", ("bytes of both ways", "each task's share"), {"(backbone + tasks * (delta + head))": "tasks * (delta + head)"}),
        Wrong("the heads are left out on the side of the copies: a fully tuned model has one too", ("bytes of both ways",), {"tasks * (backbone + head)": "tasks * backbone"}),
        Wrong("one head serves all tasks here; each has labels of its own", ("bytes of both ways", "each task's share"), {"(backbone + tasks * (delta + head))": "(backbone + head + tasks * delta)"}),
        Wrong("a number is taken for 4 bytes; say `size`, for it may be 2 or 8", ("bytes of both ways", "each task's share"), {"copies = size *": "copies = 4 *", "deltas = size *": "deltas = 4 *"}),
        Wrong("two is the answer for small deltas alone: a delta of more than half the backbone needs more tasks", ("from when on", "on the border"), {"backbone // (backbone - delta) + 1": "2"}),
        Wrong("a delta as large as the backbone never pays: say None, and mind the division by zero", ("never",), {" if delta < backbone else None": " if delta != backbone else 0"}),
    ),
)

# -- 2: LeanLinear -------------------------------------------------------------------------------------------


def layer(draw: Draw, batch: int = 2, tokens: int = 3, d_in: int = 4, d_out: int = 5) -> dict:
    return {"x": draw.tensor(batch, tokens, d_in, low=-2, high=2), "weight": draw.tensor(d_out, d_in), "bias": draw.tensor(d_out), "grad": draw.tensor(batch, tokens, d_out, low=0.2, high=2)}


def forth_and_down(LeanLinear, x, weight, bias, grad):
    x, weight, bias = (item.clone().requires_grad_() for item in (x, weight, bias))
    y = LeanLinear.apply(x, weight, bias)
    y.backward(grad)
    return {"y": y, "of x": x.grad}


def of_parameters(LeanLinear, x, weight, bias, grad):
    x, weight, bias = (item.clone().requires_grad_() for item in (x, weight, bias))
    LeanLinear.apply(x, weight, bias).backward(grad)
    return {"of the weight": weight.grad, "of the bias": bias.grad}


def a_frozen_weight(LeanLinear, x, weight, bias, grad):
    x, kept = x.clone().requires_grad_(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda item: kept.append(item.numel()) or item, lambda item: item):
        y = LeanLinear.apply(x, weight, bias)
    kept += [item.numel() for item in vars(y.grad_fn).values() if isinstance(item, torch.Tensor)]
    y.backward(grad)
    return {"kept": sorted(kept), "of x": x.grad}


def the_lowest_layer(LeanLinear, x, weight, bias, grad):
    weight, bias, kept = weight.clone().requires_grad_(), bias.clone().requires_grad_(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda item: kept.append(item.numel()) or item, lambda item: item):
        y = LeanLinear.apply(x, weight, bias)
    kept += [item.numel() for item in vars(y.grad_fn).values() if isinstance(item, torch.Tensor)]
    y.backward(grad)
    return {"kept": sorted(kept), "of the weight": weight.grad, "of the bias": bias.grad}


def the_bias_alone(LeanLinear, x, weight, bias, grad):
    bias, kept = bias.clone().requires_grad_(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda item: kept.append(item.numel()) or item, lambda item: item):
        y = LeanLinear.apply(x, weight, bias)
    kept += [item.numel() for item in vars(y.grad_fn).values() if isinstance(item, torch.Tensor)]
    y.backward(grad)
    return {"kept": sorted(kept), "of the bias": bias.grad}


LEAN = Task(
    "LeanLinear",
    tests=(
        Test("y, and the gradient of x", 1, layer, use=forth_and_down, hint="x comes with rows of d_in, y leaves with rows of d_out"),
        Test("the gradients of the parameters", 1, layer, use=of_parameters, hint="sums over all tokens of all texts"),
        Test("a frozen weight", 2, layer, use=a_frozen_weight, hint="the gradient goes down to x; what does it read?"),
        Test("the lowest layer", 1, layer, use=the_lowest_layer, hint="x wants no gradient: who would read the weight?"),
        Test("the bias alone", 1, layer, use=the_bias_alone, hidden=True, hint="its gradient reads neither x nor W"),
    ),
    wrong=(
        Wrong("both are kept, whatever trains: that is what a frozen backbone could have saved", ("a frozen weight", "the lowest layer", "the bias alone"), {"x if of_weight else None, weight if of_x else None": "x, weight"}),
        Wrong("x is kept if anything trains, the bias too: the gradient of the bias reads g alone", ("the bias alone",), {"of_x, of_weight, _ = ctx": "of_x, of_weight, of_bias = ctx", "x if of_weight else None, weight": "x if of_weight or of_bias else None, weight"}),
        Wrong("the two are exchanged: the gradient of x reads the weight, and that of the weight reads x", ("a frozen weight", "the lowest layer"), {"x if of_weight else None, weight if of_x else None": "x if of_x else None, weight if of_weight else None"}),
        Wrong("x hangs on ctx as an attribute: there it takes the same memory, and no tool sees it", ("a frozen weight", "the bias alone"), {"ctx.save_for_backward(x if of_weight else None, weight if of_x else None)": "ctx.save_for_backward(weight if of_x else None)\n        ctx.x = x", "x, weight = ctx.saved_tensors": "(weight,), x = ctx.saved_tensors, ctx.x"}),
        Wrong("a frozen weight hands no gradient down here: frozen means that it does not change, what lies below may still train", ("a frozen weight",), {"if of_x else None\n        grad_weight": "if of_x and of_weight else None\n        grad_weight"}),
        Wrong("the weight is always kept: nobody reads it where x wants no gradient", ("the lowest layer", "the bias alone"), {", weight if of_x else None)": ", weight)"}),
        Wrong("this is the mean over the tokens; a gradient of a parameter is the sum", ("the gradients of the parameters", "the lowest layer", "the bias alone"), {"grads.T @ x.flatten(0, 1)": "grads.T @ x.flatten(0, 1) / len(grads)", "grads.sum(0)": "grads.mean(0)"}),
        Wrong("the gradient of the bias is summed over the texts and not over their tokens", ("the gradients of the parameters", "the lowest layer", "the bias alone"), {"grads.sum(0)": "grad_y.sum(0)[0]"}),
        Wrong("the gradient of x is multiplied with the transpose of W: y = W x, so g comes back through Wᵀ, which for rows is `g @ W`", ("y, and the gradient of x", "the gradients of the parameters", "a frozen weight"), {"grad_y @ weight": "grad_y @ weight.T"}),
    ),
)

# -- 3: lora_step_flops --------------------------------------------------------------------------------------


def pile(*with_lora: int):
    """A stack of linears of different widths; 1: with a LoRA."""

    def inputs(draw: Draw) -> dict:
        widths = draw.sample(range(20, 90), len(with_lora) + 1)
        return {"layers": [[d_in, d_out, has * draw.integer(2, 6)] for has, d_in, d_out in zip(with_lora, widths, widths[1:])], "tokens": draw.integer(11, 60)}

    return inputs


def its_forward(lora_step_flops, **inputs):
    return lora_step_flops(**inputs)["forward"]


def its_backward(lora_step_flops, **inputs):
    return lora_step_flops(**inputs)["backward"]


def its_ratio(lora_step_flops, **inputs):
    return lora_step_flops(**inputs)["ratio"]


FLOPS = Task(
    "lora_step_flops",
    tests=(
        Test("forward", 1, pile(1, 0, 1), use=its_forward, hint="three products where a LoRA hangs, one where none does"),
        Test("back to the lowest layer", 1, pile(1), use=its_backward, hint="two gradients of matrices, and one of states"),
        Test("back through a stack", 1, pile(1, 1, 0), use=its_backward, hint="a frozen W above a LoRA hands the gradient down"),
        Test("nothing trains below", 1, pile(0, 0, 1), use=its_backward, hint="the way back ends at the lowest LoRA"),
        Test("against full fine-tuning", 1, pile(1, 1, 1), use=its_ratio, hint="in the lowest layer full fine-tuning takes two products, above it three"),
        Test("another stack", 1, pile(0, 1, 0, 1, 1), hidden=True),
    ),
    wrong=(
        Wrong("a frozen W costs nothing on the way back here: no gradient of its own, but that of the states passes through it to whatever trains below", ("back through a stack", "against full fine-tuning", "another stack"), {"(frozen + down) * trains_below": "down * trains_below"}),
        Wrong("the gradient of the frozen W is counted: nobody wants it, and this is where LoRA saves its third", ("back to the lowest layer", "back through a stack", "nothing trains below", "against full fine-tuning", "another stack"), {"backward += down + 2 * up": "backward += frozen + down + 2 * up"}),
        Wrong("the way back goes to the bottom here; it ends at the lowest part that trains", ("back to the lowest layer", "back through a stack", "nothing trains below", "against full fine-tuning", "another stack"), {"trains_below = False": "trains_below = True"}),
        Wrong("what goes into B is forgotten: it comes out of A, and A trains, so its gradient is wanted in every layer", ("back to the lowest layer", "back through a stack", "nothing trains below", "against full fine-tuning", "another stack"), {"down + 2 * up": "down + up"}),
        Wrong("A hands nothing down here: it reads the same states as W, and their gradient has two parts", ("back through a stack", "against full fine-tuning", "another stack"), {"(frozen + down) * trains_below": "frozen * trains_below"}),
        Wrong("A and B are free in the forward pass here: unmerged, they are two more products", ("forward", "against full fine-tuning", "another stack"), {"forward += frozen + down + up": "forward += frozen"}),
        Wrong("a product of [n,a] and [a,b] has n a b multiplications and as many additions", ("forward", "back to the lowest layer", "back through a stack", "nothing trains below", "another stack"), {"2 * tokens * d_in * d_out, 2 * tokens * d_in * rank, 2 * tokens * rank * d_out": "tokens * d_in * d_out, tokens * d_in * rank, tokens * rank * d_out"}),
        Wrong("three products for every layer of the full step: the lowest one hands nothing down, for below it nothing trains", ("against full fine-tuning", "another stack"), {"(3 if place > 0 else 2)": "3"}),
        Wrong("this looks at the layer itself: whether its states want a gradient is decided by what lies further down", ("back to the lowest layer", "back through a stack", "nothing trains below", "against full fine-tuning", "another stack"), {"        backward += (frozen + down)": "        trains_below = trains_below or rank > 0\n        backward += (frozen + down)"}),
    ),
)

# -- 4: steps_to_score ---------------------------------------------------------------------------------------


def rising(draw: Draw, peak: bool = False, tail: int = 3, hold: int = 2) -> dict:
    """A curve that rises through 0.6 after some steps, perhaps with a lucky evaluation before, and `tail` evaluations after."""
    lift = draw.number(0, 0.04)
    scores = [0.31 + lift, 0.42 + lift, (0.72 if peak else 0.47) + lift, 0.5 + lift, *(0.75 + 0.02 * place + lift for place in range(tail))]
    stride = draw.integer(10, 90)
    return {"steps": [stride * place + place * place for place in range(1, len(scores) + 1)], "scores": scores, "target": 0.6, "hold": hold}


def from_the_start(draw: Draw) -> dict:
    found = rising(draw)
    return found | {"target": draw.number(0.1, 0.3)}


def exact(draw: Draw) -> dict:
    """The target itself is met at one evaluation, and once more later on."""
    found = rising(draw, tail=4)
    return found | {"scores": [0.25, 0.375, 0.5, 0.625, 0.75, 0.625, 0.75, 0.75], "target": 0.625, "hold": 3}


def falls_back(draw: Draw) -> dict:
    """Held long enough, and lost again at the end."""
    found = rising(draw, tail=4)
    return found | {"scores": [*found["scores"][:-1], 0.55]}


def two_curves(steps_to_score, exactly, lost):
    return [steps_to_score(**exactly), steps_to_score(**lost)]


STEPS = Task(
    "steps_to_score",
    tests=(
        Test("between two evaluations", 1, rising, hint="the line to the evaluation before crosses the target"),
        Test("a lucky evaluation", 1, lambda draw: rising(draw, peak=True, hold=3), hint="`hold` evaluations in a row"),
        Test("there from the start", 1, from_the_start, hint="there is no evaluation before the first one"),
        Test("the run ends too early", 1, lambda draw: rising(draw, peak=True, tail=2, hold=3), hint="two evaluations do not show that it would have held for three"),
        Test("exactly at the target, and lost again", 1, lambda draw: {"exactly": exact(draw), "lost": falls_back(draw)}, use=two_curves, hidden=True),
    ),
    wrong=(
        Wrong("the first evaluation at the target was taken, lucky or not: it has to stay there for `hold` evaluations", ("a lucky evaluation", "the run ends too early"), {"range(len(scores) - hold + 1)": "range(len(scores))", "min(scores[place : place + hold]) >=": "scores[place] >="}),
        Wrong("a run at the end counts although it is too short: a slice beyond the end of a list is shorter, and nobody complains", ("the run ends too early",), {"range(len(scores) - hold + 1)": "range(len(scores))"}),
        Wrong("the step of the evaluation was returned; between two evaluations the moment is interpolated", ("between two evaluations", "a lucky evaluation", "exactly at the target, and lost again"), {"steps[place - 1] + share * (steps[place] - steps[place - 1])": "float(steps[place])"}),
        Wrong("the moment is that at which `hold` evaluations were complete; it had arrived when they began", ("between two evaluations", "a lucky evaluation", "there from the start", "exactly at the target, and lost again"), {"return float(steps[0])": "return float(steps[hold - 1])", "steps[place - 1] + share * (steps[place] - steps[place - 1])": "float(steps[place + hold - 1])"}),
        Wrong("the share of the way is the wrong way round: it is measured from the earlier evaluation", ("between two evaluations", "a lucky evaluation", "exactly at the target, and lost again"), {"steps[place - 1] + share": "steps[place] - share"}),
        Wrong("above is not asked for: at the target is enough", ("exactly at the target, and lost again",), {"min(scores[place : place + hold]) >= target": "min(scores[place : place + hold]) > target"}),
        Wrong("it was to stay up to the end of the run; `hold` evaluations are enough, or no long run would ever arrive", ("exactly at the target, and lost again",), {"min(scores[place : place + hold])": "min(scores[place:])"}),
        Wrong("a target that was never reached has no moment: return None, not the last step, or the slowest method looks merely slow", ("the run ends too early",), {"    return None": "    return float(steps[-1])"}),
        Wrong("the evaluation before the first one was asked for: scores[-1] is the last of the list", ("there from the start",), {"            if place == 0:\n                return float(steps[0])\n": ""}),
    ),
)

# -- 5: pick_delta -------------------------------------------------------------------------------------------


def methods(**budget: float):
    """Five methods below a best one with scatter d.

    In the mean adapter lies 0.3 d below it (and is steady), lora 0.54 d, ia3 0.85 d (with a large scatter), compacter 2 d (with
    one lucky seed), prompt 10 d; its standard error is 0.577 d, 0.5 d with n instead of n - 1, and single seeds scatter by 1.15 d.
    """

    def inputs(draw: Draw) -> dict:
        top, d, k = draw.number(0.85, 0.9), draw.choice((0.02, 0.025, 0.03)), draw.integer(1, 9)
        rows = [
            {"name": "full", "scores": around(draw, top, d), "parameters": 1_600_000 * k, "mb": 6.4 * k, "ms": 8.0},
            {"name": "adapter", "scores": around(draw, top - 0.3 * d, 0.3 * d), "parameters": 30_000 * k, "mb": 0.12 * k, "ms": 8.2},
            {"name": "lora", "scores": around(draw, top - 0.54 * d, d), "parameters": 16_000 * k, "mb": 0.064 * k, "ms": 9.0},
            {"name": "compacter", "scores": draw.sample([*[top - 3.9 * d] * 3, top + 3.7 * d], 4), "parameters": 8_000 * k, "mb": 0.032 * k, "ms": 8.3},
            {"name": "ia3", "scores": around(draw, top - 0.85 * d, 3 * d), "parameters": 2_000 * k, "mb": 0.008 * k, "ms": 8.1},
            {"name": "prompt", "scores": around(draw, top - 10 * d, d), "parameters": 1_000 * k, "mb": 0.004 * k, "ms": 8.6},
        ]
        return {"table": draw.sample(rows, len(rows)), "budget": {what: most if what == "ms" else most * k for what, most in budget.items()}}

    return inputs


def around(draw: Draw, mean: float, scatter: float) -> list[float]:
    return draw.sample([mean - scatter, mean - scatter, mean + scatter, mean + scatter], 4)


PICK = Task(
    "pick_delta",
    tests=(
        Test("no budget", 2, methods(), hint="as good as the best is whoever lies within its standard error"),
        Test("two budgets", 1, methods(mb=1.0, ms=8.7), hint="both are to be kept; the best of what remains sets the standard"),
        Test("a small budget", 1, methods(parameters=5_000), hint="first sort out, then look for the best"),
        Test("nothing is affordable", 1, methods(ms=7.5), hidden=True),
        Test("a budget that is just met", 1, methods(parameters=2_000), hidden=True, hint="as much as the budget is still allowed"),
    ),
    wrong=(
        Wrong("the highest mean was taken, however dear: among those that are as good, take the smallest", ("no budget",), {'return min(near, key=lambda row: row["parameters"])["name"]': 'return best["name"]'}),
        Wrong("the best of the whole table set the standard, though it may not be affordable", ("a small budget", "a budget that is just met"), {"best = max(fit, ": "best = max(table, "}),
        Wrong("this is the deviation of single seeds; their mean scatters less, by the root of n", ("no budget",), {' / math.sqrt(len(best["scores"]))': ""}),
        Wrong("a sample's deviation is divided by n - 1: `pstdev` is for the scores of all seeds there are", ("no budget",), {"statistics.stdev": "statistics.pstdev"}),
        Wrong("each method was given its own standard error: then the one that scatters most is as good as anybody", ("no budget", "two budgets"), {'statistics.mean(best["scores"]) - error]': 'statistics.mean(best["scores"]) - statistics.stdev(row["scores"]) / math.sqrt(len(row["scores"]))]'}),
        Wrong("one budget that is kept does not make up for another that is not: all of them count", ("two budgets",), {"if all(row": "if not budget or any(row"}),
        Wrong("a method that uses up a budget exactly was thrown out: as much as is allowed is allowed", ("a budget that is just met",), {"row[what] <= most": "row[what] < most"}),
        Wrong("the best seed was looked at; the best of four throws of dice is no die", ("no budget", "two budgets"), {'return min(near, key=lambda row: row["parameters"])["name"]': 'return max(fit, key=lambda row: max(row["scores"]))["name"]'}),
        Wrong("the smallest method was taken, whatever it reaches", ("no budget", "two budgets", "a small budget", "a budget that is just met"), {"min(near, ": "min(fit, "}),
        Wrong("where nothing is affordable there is nothing to pick: return None", ("nothing is affordable",), {"        return None": '        return min(table, key=lambda row: row["ms"])["name"]'}),
    ),
)

# -- 6: mended_ledger ----------------------------------------------------------------------------------------


def step(draw: Draw) -> dict:
    """Times of steps: two slow ones first, then five or six with one that was disturbed."""
    slow, usual = [draw.number(2, 3), draw.number(1, 2)], draw.sample([0.21, 0.24, 0.26, 0.29, 0.31, 0.34, 0.37, 0.39], draw.choice((4, 5)))
    return {"vocab": draw.integer(9, 15), "d": draw.integer(4, 7), "seconds": [*slow, *usual[:2], draw.number(4, 6), *usual[2:]], "warm_up": 2}


def a_tied_head(mended_ledger, vocab, d, seconds, warm_up):
    table, head = torch.nn.Embedding(vocab, d), torch.nn.Linear(d, vocab, bias=False)
    head.weight = table.weight
    found = mended_ledger(torch.nn.Sequential(table, head), seconds, warm_up)
    return [found["weights"], found["gradients"]]


def a_frozen_backbone(mended_ledger, vocab, d, seconds, warm_up):
    backbone, head = torch.nn.Linear(vocab, d), torch.nn.Linear(d, 2)
    backbone.requires_grad_(False)
    found = mended_ledger(torch.nn.Sequential(backbone, head), seconds, warm_up)
    return [found["gradients"], found["optimizer"]]


def two_formats(mended_ledger, vocab, d, seconds, warm_up):
    backbone, head = torch.nn.Linear(vocab, d), torch.nn.Linear(d, 2)
    backbone.to(torch.bfloat16)
    found = mended_ledger(torch.nn.Sequential(backbone, head), seconds, warm_up)
    return [found["weights"], found["optimizer"]]


def the_clock(mended_ledger, vocab, d, seconds, warm_up):
    return mended_ledger(torch.nn.Linear(d, 2), seconds, warm_up)["seconds"]


def all_of_it(mended_ledger, vocab, d, seconds, warm_up):
    norm, head = torch.nn.BatchNorm1d(vocab), torch.nn.Linear(vocab, d)
    norm.to(torch.bfloat16).requires_grad_(False)
    return mended_ledger(torch.nn.Sequential(norm, head), seconds[:-1], warm_up)


LEDGER = Task(
    "mended_ledger",
    tests=(
        Test("a tied head", 1, step, use=a_tied_head, hint="one tensor under two names takes its memory once"),
        Test("a frozen backbone", 1, step, use=a_frozen_backbone, hint="what does not train has neither a gradient nor moments"),
        Test("two number formats", 1, step, use=two_formats, hint="bfloat16 takes two bytes"),
        Test("the clock", 1, step, use=the_clock, hint="the median of those after the warm-up"),
        Test("all of it", 1, step, use=all_of_it, hidden=True, hint="buffers are no parameters"),
    ),
    wrong=(
        Wrong("state_dict() is what a file holds: a tied tensor stands in it under both names, and buffers are there as well", ("a tied head", "all of it"), {"for p in parameters)": "for p in model.state_dict().values())"}),
        Wrong("frozen parameters still have gradients and moments here: this is the memory that a delta saves", ("a frozen backbone", "all of it"), {" for p in parameters if p.requires_grad)": " for p in parameters)"}),
        Wrong("every number still takes 4 bytes: ask the tensor for its element_size()", ("two number formats", "all of it"), {"weights = sum(p.numel() * p.element_size()": "weights = sum(4 * p.numel()", "gradients = sum(p.numel() * p.element_size()": "gradients = sum(4 * p.numel()"}),
        Wrong("the mean is still taken: one disturbed step moves it as far as it likes", ("the clock", "all of it"), {"statistics.median(": "statistics.mean("}),
        Wrong("the warm-up is still timed along", ("the clock", "all of it"), {"seconds[warm_up:]": "seconds"}),
        Wrong("AdamW keeps two moments of each number: one of the gradient, one of its square", ("a frozen backbone", "two number formats", "all of it"), {"2 * gradients": "gradients"}),
        Wrong("the format of the first parameter was taken for all: a model may mix several", ("two number formats", "all of it"), {"weights = sum(p.numel() * p.element_size()": "weights = sum(p.numel() * parameters[0].element_size()", "gradients = sum(p.numel() * p.element_size()": "gradients = sum(p.numel() * parameters[0].element_size()"}),
        Wrong("a tied tensor is still counted under both names: it has one memory, one gradient and one pair of moments", ("a tied head",), {"list(model.parameters())": "[p for _, p in model.named_parameters(remove_duplicate=False)]"}),
    ),
)

TASKS = (STORAGE, LEAN, FLOPS, STEPS, PICK, LEDGER)
