"""P-tuning: the prompt's vectors are made by a small network that ties them together (Liu et al. 2021).

    P_i = MLP([LSTM_forward(P'_1 ... P'_i) : LSTM_backward(P'_i ... P'_P)])        P' [P,D] trains, and so does the network

Changes: the input grows by P vectors.  Frozen: all of the backbone.  Difference: the paper also puts soft vectors between the
words of a template; here they stand before the text.  Its later form at every layer, where the network is optional, is `PTuningV2`.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from minidelta.delta.prompt_tuning import BeforeText, PromptTuning
from minidelta.errors import DeltaError


class PTuning(PromptTuning):
    """Soft prompts made by an LSTM and a two-layer network.

    Args:
        prompt_length: P, in vectors.
        encoder: "lstm" (with the MLP behind it, as in the paper) or "mlp" (alone).
    Raises: DeltaError for a length below 1, another encoder, or with an LSTM an odd D.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> PTuning(prompt_length=5, encoder="mlp").attach(model).num_parameters()  # 5 x 32 + 2 x (32 x 32 + 32)
    2272
    """

    name = "p-tuning"
    paper = "Liu et al. 2021"
    learning_rate = 1e-2
    peft = "P_TUNING"

    def __init__(self, prompt_length: int = 20, encoder: str = "lstm", targets: str | Sequence[str] | None = None) -> None:
        if encoder not in ("lstm", "mlp"):
            raise DeltaError(f'encoder is {encoder!r}; choose "lstm" or "mlp".')
        super().__init__(prompt_length, "words", targets)
        self.encoder, self.settings = encoder, {"prompt_length": prompt_length, "encoder": encoder}

    def build(self, path: str, model: nn.Module) -> nn.Module:
        if not path.endswith("embed_out"):
            return super().build(path, model)
        if self.encoder == "lstm" and model.config.d_model % 2:
            raise DeltaError(f"This model is {model.config.d_model} wide, and the two directions of the LSTM share it evenly. Choose encoder='mlp'.")
        return EncodedPrompt(self.start(model), self.encoder == "lstm")

    def formula(self, path: str, model: nn.Module) -> int:
        if not path.endswith("embed_out"):
            return 0
        d, half = model.config.d_model, model.config.d_model // 2
        lstm = 2 * 4 * (half * d + half * half + 2 * half) if self.encoder == "lstm" else 0  # two directions, four gates
        return self.prompt_length * d + lstm + 2 * (d * d + d)


class EncodedPrompt(BeforeText):
    """The part at the embeddings."""

    def __init__(self, start: Tensor, lstm: bool) -> None:
        super().__init__()
        d_model = start.size(1)
        self.seed = nn.Parameter(start)  # P' [P,D]
        self.lstm = nn.LSTM(d_model, d_model // 2, bidirectional=True, batch_first=True) if lstm else None
        self.mlp = nn.Sequential(nn.Linear(d_model, d_model), nn.ReLU(), nn.Linear(d_model, d_model))

    def vectors(self) -> Tensor:
        h = self.seed if self.lstm is None else self.lstm(self.seed[None])[0][0]  # [P,D] -> [P,D/2 + D/2]
        return self.mlp(h)
