"""Muon's step against its equation, and MuonAdamW against the two optimizers that it joins."""

import math

import torch

from minidelta.model import Transformer, bert_config, t5_config
from minidelta.pretrain.muon import MuonAdamW, hidden_first


def test_the_first_step_is_the_gradient_with_all_directions_equally_long():
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(12, 6, generator=generator) * torch.logspace(0, -2, 6)  # strong and weak directions
    w = torch.nn.Parameter(torch.zeros(12, 6))
    moves = MuonAdamW([{"params": [w], "lr": 0.1, "muon": True, "weight_decay": 0.0}, {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.1}])
    w.grad = gradient
    moves.step()
    u, _, v = torch.linalg.svd(gradient, full_matrices=False)
    scale = -0.1 * 0.2 * math.sqrt(12)
    along = u.T @ (w.detach() / scale) @ v.T  # [6,6]; orth(G) would be the identity
    assert (0.6 < along.diagonal()).all() and (along.diagonal() < 1.3).all(), "five Newton-Schulz steps leave 0.7 to 1.2"
    assert (along - torch.diag(along.diagonal())).abs().max() < 0.05


def test_the_rest_moves_exactly_as_under_adamw():
    alone, joined = (torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0])) for _ in range(2))
    w = torch.nn.Parameter(torch.eye(3))
    reference = torch.optim.AdamW([alone], lr=0.1, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    moves = MuonAdamW([{"params": [w], "lr": 0.1, "muon": True}, {"params": [joined], "lr": 0.1, "weight_decay": 0.01}], betas=(0.9, 0.98))
    for _ in range(5):
        for optimizer, p in ((reference, alone), (moves, joined)):
            optimizer.zero_grad()
            p.square().sum().backward()
            optimizer.step()
    assert torch.equal(alone, joined)
    assert torch.equal(w, torch.eye(3)), "what has no gradient does not move"


def test_the_matrices_of_the_layers_go_to_muon_and_nothing_else():
    size = {"vocab_size": 50, "d_model": 8, "n_layers": 2, "n_heads": 2, "d_ff": 16}
    for config in (bert_config(**size, max_positions=16, next_sentence=True), t5_config("1.0", **size)):
        model = Transformer(config)
        groups = hidden_first(model)
        names = {id(p): name for name, p in model.named_parameters()}
        hidden, rest = ([names[id(p)] for p in group["params"]] for group in groups)
        assert sorted(hidden + rest) == sorted(names.values())
        assert all(name.endswith("_proj.weight") for name in hidden)
        assert not any("_proj.weight" in name for name in rest)
