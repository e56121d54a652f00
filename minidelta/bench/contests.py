"""What is measured.  Each contest gives both sides the same weights, batch, loss, labels and optimizer."""

import importlib.util
import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.bench.models import IGNORED, LABELLED, Both
from minidelta.bench.pairs import Contest
from minidelta.costs import predict
from minidelta.delta import IA3, HoulsbyAdapter, LST, LoRA, PromptTuning, PTuningV2, load_delta
from minidelta.hub import load_model
from minidelta.model import Transformer
from minidelta.train import OPTIMIZERS

RANK, VIRTUAL = 8, 10  # of LoRA; vectors of a prompt and of a prefix
PROJECTIONS = r".*(attention\.output\.dense|layer\.\d+\.output\.dense)"  # BERT's, to the residual stream
SCALED = r".*(key|value|layer\.\d+\.output\.dense)"  # what IA3 scales

Step = Callable[[], None]


def contests(both: Both, compile: bool = False) -> Iterator[Contest]:
    """All contests of one shape, made one after the other, so that only the models of one are in memory; with those of torch.compile if asked."""
    micro = both.config.d_model < 512
    yield forward(both)
    yield from full_steps(both, 0.85 if micro else 0.95)
    if compile:
        yield from compiled_steps(both)
    if importlib.util.find_spec("peft"):
        yield from delta_steps(both)
    if both.encoder:
        yield from beside_full(both, 0.7 if micro else 0.5)
    else:
        yield from writing(both, 0.5 if micro else 0.9)
    if importlib.util.find_spec("peft"):
        yield from hanging(both)
    yield whole_folder(both)


def forward(both: Both) -> Contest:
    """Logits of the vocabulary at every token, without a gradient."""
    ours, theirs = both.ours().eval(), both.theirs().eval()

    def our_way() -> Tensor:
        with torch.inference_mode():
            return ours(both.ids)  # [B,T,V]

    def their_way() -> Tensor:
        with torch.inference_mode():
            return theirs(input_ids=both.ids).logits

    flops = predict(both.config, both.shape.batch, both.shape.tokens).forward_flops
    return Contest("forward", quiet(our_way), quiet(their_way), goal=1.0, results=(lambda: our_way()[0], lambda: their_way()[0]), flops=flops)


def full_steps(both: Both, goal: float) -> Iterator[Contest]:
    """All parameters train on the loss of pre-training; and with a shortcut that the libraries' own loss does not take."""
    for short in (False, True) if both.encoder else (False,):
        ours, theirs = both.ours(), both.theirs()
        name = "step, full" + (", scores only where labelled" if short else "")
        note = f"{name}: ours scores the {LABELLED:.0%} of the tokens that have a label, theirs all of them" if short else ""
        yield steps(name, (language_loss(both, ours, short), ours.parameters()), (their_loss(theirs, both.ids, both.labels), theirs.parameters()), goal=None if short else goal, same=True, note=note)


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


def delta_steps(both: Both) -> Iterator[Contest]:
    """A delta and a new head train on a classification (BERT), a delta on the language loss (GPT)."""
    import peft

    lora = {"r": RANK, "lora_alpha": 16}
    if not both.encoder:
        ours, theirs = both.ours(), peft.get_peft_model(both.theirs(), peft.LoraConfig(target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM", **lora))
        LoRA(rank=RANK, targets=["q_proj", "k_proj", "v_proj"]).attach(ours)
        note = "step, lora: GPT-2's q, k and v are one matrix there, with one pair A and B; ours are three"
        yield steps("step, lora", (language_loss(both, ours), ours.parameters()), (their_loss(theirs, both.ids, both.labels), theirs.parameters()), "peft", 0.9, same=True, note=note)
        return
    kinds = {
        "lora": (LoRA(rank=RANK), peft.LoraConfig(target_modules=["query", "value"], task_type="SEQ_CLS", **lora)),
        "adapter": (HoulsbyAdapter(bottleneck_dim=28), peft.LoraConfig(target_modules=PROJECTIONS, task_type="SEQ_CLS", r=16, lora_alpha=16)),
        "ia3": (IA3(), peft.IA3Config(target_modules=SCALED, feedforward_modules=r".*layer\.\d+\.output\.dense", task_type="SEQ_CLS")),
        "prefix": (PTuningV2(prefix_length=VIRTUAL), peft.PrefixTuningConfig(num_virtual_tokens=VIRTUAL, task_type="SEQ_CLS")),
        "prompt": (PromptTuning(prompt_length=VIRTUAL), peft.PromptTuningConfig(num_virtual_tokens=VIRTUAL, task_type="SEQ_CLS")),
    }
    notes = {"adapter": "step, adapter: PEFT has no bottleneck adapter; beside ours (28 wide) stands its LoRA (rank 16) on the same two projections, with as many parameters"}
    for name, (delta, config) in kinds.items():
        ours, head, theirs = both.ours(), both.head(), peft.get_peft_model(both.theirs("classes"), config)
        delta.attach(ours)
        all_of_ours, same = [*ours.parameters(), *head.parameters()], name in ("lora", "adapter", "ia3")  # which change nothing at first
        yield steps(f"step, {name}", (class_loss(both, ours, head), all_of_ours), (their_loss(theirs, both.ids, both.classes), theirs.parameters()), "peft", 0.9, same, notes.get(name, ""))


def beside_full(both: Both, goal: float) -> Iterator[Contest]:
    """What freezing spares: our step of a delta beside our step of everything, on the same classification."""
    for delta, wanted in ((LoRA(rank=RANK), goal), (LST(), 0.4)):
        one, other, head, full_head = both.ours(), both.ours(), both.head(), both.head()
        delta.attach(one)
        ours, full = (class_loss(both, one, head), [*one.parameters(), *head.parameters()]), (class_loss(both, other, full_head), [*other.parameters(), *full_head.parameters()])
        yield steps(f"step, {delta.name} beside full", ours, full, "our full step", wanted)


def compiled_steps(both: Both) -> Iterator[Contest]:
    """What torch.compile spares: our step with kernels of its own beside the same step without."""
    for name, deltas in (("full", (None, None)), ("lora", (LoRA(rank=RANK), LoRA(rank=RANK)))):
        one, other = both.ours(), both.ours()
        for model, delta in zip((one, other), deltas):
            if delta is not None:
                delta.attach(model)
        loss = torch.compile(language_loss(both, one))
        contest = steps(f"step, {name}, compiled", (loss, one.parameters()), (language_loss(both, other), other.parameters()), "our plain step", same=True)
        yield replace(contest, state=None)  # torch.compile steps back for good where tensors are watched


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


def writing(both: Both, goal: float) -> Iterator[Contest]:
    """Greedy generation with a cache, from prompts of 16 pieces; no piece ends a text."""
    ours, theirs, count = both.ours().eval(), both.theirs().eval(), both.shape.written
    theirs.generation_config.eos_token_id = None
    for batch in (1, 16):
        prompt = both.ids.flatten()[: batch * 16].view(batch, 16) if both.ids.numel() >= batch * 16 else both.ids[:, :16].repeat(batch // len(both.ids), 1)

        def our_way(prompt: Tensor = prompt) -> Tensor:
            return ours.generate(prompt, max_new_tokens=count, eos_token_id=[])

        def their_way(prompt: Tensor = prompt) -> Tensor:
            return theirs.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=count, do_sample=False, pad_token_id=0)

        yield Contest(f"write {count} pieces, batch {batch}", quiet(our_way), quiet(their_way), goal=goal, results=(our_way, their_way))


def hanging(both: Both) -> Iterator[Contest]:
    """Attach a LoRA; attach, merge, unmerge and detach it; save and load it."""
    import peft

    targets = ["query", "value"] if both.encoder else ["c_attn"]
    config = peft.LoraConfig(r=RANK, lora_alpha=16, target_modules=targets, fan_in_fan_out=not both.encoder)
    ours, theirs, own = both.ours(), both.theirs(), ["q_proj", "v_proj"] if both.encoder else ["q_proj", "k_proj", "v_proj"]

    def attach() -> Step:
        return LoRA(rank=RANK, targets=own).attach(ours).detach

    def their_attach() -> Step:
        return peft.get_peft_model(theirs, config).unload

    def round_trip() -> None:
        LoRA(rank=RANK, targets=own).attach(ours).merge().unmerge().detach()

    def their_round_trip() -> None:
        model = peft.get_peft_model(theirs, config)
        model.merge_adapter()
        model.unmerge_adapter()
        model.unload()

    yield Contest("attach lora", attach, their_attach, "peft", 0.2)
    yield Contest("attach, merge, unmerge, detach lora", round_trip, their_round_trip, "peft")
    with tempfile.TemporaryDirectory() as place:
        delta, model = LoRA(rank=RANK, targets=own).attach(ours), peft.get_peft_model(theirs, config)
        other_ours, other_theirs, numbers = both.ours(), both.theirs(), itertools.count()

        def keep() -> Step:
            folder = Path(place) / f"ours-{next(numbers)}"
            delta.save(folder)
            return load_delta(folder).attach(other_ours).detach

        def their_keep() -> Step:
            folder = Path(place) / f"theirs-{next(numbers)}"
            model.save_pretrained(folder)
            return peft.PeftModel.from_pretrained(other_theirs, folder).unload

        yield Contest("save and load lora", keep, their_keep, "peft")


def whole_folder(both: Both) -> Contest:
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
    return Contest("save and load the model", way, their_way)


def quiet(way: Callable[[], Tensor]) -> Step:
    """The way without its result."""

    def run() -> None:
        way()

    return run
