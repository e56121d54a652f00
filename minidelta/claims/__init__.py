"""The experiments behind what the course says: one file each, its parts and margins stated before the first run.

    claim.py              parts, runs, records, verdicts
    tuning.py             the same number of learning rates for every arm; curves, and the steps to a goal
    c01_pretraining.py    C1: pre-training helps, most with little data
    c02_entity_pairs.py   C2: the six representations of an entity pair
    c03_text_to_text.py   C3: one text-to-text model for every task
    c04_little_data.py    C4: little data, and a full copy for each task
    c05_examples.py       C5: accuracy over the number of examples in the prompt
    c06_sizes.py          C6: the same curves for three sizes
    c07_order.py          C7: order, format, label prior and calibration
    c08_prompt_worth.py   C8: how many examples a prompt is worth
    c09_wordings.py       C9: wordings by hand and by search
    c10_rules.py          C10: rules as sub-prompts for relations
    c11_structured.py     C11: one schema for every format of questions
    c12_verbalizers.py    C12: five verbalizers over shots
    c13_families.py       C13: every family beside full fine-tuning, and what it trains
    c14_prompt_size.py    C14: prompts against fine-tuning over three sizes
    c15_bitfit.py         C15: biases alone against everything, over ever more data
    c16_intrinsic.py      C16: the intrinsic dimension over pre-training and size
    c17_prompt_space.py   C17: one space of prompts for many tasks
    c18_rank.py           C18: how small LoRA's rank may be, and what merging does to the latency
    c19_side_network.py   C19: the memory that a side network saves, and its score
    c20_unified.py        C20: the unified view: an equality, and designs of one size
    c21_full_or_delta.py  C21: memory, storage, score and switching, against full fine-tuning
    c22_convergence.py    C22: steps to a fixed score
    c23_many_deltas.py    C23: deltas of many tasks, one after another and in one batch
    c24_transfer.py       C24: the transfer matrix, sums of deltas, pairs of families
    c25_scale.py          C25: three sizes of the backbone
    c26_many_tasks.py     C26: many prompts on one backbone
    c27_optimizers.py     C27: the four optimizers on the same delta
    c28_little_data.py    C28: the gap between training and test with little data
    c29_deployed.py       C29: int8 backbone, bfloat16 delta
    in_context.py         the questions that C5 to C7 ask
    board.py              all verdicts as one picture
    diet.py               which part of the pre-training makes a small model useful
    records/              what was measured
"""

from collections.abc import Sequence

from minidelta.claims import (
    c01_pretraining, c02_entity_pairs, c03_text_to_text, c04_little_data, c05_examples, c06_sizes, c07_order, c08_prompt_worth, c09_wordings, c10_rules,
    c11_structured, c12_verbalizers, c13_families, c14_prompt_size, c15_bitfit, c16_intrinsic, c17_prompt_space, c18_rank, c19_side_network, c20_unified,
    c21_full_or_delta, c22_convergence, c23_many_deltas, c24_transfer, c25_scale, c26_many_tasks, c27_optimizers, c28_little_data, c29_deployed,
)  # fmt: skip
from minidelta.claims.claim import Claim, in_words, measure, read, row
from minidelta.errors import ConfigError, near_misses

MODULES = (
    c01_pretraining, c02_entity_pairs, c03_text_to_text, c04_little_data, c05_examples, c06_sizes, c07_order, c08_prompt_worth, c09_wordings, c10_rules,
    c11_structured, c12_verbalizers, c13_families, c14_prompt_size, c15_bitfit, c16_intrinsic, c17_prompt_space, c18_rank, c19_side_network, c20_unified,
    c21_full_or_delta, c22_convergence, c23_many_deltas, c24_transfer, c25_scale, c26_many_tasks, c27_optimizers, c28_little_data, c29_deployed,
)  # fmt: skip
CLAIMS: dict[str, Claim] = {module.CLAIM.id: module.CLAIM for module in MODULES}

__all__ = ["CLAIMS", "Claim", "choose", "in_words", "measure", "read", "row"]


def choose(ids: Sequence[str]) -> list[Claim]:
    """The claims of these names, in their order; all of them for no name.

    >>> [claim.id for claim in choose(["c2"])]
    ['C2']
    """
    for name in ids:
        if name.upper() not in CLAIMS:
            raise ConfigError(f"There is no claim {name!r}. {near_misses(name.upper(), CLAIMS)}")
    return [CLAIMS[name.upper()] for name in ids] or list(CLAIMS.values())
