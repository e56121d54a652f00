"""One transformer in three shapes, written from scratch; every place where a delta may enter has a name."""

from minidelta.model.attention import attention_maps
from minidelta.model.cache import Cache
from minidelta.model.config import TransformerConfig, bert_config, gpt2_config, t5_config
from minidelta.model.layers import Linear
from minidelta.model.site import Site
from minidelta.model.transformer import Transformer

__all__ = ["Cache", "Linear", "Site", "Transformer", "TransformerConfig", "attention_maps", "bert_config", "gpt2_config", "t5_config"]
