"""Methods that train vectors of the model itself: IA3, LN-tuning, and the embeddings of chosen tokens."""

from typing import Any

import torch
from torch import Tensor, nn

from minidelta.errors import CheckpointError
from minidelta.hub.peft.folder import Adapter, Parts, Written, refuse
from minidelta.hub.peft.modules import OUTER, about_modules, fan, module_of, named, paths_of, targets
from minidelta.model import TransformerConfig


def write_ia3(parts: Parts, settings: dict[str, Any], config: TransformerConfig) -> Written:
    """Factors on what k and v give, [d_out,1], and on what the second layer of the feed-forward gets, [1,F]."""
    stored, inputs = {}, []
    for path, tensors in parts.items():
        around = path.rsplit(".", 1)[0]  # layers.0.attn.kv -> layers.0.attn
        if "scale" in tensors:
            inputs.append(module_of(f"{around}.down_proj", config))
            stored[inputs[-1]] = tensors["scale"][None]
            continue
        k, v = tensors["scale_k"], tensors["scale_v"]
        if config.shape == "decoder":  # fused: q stays as it is
            stored[module_of(f"{around}.k_proj", config)] = torch.cat((torch.ones_like(k), k, v))[:, None]
        else:
            stored |= {module_of(f"{around}.k_proj", config): k[:, None], module_of(f"{around}.v_proj", config): v[:, None]}
    return about_modules("IA3", stored, **fan(config), feedforward_modules=sorted(inputs)), {f"{OUTER}{module}.ia3_l": value for module, value in stored.items()}


def read_ia3(about: dict[str, Any], stored: dict[str, Tensor]) -> Adapter:
    """Two factors that PEFT may have and ours has not say the same elsewhere, since they pass through a sum over other places:

    (l_q * q) . k = q . (l_q * k)        W_o (l_o * sum_s a_s v_s) = W_o sum_s a_s (l_o * v_s)
    """
    refuse(about, modules_to_save=None)
    values: dict[str, Tensor] = {}

    def scale(name: str, factor: Tensor) -> None:
        values[name] = values.get(name, torch.ones_like(factor)) * factor

    for module, tensors in named(stored, ("ia3_l",)).items():
        paths, factor = paths_of(module), tensors["ia3_l"]
        of_input = factor.size(0) == 1
        for path, own in zip(paths, factor.flatten().chunk(len(paths))):
            around, leaf = path.rsplit(".", 1)
            place = {("q_proj", False): "kv.scale_k", ("k_proj", False): "kv.scale_k", ("v_proj", False): "kv.scale_v", ("o_proj", True): "kv.scale_v", ("down_proj", True): "act.scale"}.get((leaf, of_input))
            if place is None or (of_input and len(paths) > 1):
                raise CheckpointError(f"it scales what {module} {'gets' if of_input else 'gives'}; ours scales keys, values and the inner units of the feed-forward.")
            scale(f"{around}.{place}", own)
    for path in {name.removesuffix(".scale_k").removesuffix(".scale_v") for name in values if name.endswith((".scale_k", ".scale_v"))}:
        one = values.get(f"{path}.scale_k", values.get(f"{path}.scale_v"))
        values |= {name: values.get(name, torch.ones_like(one)) for name in (f"{path}.scale_k", f"{path}.scale_v")}
    return Adapter("ia3", {"targets": targets(values)}, values)


def write_norms(parts: Parts, settings: dict[str, Any], config: TransformerConfig) -> Written:
    """PEFT keeps whole norms, ours what is added to them; `parts` holds whole ones."""
    modules = {module_of(path, config): tensors for path, tensors in parts.items()}
    stored = {f"{OUTER}{module}.ln_tuning_layers.{name}": value for module, tensors in modules.items() for name, value in tensors.items()}
    return about_modules("LN_TUNING", modules), stored


def read_norms(about: dict[str, Any], stored: dict[str, Tensor]) -> Adapter:
    refuse(about, modules_to_save=None)
    whole = {}
    for name, value in stored.items():
        module, _, tensor = name.removeprefix(OUTER).rpartition(".")
        if not module.endswith(".ln_tuning_layers"):
            raise CheckpointError(f"it holds {name}, which has no place here; expected only norms.")
        whole[f"{paths_of(module.removesuffix('.ln_tuning_layers'))[0]}.{tensor}"] = value

    def difference(model: nn.Module) -> dict[str, Tensor]:
        before = model.state_dict()
        return {name: value - before[name].detach().float().cpu() for name, value in whole.items()}

    return Adapter("ln-tuning", {"targets": targets(whole)}, difference)


def own_output_layer(config: TransformerConfig) -> None:
    """Raises: CheckpointError for a model whose output layer is its embedding table, as transformers takes that of every T5 to be."""
    if config.shape == "encoder-decoder" or (config.tied and config.lm_head):
        raise CheckpointError("PEFT moves a tied output layer along with the tokens' embeddings, ours leaves it; only a BERT or GPT-2 whose output layer is its own can exchange them.")


def write_tokens(parts: Parts, settings: dict[str, Any], config: TransformerConfig) -> Written:
    """PEFT keeps whole rows of the table, ours what is added to them; `parts` holds whole ones."""
    own_output_layer(config)
    path, tensors = next(iter(parts.items()))
    module = module_of(path, config)
    return about_modules("TRAINABLE_TOKENS", [module], token_indices=tensors["tokens"].tolist()), {f"{OUTER}{module}.trainable_tokens_delta": tensors["rows"]}


def read_tokens(about: dict[str, Any], stored: dict[str, Tensor]) -> Adapter:
    refuse(about, modules_to_save=None)
    modules = named(stored, ("trainable_tokens_delta",))
    if len(modules) != 1:
        raise CheckpointError(f"it trains tokens in {len(modules)} tables; ours has one.")
    ((module, tensors),) = modules.items()
    (path,) = paths_of(module)

    def difference(model: nn.Module) -> dict[str, Tensor]:
        own_output_layer(model.config)
        return {f"{path}.change": tensors["trainable_tokens_delta"] - model.token_embedding.weight.detach().float().cpu()[about["token_indices"]]}

    return Adapter("token-embeddings", {"tokens": about["token_indices"]}, difference)
