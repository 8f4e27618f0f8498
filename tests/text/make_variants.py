"""Writes variants.json: forms of tokenizer.json that the other fixtures do not have, and what Hugging Face makes of them.

Run in this folder: python make_variants.py (tokenizers 0.23.3). Each variant is a patch of the demo model's
tokenizer.json: the keys given replace those of the file, `add` is appended to its added_tokens. Compared exactly.
"""
import json
import random

import tokenizers
from tokenizers import Tokenizer

BASE = "../../models/demo/tokenizer.json"


def added(id, content, **options):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False, **options}


def metaspace(**options):
    return {"normalizer": None, "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", **options}}


VOCABULARY = json.load(open(BASE, encoding="utf-8"))["model"]["vocab"]
N = len(VOCABULARY)
CHATML = [added(N, "<|im_start|>", special=True), added(N + 1, "<|im_end|>", special=True)]
KINDS = [
    added(N, "<L>", lstrip=True), added(N + 1, "<R>", rstrip=True), added(N + 2, "<B>", lstrip=True, rstrip=True, special=True),
    added(N + 3, "word", single_word=True), added(N + 4, "<N>", normalized=True), added(N + 5, "a b", normalized=True),
    added(N + 6, "<N"), added(N + 7, "<N>>"), added(N + 8, "🦩", single_word=True), added(N + 9, "é", lstrip=True, single_word=True),
]
PAIR = {"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "B", "type_id": 0}}, {"SpecialToken": {"id": "both", "type_id": 3}}, {"Sequence": {"id": "A", "type_id": 2}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}, "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}, "both": {"id": "both", "ids": [2, 1], "tokens": ["</s>", "<s>"]}}}
VARIANTS = {
    "as it is": {}, "chatml": {"add": CHATML}, "kinds of added tokens": {"add": KINDS},
    "kinds, metaspace first": {"add": KINDS, **metaspace(prepend_scheme="first", split=False)},
    "kinds, metaspace always, split": {"add": KINDS, **metaspace(prepend_scheme="always", split=True)},
    "metaspace never": metaspace(prepend_scheme="never", split=False), "metaspace never, split": metaspace(prepend_scheme="never", split=True),
    "metaspace of old": metaspace(add_prefix_space=True, prepend_scheme="always"),
    "replace alone": {"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}},
    "nested normalizers": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": "  "}, "content": " "}]}, {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}},
    "no post-processor": {"post_processor": None}, "template": {"post_processor": PAIR},
    "no byte fallback": {"model": {"byte_fallback": False}}, "unknown tokens not fused": {"model": {"byte_fallback": False, "fuse_unk": False}},
    "no byte fallback, no unknown": {"model": {"byte_fallback": False, "unk_token": None}},
}
PARTS = ["<L>", "<R>", "<B>", "word", "<N>", "a b", "<N", "<N>>", "🦩", "é", "<|im_start|>", "<|im_end|>", "<s>", "</s>", " ", "  ", "   ", "▁", "\t", "\n", "\u00a0", "\u3000", "a", "b", "sword", "words", "x", "_", "1", "-", "mustard", " is ", "sauce", "字", "字字", "\ufeff", "\u200b", "\u200d", "\u0301"]


def main():
    base = json.load(open(BASE, encoding="utf-8"))
    rng = random.Random(1)
    texts = ["", " ", "Basil pesto goes with pasta.", " two  spaces ", "word sword word, words", "<N>>> <N <N>", "x <B> y<L> z <R>  w", "<|im_start|>user\nhi<|im_end|>\n"]
    texts += ["".join(rng.choice(PARTS) for _ in range(rng.randrange(1, 12))) for _ in range(32)]
    out = {"made_by": "make_variants.py", "versions": {"tokenizers": tokenizers.__version__}, "variants": {}}
    for name, patch in VARIANTS.items():
        j = json.loads(json.dumps(base))
        for key, value in patch.items():
            if key == "add":
                j["added_tokens"] += value
            elif key == "model":
                j["model"].update(value)
            else:
                j[key] = value
        tok = Tokenizer.from_str(json.dumps(j))
        cases = []
        for n, text in enumerate(texts):
            other = texts[n - 1]
            pair = tok.encode(text, other)
            ids = tok.encode(text).ids
            cases.append({"text": text, "other": other, "ids": tok.encode(text, add_special_tokens=False).ids, "ids_special": ids,
                          "pair": pair.ids, "type_ids": pair.type_ids, "skip": tok.decode(ids), "keep": tok.decode(ids, skip_special_tokens=False)})
        out["variants"][name] = {"patch": patch, "cases": cases}
    with open("variants.json", "w", encoding="utf-8") as f:
        f.write(json.dumps(out, separators=(",", ":")).replace('{"text"', '\n{"text"') + "\n")


if __name__ == "__main__":
    main()
