"""What is measured.  Each contest gives both sides the same weights, batch, loss, labels and optimizer."""

import importlib.util
import itertools
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.bench.models import IGNORED, LABELLED, Both
from minidelta.bench.pairs import Contest
from minidelta.costs import predict
from minidelta.delta import IA3, Delta, HoulsbyAdapter, LST, LoRA, PromptTuning, PTuningV2, load_delta
from minidelta.hub import load_model
from minidelta.model import Transformer
from minidelta.train import OPTIMIZERS, compiled

RANK, VIRTUAL = 8, 10  # of LoRA; vectors of a prompt and of a prefix
PROJECTIONS = r".*(attention\.output\.dense|layer\.\d+\.output\.dense)"  # BERT's, to the residual stream
SCALED = r".*(key|value|layer\.\d+\.output\.dense)"  # what IA3 scales

PEFT_LORA = {"r": RANK, "lora_alpha": 16}

Step = Callable[[], None]


def contests(both: Both, compile: bool = False) -> dict[str, Callable[[str], Contest]]:
    """Name -> what sets the contest up; only then are its models made, so that those of one at a time are in memory.

    Args:
        compile: with those of torch.compile.
    """
    micro, peft = both.config.d_model < 512, importlib.util.find_spec("peft") is not None
    found: dict[str, Callable[[str], Contest]] = {"forward": partial(forward, both), "step, full": partial(full_step, both, goal=0.85 if micro else 0.95)}
    if both.encoder:
        found["step, full, scores only where labelled"] = partial(full_step, both, goal=None, short=True)
    if compile:
        found |= {"step, full, compiled": partial(compiled_step, both, None), "step, lora, compiled": partial(compiled_step, both, LoRA)}
    if peft and both.encoder:
        found |= {f"step, {name}": partial(delta_step, both, pair) for name, pair in pairs_of_deltas().items()}
    elif peft:
        found["step, lora"] = partial(gpt_step, both)
    if both.encoder:
        found |= {"step, lora beside full": partial(beside_full, both, LoRA(rank=RANK), 0.7 if micro else 0.5), "step, lst beside full": partial(beside_full, both, LST(), 0.4)}
    else:
        found |= {f"write {both.shape.written} pieces, batch {batch}": partial(writing, both, batch, 0.5 if micro else 0.9) for batch in (1, 16)}
    if peft:
        found |= {"attach lora": partial(hanging, both), "attach, merge, unmerge, detach lora": partial(round_trip, both), "save and load lora": partial(keeping, both)}
    return found | {"save and load the model": partial(whole_folder, both)}


def forward(both: Both, name: str) -> Contest:
    """Logits of the vocabulary at every token, without a gradient."""
    ours, theirs = both.ours().eval(), both.theirs().eval()

    def our_way() -> Tensor:
        with torch.inference_mode():
            return ours(both.ids)  # [B,T,V]

    def their_way() -> Tensor:
        with torch.inference_mode():
            return theirs(input_ids=both.ids).logits

    flops = predict(both.config, both.shape.batch, both.shape.tokens).forward_flops
    return Contest(name, quiet(our_way), quiet(their_way), goal=1.0, results=(lambda: our_way()[0], lambda: their_way()[0]), flops=flops)


def full_step(both: Both, name: str, goal: float | None, short: bool = False) -> Contest:
    """All parameters train on the loss of pre-training; or with a shortcut that the libraries' own loss does not take."""
    ours, theirs = both.ours(), both.theirs()
    note = f"{name}: ours scores the {LABELLED:.0%} of the tokens that have a label, theirs all of them" if short else ""
    return steps(name, (language_loss(both, ours, short), ours.parameters()), (their_loss(theirs, both.ids, both.labels), theirs.parameters()), goal=goal, same=True, note=note)


def language_loss(both: Both, model: Transformer, short: bool = False) -> Callable[[], Tensor]:
    """BERT: the labelled tokens; GPT: every next token."""
    chosen = both.labels != IGNORED

    def loss() -> Tensor:
        if short:
            return F.cross_entropy(model.lm_logits(model.hidden(both.ids)[chosen]), both.labels[chosen])
        logits = model(both.ids)  # [B,T,V]
        if both.encoder:
            return F.cross_entropy(logits.flatten(0, 1), both.labels.flatten(), ignore_index=IGNORED)
        return F.cross_entropy(logits[:, :-1].flatten(0, 1), both.labels[:, 1:].flatten())

    return loss


def class_loss(both: Both, model: Transformer, head: nn.Module) -> Callable[[], Tensor]:
    """BERT's classification: W tanh(pooler(h_[CLS]))."""
    return lambda: F.cross_entropy(head(model.pool(model.hidden(both.ids))), both.classes)


def their_loss(model: nn.Module, ids: Tensor, labels: Tensor) -> Callable[[], Tensor]:
    """Their own loss."""
    return lambda: model(input_ids=ids, labels=labels).loss


def pairs_of_deltas() -> dict[str, tuple[Delta, Any]]:
    """Name -> a delta of ours for BERT, and what PEFT calls it."""
    import peft

    kinds = {
        "lora": (LoRA(rank=RANK), peft.LoraConfig(target_modules=["query", "value"], **PEFT_LORA)),
        "adapter": (HoulsbyAdapter(bottleneck_dim=28), peft.LoraConfig(target_modules=PROJECTIONS, r=16, lora_alpha=16)),
        "ia3": (IA3(), peft.IA3Config(target_modules=SCALED, feedforward_modules=r".*layer\.\d+\.output\.dense")),
        "prefix": (PTuningV2(prefix_length=VIRTUAL), peft.PrefixTuningConfig(num_virtual_tokens=VIRTUAL)),
        "prompt": (PromptTuning(prompt_length=VIRTUAL), peft.PromptTuningConfig(num_virtual_tokens=VIRTUAL)),
    }
    for _, config in kinds.values():
        config.task_type = "SEQ_CLS"
    return kinds


def delta_step(both: Both, pair: tuple[Delta, Any], name: str) -> Contest:
    """BERT: a delta and a new head train on a classification."""
    import peft

    delta, config = pair
    ours, head, theirs = both.ours(), both.head(), peft.get_peft_model(both.theirs("classes"), config)
    delta.attach(ours)
    same = not isinstance(delta, (PTuningV2, PromptTuning))  # the others change nothing at first
    note = f"{name}: PEFT has no bottleneck adapter; beside ours (28 wide) stands its LoRA (rank 16) on the same two projections, with as many parameters" if isinstance(delta, HoulsbyAdapter) else ""
    return steps(name, (class_loss(both, ours, head), [*ours.parameters(), *head.parameters()]), (their_loss(theirs, both.ids, both.classes), theirs.parameters()), "peft", 0.9, same, note)


def gpt_step(both: Both, name: str) -> Contest:
    """GPT: a LoRA trains on the language loss."""
    import peft

    ours, theirs = both.ours(), peft.get_peft_model(both.theirs(), peft.LoraConfig(target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM", **PEFT_LORA))
    LoRA(rank=RANK, targets=["q_proj", "k_proj", "v_proj"]).attach(ours)
    note = f"{name}: GPT-2's q, k and v are one matrix there, with one pair A and B; ours are three"
    return steps(name, (language_loss(both, ours), ours.parameters()), (their_loss(theirs, both.ids, both.labels), theirs.parameters()), "peft", 0.9, same=True, note=note)


def beside_full(both: Both, delta: Delta, goal: float, name: str) -> Contest:
    """What freezing spares: our step of a delta beside our step of everything, on the same classification."""
    one, other, head, full_head = both.ours(), both.ours(), both.head(), both.head()
    delta.attach(one)
    ours, full = (class_loss(both, one, head), [*one.parameters(), *head.parameters()]), (class_loss(both, other, full_head), [*other.parameters(), *full_head.parameters()])
    return steps(name, ours, full, "our full step", goal)


def compiled_step(both: Both, kind: type[Delta] | None, name: str) -> Contest:
    """What torch.compile spares: our step with kernels of its own beside the same step without."""
    one, other = both.ours(), both.ours()
    for model in (one, other) if kind else ():
        kind().attach(model)
    contest = steps(name, (compiled(language_loss(both, one)), one.parameters()), (language_loss(both, other), other.parameters()), "our plain step", same=True)
    return replace(contest, state=None)  # torch.compile steps back for good where tensors are watched


def steps(name: str, ours: tuple, theirs: tuple, beside: str = "transformers", goal: float | None = None, same: bool = False, note: str = "") -> Contest:
    """A contest of training steps: forward, backward, AdamW.

    Args:
        ours, theirs: (loss, all parameters) of each side; those train that require a gradient.
        same: whether both losses are equal before the first step.
    """
    ways, states = zip(*(step(*side) for side in (ours, theirs)))
    return Contest(name, *ways, beside=beside, goal=goal, results=(ours[0], theirs[0]) if same else None, state=states, note=note)


def step(loss: Callable[[], Tensor], parameters: Iterable[Tensor]) -> tuple[Step, Callable[[], list[Tensor]]]:
    """One training step, and what is there between two of them: the weights, frozen ones too, and the moments."""
    weights = list(parameters)
    moves = OPTIMIZERS["adamw"]([{"params": [p for p in weights if p.requires_grad], "lr": 1e-6}], (0.9, 0.999), 0.0)

    def way() -> None:
        moves.zero_grad(set_to_none=True)
        loss().backward()
        moves.step()

    return way, lambda: [*weights, *(t for state in moves.state.values() for t in state.values() if isinstance(t, Tensor))]


def writing(both: Both, batch: int, goal: float, name: str) -> Contest:
    """Greedy generation with a cache, from prompts of 16 pieces; no piece ends a text."""
    ours, theirs, count = both.ours().eval(), both.theirs().eval(), both.shape.written
    theirs.generation_config.eos_token_id = None
    prompt = both.draw(batch, 16)

    def our_way() -> Tensor:
        return ours.generate(prompt, max_new_tokens=count, eos_token_id=[])

    def their_way() -> Tensor:
        return theirs.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=count, do_sample=False, pad_token_id=0)

    return Contest(name, quiet(our_way), quiet(their_way), goal=goal, results=(our_way, their_way))


def hung(both: Both) -> tuple[Callable[[], Delta], Any]:
    """A LoRA of ours for the same matrices as one of PEFT: what makes ours, and theirs as a configuration."""
    import peft

    own, theirs = (["q_proj", "v_proj"], ["query", "value"]) if both.encoder else (["q_proj", "k_proj", "v_proj"], ["c_attn"])
    return partial(LoRA, rank=RANK, targets=own), peft.LoraConfig(target_modules=theirs, fan_in_fan_out=not both.encoder, **PEFT_LORA)


def hanging(both: Both, name: str) -> Contest:
    """Attach a LoRA."""
    import peft

    (make, config), ours, theirs = hung(both), both.ours(), both.theirs()
    return Contest(name, lambda: make().attach(ours).detach, lambda: peft.get_peft_model(theirs, config).unload, "peft", 0.2)


def round_trip(both: Both, name: str) -> Contest:
    """Attach a LoRA, fold it into the weights, take it out and off again."""
    import peft

    (make, config), ours, theirs = hung(both), both.ours(), both.theirs()

    def way() -> None:
        make().attach(ours).merge().unmerge().detach()

    def their_way() -> None:
        model = peft.get_peft_model(theirs, config)
        model.merge_adapter()
        model.unmerge_adapter()
        model.unload()

    return Contest(name, way, their_way, "peft")


def keeping(both: Both, name: str) -> Contest:
    """Write a LoRA, and hang it on another copy of the model from there."""
    import peft

    (make, config), other_ours, other_theirs, numbers = hung(both), both.ours(), both.theirs(), itertools.count()
    delta, model = make().attach(both.ours()), peft.get_peft_model(both.theirs(), config)
    place = tempfile.TemporaryDirectory()  # goes with the contest

    def way() -> Step:
        folder = Path(place.name) / f"ours-{next(numbers)}"
        delta.save(folder)
        return load_delta(folder).attach(other_ours).detach

    def their_way() -> Step:
        folder = Path(place.name) / f"theirs-{next(numbers)}"
        model.save_pretrained(folder)
        return peft.PeftModel.from_pretrained(other_theirs, folder).unload

    return Contest(name, way, their_way, "peft")


def whole_folder(both: Both, name: str) -> Contest:
    """Write all weights as a folder and read them again."""
    ours, theirs = both.ours(), both.theirs()
    place = tempfile.TemporaryDirectory()  # goes with the contest
    folder = Path(place.name)

    def way() -> None:
        ours.save_pretrained(folder / "ours")
        load_model(folder / "ours", device=both.device)

    def their_way() -> None:
        theirs.save_pretrained(folder / "theirs")
        type(theirs).from_pretrained(folder / "theirs", dtype=both.dtype).to(both.device)

    way.place = place
    return Contest(name, way, their_way)


def quiet(way: Callable[[], Tensor]) -> Step:
    """The way without its result."""

    def run() -> None:
        way()

    return run
