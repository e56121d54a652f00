"""All tests run offline and without progress bars, whatever the machine offers."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers or datasets are imported
os.environ["MINIDELTA_PROGRESS"] = "0"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
