"""All methods on one page: where each works, whether it merges, and how it travels to PEFT and back.

    python -m minidelta.delta.table        writes README.md beside this file

Nothing in the page's tables is said by hand: every method is built and tried on a small random model of each shape, and what it
answers is written down, refusals with their reason.  `stored` reads the page again, for `minidelta list methods` and the tests.
"""

import copy
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minidelta.delta import ADDITION, METHODS, SPECIFICATION, Delta, LNTuning, LoRA, PfeifferAdapter, find_subspace, load_delta
from minidelta.errors import MinideltaError
from minidelta.hub.peft import CONFIG
from minidelta.model import Transformer, bert_config, gpt2_config, t5_config

PAGE = Path(__file__).with_name("README.md")
COLUMNS = ("method", "family", "paper", "parameters", "rate", "encoder", "decoder", "encoder-decoder", "merges", "to PEFT", "back as")
SIZES = dict(vocab_size=50, d_model=16, n_layers=2, n_heads=2, d_ff=32, max_positions=64)
SMALL = {"encoder": bert_config(**SIZES), "decoder": gpt2_config(**SIZES), "encoder-decoder": t5_config(**SIZES)}
MICRO = bert_config(vocab_size=4096, d_model=128, n_layers=4, n_heads=4, d_ff=512, max_positions=512)  # as bert-micro
HEAD = """# The methods, one by one

`python -m minidelta.delta.table` tries every method on a small model of each shape and writes this page; a test compares.

Families (Ding et al. 2022): A adds parameters, S specifies some of the model's own, R reparameterizes their change.
*parameters*: trained on a model of the size of bert-micro, with the method's defaults.  *rate*: the default learning rate.
*merges*: folds into the weights, with the same outputs to 1e-5, and comes off again to the bit.
*to PEFT*: the type that `delta.save(folder, format="peft")` writes; a number in brackets is a reason or condition below.
*back as*: the method that `load_delta` makes of that folder.
"""
READS = """
## What PEFT wrote, read here

`load_delta(folder)` reads these types; whatever else a folder says is refused in one line.

| type | read as | refused |
|---|---|---|
| LORA | `lora` (rsLoRA with it), `dora`, `pissa` | patterns of ranks, trained biases, starts that change the weights other than an exact PiSSA; a DoRA on GPT-2's fused q, k, v |
| ADALORA | `adalora`, also after ranks were taken away | dropout |
| VERA | `vera`, with its random matrices | dropout; folders saved without the matrices |
| LOHA, LOKR | `loha`, `lokr` | LOKR with a decompose_factor of its own |
| OFT | `oft` | the Neumann series (PEFT's default, use_cayley_neumann=False avoids it), constrained or shared blocks |
| IA3 | `ia3`; factors on q become factors on k, those on the input of o become factors on v | factors elsewhere |
| LN_TUNING | `ln-tuning` | the norm inside BERT's output layer |
| TRAINABLE_TOKENS | `token-embeddings` | tied output layers, which PEFT moves along and ours leaves |
| PROMPT_TUNING, P_TUNING | `prompt-tuning`, the vectors alone | heads that trained along |
| PREFIX_TUNING | `p-tuning-v2` with positions | the same |
"""

SERVING = """
## Many tasks on one backbone

```python
import torch
from minidelta import load_model
from minidelta.delta import IA3, LoRA, Mixed
from minidelta.delta.delta_hub import DeltaHub

model, hub = load_model("bert-nano"), DeltaHub("tasks")
ids = torch.arange(30, device=model.device).view(3, 10)
for name, delta in {"reviews": LoRA(), "news": IA3()}.items():
    with delta.attach(model):  # train it here
        hub.save(name, delta, dtype="bfloat16")

with hub.on(model, "news"):  # one task, then another: nothing is read twice
    model(ids)

with Mixed({name: hub.load(name) for name in hub.names()}).attach(model) as mixed, mixed.rows(["news", "reviews", None]):
    model(ids)  # each row through its own delta, the third through none
```

| what | where | promise |
|---|---|---|
| a folder of deltas | `delta_hub.py` | refuses another backbone; what was loaded stays in memory |
| rows of many tasks in a batch | `mixed.py` | each row to the bit as under its delta alone; every family but prefixes with positions=True; prompts and prefixes among their length |
| smaller files | `compress.py`, `save(folder, dtype=...)` | `"bfloat16"`: 2 bytes a value, off by 1/256 of it; `"int8"`: about 1 byte, off by 1/254 of the largest along its line |
| one plain model | `merge()`, then `model.save_pretrained(folder)` | transformers loads it, with the same logits to 1e-5 |
| a small backbone | `int8.py`, `quantize(model)` | linears in a quarter of the bytes, each weight off by 1/254 of the largest in its row; not faster, and slower for single tokens in wide layers |
| a fast backbone | `quantize(model, dynamic=True)` | what a linear reads is int8, too: faster where a processor multiplies int8, off by a second rounding, no gradients |

`python -m minidelta.delta.mixed_speed` times a mixed batch against switching.  Mixing pays where a task has few rows at hand:
with 32 tokens a row on one core, bert-micro took 1.6 times as long task by task for 4 tasks of 2 rows, 2.1 to 2.5 times for 8 tasks of 1 row.
A core that one task's rows keep busy gains nothing: for 4 tasks of 8 rows the mixed batch was the slower one (0.8 to 0.9).
"""


def example(method: str, model: nn.Module, **settings: Any) -> Delta:
    """A method with its defaults, ready to attach; those that begin with data or other deltas get small ones."""
    d_model, others = model.config.d_model, lambda seed: torch.Generator().manual_seed(seed)
    prompts = [torch.randn(20, d_model, generator=others(seed)) for seed in range(2)]
    if method == "spot":
        settings["source"] = prompts[0]
    elif method == "ipt":
        settings["subspace"] = find_subspace(prompts, steps=1)
    elif method == "fish":
        settings |= {"loss": lambda model, batch: -model(**batch).log_softmax(-1)[..., 7].mean(), "batches": [inputs(model)]}
    elif method == "adapter-fusion":
        settings["adapters"] = [moved(PfeifferAdapter(), model, seed).detach() for seed in range(3)]
    elif method == "task-arithmetic":
        settings |= {"deltas": [moved(delta, copy.deepcopy(model), 0) for delta in (LoRA(), LNTuning())], "weights": [1.0, -0.5]}
    return METHODS[method](**settings)


def inputs(model: nn.Module) -> dict[str, Tensor]:
    """A batch of two texts, one of them padded."""
    ids = torch.arange(1, 13, device=model.device).view(2, 6)
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    return {"input_ids": ids, "attention_mask": mask} | ({"decoder_input_ids": ids[:, :4]} if model.config.shape == "encoder-decoder" else {})


@torch.no_grad()
def moved(delta: Delta, model: nn.Module, seed: int) -> Delta:
    """Attach a delta and stand in for its training."""
    delta.attach(model)
    lot = torch.Generator().manual_seed(seed)
    for p in delta.parameters():
        p += 0.2 * torch.randn(p.shape, generator=lot).to(p.device)
    return delta


@torch.no_grad()
def merges(delta: Delta, model: nn.Module) -> bool:
    """Whether merging leaves the outputs as they are, and unmerging the weights."""
    attached, weights = model(**inputs(model)), {name: value.clone() for name, value in model.backbone_state().items()}
    try:
        delta.merge()
    except MinideltaError:
        return False
    same = torch.allclose(model(**inputs(model)), attached, atol=1e-5, rtol=0)
    delta.unmerge()
    return same and all(torch.equal(value, weights[name]) for name, value in model.backbone_state().items())


def travels(delta: Delta) -> tuple[str, str]:
    """(PEFT's type, our method when it comes back).  Raises: MinideltaError with the reason why not."""
    with tempfile.TemporaryDirectory() as folder:
        delta.save(folder, format="peft")
        return json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8"))["peft_type"], load_delta(folder).name


def variants(method: str, shape: str) -> list[tuple[str, dict[str, Any], bool]]:
    """What to try so that PEFT can take a method: (condition, settings, whether the output layer is tied)."""
    found: list[tuple[str, dict[str, Any], bool]] = [("", {}, True)]
    if METHODS[method].peft == "PREFIX_TUNING":
        in_decoder = {"targets": r"decoder\..*attn\.kv"} if shape == "encoder-decoder" else {}
        found.append(("with positions=True" + (r", targets=r'decoder\..*attn\.kv'" if in_decoder else ""), {"positions": True} | in_decoder, True))
    if METHODS[method].peft == "DORA":
        found.append(("with targets=['o_proj', 'feed-forward']", {"targets": ["o_proj", "feed-forward"]}, True))
    if METHODS[method].peft == "TRAINABLE_TOKENS":
        found.append(("on a model with an output layer of its own", {}, False))
    return found


def row(method: str, notes: list[str]) -> dict[str, str]:
    """One line of the table; reasons and conditions are added to `notes`, and told by number."""
    kind, micro = METHODS[method], Transformer(MICRO, seed=0).eval()

    def note(text: str) -> str:
        if text not in notes:
            notes.append(text)
        return f"[{notes.index(text) + 1}]"

    works, merged, out, back = {}, {}, {}, set()
    for shape, config in SMALL.items():
        try:
            model = Transformer(config, seed=0).eval()
            delta = moved(example(method, model), model, 1)
        except MinideltaError as reason:
            works[shape] = "no " + note(str(reason).splitlines()[0])
            continue
        works[shape], merged[shape] = "yes", "yes" if merges(delta, model) else "no"
        refusal = None
        for condition, settings, tied in variants(method, shape) if kind.peft else ():
            model = Transformer(replace(config, tied=tied), seed=0).eval()
            try:
                type_there, name = travels(moved(example(method, model, **settings), model, 1))
                back.add(name)
                refusal = refusal or condition
                out[shape] = f"{type_there} {note(condition)}" if condition else type_there
                break
            except MinideltaError as reason:
                refusal = str(reason)
        else:
            out[shape] = f"no {note(refusal)}" if refusal else "no"
    parameters = moved(example(method, micro), micro, 1).num_parameters()
    family = "A" if kind in ADDITION else "S" if kind in SPECIFICATION else "R"
    return dict(zip(COLUMNS, (method, family, kind.paper or "-", f"{parameters:,}", f"{kind.learning_rate:g}", *works.values(), _same(merged), _same(out), ", ".join(sorted(back)) or "-")))


def _same(by_shape: dict[str, str]) -> str:
    """One word if it holds for all shapes, else each with its shape."""
    words = list(dict.fromkeys(by_shape.values()))
    return words[0] if len(words) == 1 else "; ".join(f"{word} ({', '.join(shape for shape, other in by_shape.items() if other == word)})" for word in words)


def page() -> str:
    """The whole page."""
    notes: list[str] = []
    with torch.random.fork_rng([]):
        torch.manual_seed(0)  # the parts' first values: a bound of 1e-5 must not hang on luck
        rows = [row(method, notes) for method in METHODS]
    lines = [HEAD, "| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(line.values()) + " |" for line in rows]
    lines += ["", "A plain `no` under *to PEFT*: PEFT has no method that does the same.", ""]
    return "\n".join(lines + [f"[{n}] {text}\n" for n, text in enumerate(notes, 1)]).rstrip() + "\n" + READS + SERVING


def stored() -> list[dict[str, str]]:
    """The rows of the page as it stands there."""
    lines = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [dict(zip(COLUMNS, cells)) for cells in lines if len(cells) == len(COLUMNS) and cells[0] in METHODS]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
