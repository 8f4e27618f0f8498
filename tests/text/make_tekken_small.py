"""Writes tekken_small/: the first ranks of Mistral's Tekken vocabulary, and what its references make of texts.

Run in this folder: python make_tekken_small.py (mistral-common 1.13.1, transformers 5.24.0, tokenizers 0.23.3). tekken.json is the
real format with 740 of 780 ranks in use and a list of 40 special tokens (of 64); tokenizer.json is transformers' conversion with
`<s>` in front. cases.json: `texts` with mistral-common's ids (`ids`: control tokens are text), which tokenizers gives as well, and
`literal` by the tokenizer.json as loaded; `decodes` with tokenizers' text without and with special tokens. Compared exactly.
"""
import json
import os
import random
from importlib import metadata

import mistral_common
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from tokenizers import Tokenizer, processors
from transformers.integrations.mistral import MistralConverter

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "tekken_small")
FILE = os.path.join(os.path.dirname(mistral_common.__file__), "data", "tekken_240718.json")
SPECIALS, USED, UNUSED = 64, 740, 40
NEWER = {20: "[ARGS]", 21: "[CALL_ID]", 22: "[THINK]", 23: "[/THINK]", 24: "[AUDIO]"}
TEXTS = ["", " ", "  ", "Hello world", "hello  World  ", "the wind turned at noon", "\n", "a\r\n\r\n b\n", "x = [1, 2.5, 'q']; // y\n\tz", "don't I'LL we've", "ABCdef ABC aBc Ab", "12345 3.14", "Éa àé É́x",
         "🦩🦩 👩‍👩‍👧", "字字 かな カナ", "שלום مرحبا हिन्दी ไทย", "\u0085\ufeff\u200b x", "a\0b", "\ud83d half", "<s>[INST] x [/INST]</s>", "[TOOL_CALLS][ARGS]{}", "[INST", "<SPECIAL_50>", "ǅ ʰ ªº", "////\n///", "   \n   x", "\u3000 \u3000y", "…—‘’", "aaaa" * 40, "= = == ==="]
PARTS = TEXTS + ["a", " the", "ing", "\n", " ", "A", "é", "1", "!", "字", "\u0301", "🦩", "<s>", "[/INST]", "/", "\t"]


def main():
    os.makedirs(OUT, exist_ok=True)
    j = json.load(open(FILE, encoding="utf-8"))
    j["vocab"] = j["vocab"][:USED + UNUSED]
    j["config"] |= {"num_vocab_tokens": USED + UNUSED, "default_vocab_size": SPECIALS + USED, "default_num_special_tokens": SPECIALS, "version": "v13"}
    names = [str(getattr(t["token_str"], "value", t["token_str"])) for t in Tekkenizer.DEPRECATED_SPECIAL_TOKENS]
    names += [NEWER.get(i, f"<SPECIAL_{i}>") for i in range(len(names), 40)]
    j["special_tokens"] = [{"rank": i, "token_str": n, "is_control": True} for i, n in enumerate(names)]
    path = os.path.join(OUT, "tekken.json")
    with open(path, "w", encoding="utf-8") as f:
        lines = ",\n".join(json.dumps(t, separators=(",", ":")) for t in j.pop("vocab"))
        f.write(json.dumps(j)[:-1] + ', "vocab": [\n' + lines + "\n]}\n")
    tekken = Tekkenizer.from_file(path)
    converted = MistralConverter(path).converted()
    converted.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    text = converted.to_str()
    with open(os.path.join(OUT, "tokenizer.json"), "w", encoding="utf-8") as f:
        json.dump(json.loads(text), f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")
    loaded, as_text = Tokenizer.from_str(text), Tokenizer.from_str(text)
    as_text.encode_special_tokens = True
    rng = random.Random(3)
    texts = TEXTS + ["".join(rng.choice(PARTS) for _ in range(rng.randrange(2, 9))) for _ in range(70)]
    out = {"made_by": "make_tekken_small.py", "versions": {p: metadata.version(p) for p in ("mistral-common", "transformers", "tokenizers")}, "texts": [], "decodes": []}
    for t in texts:
        whole = t.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        ids = tekken.encode(whole, bos=False, eos=False)
        assert as_text.encode(whole, add_special_tokens=False).ids == ids, t
        literal = loaded.encode(whole, add_special_tokens=False).ids
        out["texts"].append({"text": t, "ids": ids, **({"literal": literal} if literal != ids else {})})
    for _ in range(60):
        ids = [rng.choice([rng.randrange(64, 320), rng.randrange(0, 64), rng.randrange(64, 804), rng.randrange(64 + 128, 320)]) for _ in range(rng.randrange(1, 12))] + rng.choice([[], [804], [5000]])
        known = [i for i in ids if i < 804]
        out["decodes"].append({"ids": ids, "skip": loaded.decode(known), "keep": loaded.decode(known, skip_special_tokens=False)})
    with open(os.path.join(OUT, "cases.json"), "w", encoding="utf-8") as f:
        f.write(json.dumps(out, separators=(",", ":")).replace('{"text"', '\n{"text"').replace('{"ids"', '\n{"ids"') + "\n")


if __name__ == "__main__":
    main()
