"""The demo model as transformers.js takes it: python3 bench/peers/demo_onnx.py [FOLDER]

Exports models/demo to FOLDER (bench/cache/demo-onnx where none is named): onnx/model.onnx in float32, with the cache as
inputs and outputs, and the files beside it. transformers.js has no Mixtral, so that config.json calls it a Mistral, whose
inputs are the same; it reads chat templates from tokenizer_config.json. The window is left out: no answer here is so long.
`npm run bench -- first-run` uses the folder where it is there.
Made with torch 2.15.0, transformers 5.23.0, onnx 1.23.2, onnxscript 0.7.2.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from transformers import DynamicCache, MixtralForCausalLM

root = Path(__file__).resolve().parents[2]
source = root / "models" / "demo"
target = Path(sys.argv[1]) if len(sys.argv) > 1 else root / "bench" / "cache" / "demo-onnx"

# Experts without loops over who is routed to them, which no graph could follow.
how = {"dtype": torch.float32, "experts_implementation": "batched_mm", "attn_implementation": "eager"}
model = MixtralForCausalLM.from_pretrained(source, sliding_window=None, **how).eval()
config = model.config
LAYERS = range(config.num_hidden_layers)


class Step(torch.nn.Module):
    """past: keys and values of each layer in turn, (rows, kv_heads, past, head_dim)."""

    def __init__(self):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, past):
        cache = DynamicCache()
        for i in LAYERS:
            cache.update(past[2 * i], past[2 * i + 1], i)
        logits = self.model(input_ids=input_ids, attention_mask=attention_mask, past_key_values=cache).logits
        return logits, [each for layer in cache.layers for each in (layer.keys, layer.values)]


ROWS, LENGTH, PAST = 1, 5, 7
HEAD = config.hidden_size // config.num_attention_heads
ids = torch.arange(1, 1 + ROWS * LENGTH).reshape(ROWS, LENGTH)
mask = torch.ones(ROWS, PAST + LENGTH, dtype=torch.int64)
past = [torch.randn(ROWS, config.num_key_value_heads, PAST, HEAD) for _ in LAYERS for _ in "kv"]
length, before, all_of = (torch.export.Dim(name) for name in ("length", "past", "all"))
names = [f"{i}.{of}" for i in LAYERS for of in ("key", "value")]
(target / "onnx").mkdir(parents=True, exist_ok=True)
torch.onnx.export(
    Step(),
    (ids, mask, past),
    target / "onnx" / "model.onnx",
    dynamo=True,
    external_data=False,
    input_names=["input_ids", "attention_mask", *(f"past_key_values.{name}" for name in names)],
    output_names=["logits", *(f"present.{name}" for name in names)],
    dynamic_shapes=({1: length}, {1: all_of}, [{2: before} for _ in past]),
)

written = json.loads((source / "config.json").read_text())
written |= {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": None}
tokenizer = json.loads((source / "tokenizer_config.json").read_text())
tokenizer["chat_template"] = (source / "chat_template.jinja").read_text()
(target / "config.json").write_text(json.dumps(written))
(target / "tokenizer_config.json").write_text(json.dumps(tokenizer))
for name in ("generation_config.json", "tokenizer.json"):
    shutil.copy(source / name, target / name)
