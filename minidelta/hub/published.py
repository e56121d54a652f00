"""Shapes of published models, so that one can reckon with them where they cannot be loaded.

From the papers and the configurations on the hub: BERT (Devlin et al. 2019), RoBERTa (Liu et al. 2019), GPT-2 (Radford et
al. 2019), T5 1.0 (Raffel et al. 2020, section 3.7), Flan-T5 (Chung et al. 2022), which has the shape of T5 1.1, and the
largest GPT-3 (Brown et al. 2020, table 2.1).  Each is also known by its owner on the hub: `ALIASES`.  Differences: of
RoBERTa's 514 positions two stay unused, for it counts them from 2; GPT-3 lets every other layer see a band of tokens only,
which saves some work on the scores and no parameter, and is reckoned as if all saw everything, and without dropout.

>>> PUBLISHED["gpt2-xl"].n_layers
48
"""

from minidelta.model import TransformerConfig, bert_config, gpt2_config, t5_config

PUBLISHED: dict[str, TransformerConfig] = {
    "bert-base-uncased": bert_config(vocab_size=30_522, d_model=768, n_layers=12, n_heads=12, d_ff=3_072, next_sentence=True),
    "bert-large-uncased": bert_config(vocab_size=30_522, d_model=1_024, n_layers=24, n_heads=16, d_ff=4_096, next_sentence=True),
    "roberta-base": bert_config(vocab_size=50_265, d_model=768, n_layers=12, n_heads=12, d_ff=3_072, max_positions=514, token_types=1, norm_eps=1e-5),
    "roberta-large": bert_config(vocab_size=50_265, d_model=1_024, n_layers=24, n_heads=16, d_ff=4_096, max_positions=514, token_types=1, norm_eps=1e-5),
    "gpt2": gpt2_config(vocab_size=50_257, d_model=768, n_layers=12, n_heads=12, d_ff=3_072),
    "gpt2-medium": gpt2_config(vocab_size=50_257, d_model=1_024, n_layers=24, n_heads=16, d_ff=4_096),
    "gpt2-large": gpt2_config(vocab_size=50_257, d_model=1_280, n_layers=36, n_heads=20, d_ff=5_120),
    "gpt2-xl": gpt2_config(vocab_size=50_257, d_model=1_600, n_layers=48, n_heads=25, d_ff=6_400),
    "175B": gpt2_config(vocab_size=50_257, d_model=12_288, n_layers=96, n_heads=96, d_ff=49_152, max_positions=2_048, dropout=0.0),
    "t5-small": t5_config(vocab_size=32_128, d_model=512, n_layers=6, n_heads=8, d_head=64, d_ff=2_048),
    "t5-base": t5_config(vocab_size=32_128, d_model=768, n_layers=12, n_heads=12, d_head=64, d_ff=3_072),
    "t5-large": t5_config(vocab_size=32_128, d_model=1_024, n_layers=24, n_heads=16, d_head=64, d_ff=4_096),
    "t5-3b": t5_config(vocab_size=32_128, d_model=1_024, n_layers=24, n_heads=32, d_head=128, d_ff=16_384),
    "t5-11b": t5_config(vocab_size=32_128, d_model=1_024, n_layers=24, n_heads=128, d_head=128, d_ff=65_536),
    "flan-t5-small": t5_config("1.1", vocab_size=32_128, d_model=512, n_layers=8, n_heads=6, d_head=64, d_ff=1_024),
    "flan-t5-base": t5_config("1.1", vocab_size=32_128, d_model=768, n_layers=12, n_heads=12, d_head=64, d_ff=2_048),
}
OWNERS = {"bert": "google-bert", "roberta": "FacebookAI", "gpt2": "openai-community", "t5": "google-t5", "flan": "google"}
ALIASES = {f"{OWNERS[family]}/{name}": name for name in PUBLISHED if (family := name.split("-")[0]) in OWNERS}  # "google-t5/t5-small" -> "t5-small"
