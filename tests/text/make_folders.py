"""Writes folders.json: Hugging Face folders whose tokens come from one or several of the files that can carry one, and
what transformers makes of them.

Run in this folder: python make_folders.py (transformers 5.23.0, tokenizers 0.23.3). A folder is the demo model's
tokenizer.json, changed by `tokenizer` (`add` is appended to its added_tokens, the other keys replace those of the file), a
config.json of a Mixtral without ids, and the other files as they stand here. Expected, exactly: the ids of bos, eos, unk
and pad, padding_side, what skip_special_tokens leaves out, and of each text the ids without and the two decodings with
special tokens around it (`keep` only where it is not what is skipped plus "<s> "); 0 stands for what the first folder has.
`error` where transformers fails.
"""
import json
import random
import tempfile
import warnings
from pathlib import Path

import tokenizers
import transformers
from transformers import AutoTokenizer

BASE = "../../models/demo/tokenizer.json"
N = 1536
NEW = ["<|im_start|>", "<|im_end|>", "<pad>", "[TOOL]", "Zorbel", "a b", "<x>", "met"]
TEXTS = ["", "We met Zorbel today.", "<|im_start|>user\nhi<|im_end|>\n<pad><pad>", "a b  <x> a b<x>[TOOL] [TOOL] x", " Zorbel<|im_end|> a", "xZorbel Zorbelx <s>met</s><unk> the"]
ROLES = ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token", "image_token"]


def token(content, **flags):
    return {"content": content, "lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True, **flags}


def typed(content, **flags):
    return {"__type": "AddedToken", **token(content, **flags)}


FLAGS = [{}, {"special": False}, {"special": False, "normalized": True}, {"lstrip": True}, {"rstrip": True}, {"single_word": True}, {"normalized": True}, {"lstrip": True, "rstrip": True, "special": False, "normalized": True}]
NAMED = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def folders():
    out = {}

    def add(name, **files):
        assert name not in out, name
        out[name] = files

    add("tokenizer.json alone")
    add("roles named", tokenizer_config=NAMED)
    for i, flags in enumerate(FLAGS):
        content = NEW[i % 7]
        add(f"tokenizer.json, {flags}", tokenizer={"add": [{"id": N, **token(content, **flags)}]})
        add(f"added_tokens_decoder, {flags}", tokenizer_config={**NAMED, "added_tokens_decoder": {str(N): token(content, **flags)}})
        add(f"added_tokens_decoder over tokenizer.json, {flags}", tokenizer={"add": [{"id": N, **token(content, **FLAGS[i - 3])}]}, tokenizer_config={"added_tokens_decoder": {str(N): token(content, **flags)}})
        add(f"special_tokens_map, {flags}", special_tokens_map={ROLES[i]: token(content, **flags)})
        add(f"tokenizer_config, typed, {flags}", tokenizer_config={**NAMED, ROLES[i]: typed(content, **flags)})
    for role in ROLES:
        add(f"{role} of tokenizer_config alone", tokenizer_config={role: "<pad>"})
        add(f"{role} of special_tokens_map alone", special_tokens_map={role: "<pad>"})
        add(f"{role}, an ordinary piece", tokenizer_config={**NAMED, role: "▁the"})
    add("added_tokens.json", added_tokens={"<|im_start|>": N, "<|im_end|>": N + 1, "Zorbel": N + 2})
    add("added_tokens.json, some special", added_tokens={"<|im_start|>": N + 1, "<|im_end|>": N, "Zorbel": N + 2}, tokenizer_config={**NAMED, "eos_token": "<|im_end|>"}, special_tokens_map={"additional_special_tokens": ["<|im_start|>"]})
    add("added_tokens.json beside added_tokens_decoder", added_tokens={"<|im_start|>": N, "Zorbel": N + 1}, tokenizer_config={"added_tokens_decoder": {str(N): token("<|im_end|>")}})
    add("added_tokens.json beside tokenizer.json", added_tokens={"<|im_start|>": N, "Zorbel": N + 1}, tokenizer={"add": [{"id": N, **token("<|im_start|>", lstrip=True)}]})
    add("added_tokens.json, other ids", added_tokens={"<|im_start|>": N + 5, "Zorbel": 7, "</s>": 2, "met": 3})
    for key in ["additional_special_tokens", "extra_special_tokens"]:
        for where in ["tokenizer_config", "special_tokens_map"]:
            add(f"{key} of {where}", **{where: {key: ["<|im_end|>", "<|im_start|>", "</s>"]}})
            add(f"{key} of {where}, typed", **{where: {key: [typed("<|im_end|>", rstrip=True), typed("Zorbel", special=False, normalized=True)]}})
        add(f"{key} in both", tokenizer_config={key: ["<|im_end|>", "<x>"]}, special_tokens_map={key: ["<|im_start|>", "<x>"]})
        add(f"{key}, beside a decoder", tokenizer_config={key: ["<|im_end|>", "<x>"], "added_tokens_decoder": {}}, special_tokens_map={key: ["<|im_start|>"]})
    add("extra_special_tokens by name", tokenizer_config={"extra_special_tokens": {"image_token": "<x>", "boi": "[TOOL]"}})
    add("extra_special_tokens by name, of special_tokens_map", special_tokens_map={"extra_special_tokens": {"image_token": "<x>"}})
    add("additional and extra", tokenizer_config={"additional_special_tokens": ["<x>"], "extra_special_tokens": ["[TOOL]"]})
    add("special_tokens_map over tokenizer_config", tokenizer_config={"pad_token": "<pad>", "eos_token": "</s>"}, special_tokens_map={"pad_token": "<unk>", "eos_token": "<|im_end|>"})
    add("tokenizer_config with a decoder over special_tokens_map", tokenizer_config={"pad_token": "<pad>", "added_tokens_decoder": {}}, special_tokens_map={"pad_token": "<unk>", "eos_token": "<|im_end|>"})
    add("null over special_tokens_map", tokenizer_config={"pad_token": None, "added_tokens_decoder": {}}, special_tokens_map={"pad_token": "<unk>"})
    add("special_tokens_map over null", tokenizer_config={"pad_token": None}, special_tokens_map={"pad_token": "<unk>"})
    add("a gap in tokenizer.json", tokenizer={"add": [{"id": N + 4, **token("<|im_end|>")}, {"id": N + 2, **token("<x>")}]})
    add("a gap in added_tokens_decoder", tokenizer_config={"added_tokens_decoder": {str(N + 4): token("<|im_end|>"), str(N + 2): token("<x>"), "9": token("Zorbel", special=False)}})
    add("another id for a piece", tokenizer_config={"added_tokens_decoder": {"1540": token("<s>"), "5": token("</s>", lstrip=True)}})
    add("normalized, then not", tokenizer={"add": [{"id": N, **token("Zorbel", special=False, normalized=True)}]}, tokenizer_config={"added_tokens_decoder": {str(N): token("Zorbel", special=False)}})
    add("special, then not", tokenizer={"add": [{"id": N, **token("Zorbel")}]}, tokenizer_config={"added_tokens_decoder": {str(N): token("Zorbel", special=False)}})
    add("an empty added token", tokenizer={"add": [{"id": N, **token("")}, {"id": N + 1, **token("<x>")}]})
    add("padding of tokenizer.json", tokenizer={"padding": {"strategy": "BatchLongest", "direction": "Left", "pad_to_multiple_of": None, "pad_id": N, "pad_type_id": 0, "pad_token": "<pad>"}})
    add("padding of tokenizer.json, pad_token null", tokenizer={"padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "<unk>"}}, tokenizer_config={"pad_token": None, "padding_side": "left"})
    add("truncation of tokenizer.json", tokenizer={"truncation": {"direction": "Left", "max_length": 512, "strategy": "LongestFirst", "stride": 0}})
    add("add_bos_token false", tokenizer_config={**NAMED, "add_bos_token": False, "add_eos_token": True})
    for i, flags in enumerate(FLAGS):
        add(f"named elsewhere, {flags}", tokenizer={"add": [{"id": N, **token(NEW[i % 7], **flags)}]}, special_tokens_map={ROLES[i - 1]: NEW[i % 7]})
        add(f"added_tokens.json and a role, {flags}", added_tokens={NEW[i % 7]: N}, **{["tokenizer_config", "special_tokens_map"][i % 2]: {ROLES[i - 2]: typed(NEW[i % 7], **flags)}} if i % 2 == 0 else {"special_tokens_map": {ROLES[i - 2]: token(NEW[i % 7], **flags)}})
    metaspace = {"normalizer": None, "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}}
    rng = random.Random(5)
    for i in range(20):
        pick = lambda: rng.choice(NEW)
        flags = lambda: rng.choice(FLAGS)
        files = {"tokenizer": dict(metaspace) if rng.random() < 0.4 else {}, "tokenizer_config": {}, "special_tokens_map": {}, "added_tokens": {}}
        files["tokenizer"]["add"] = [{"id": N + k, **token(c, **flags())} for k, c in enumerate(rng.sample(NEW, rng.randrange(4)))]
        if rng.random() < 0.5:
            files["tokenizer_config"]["added_tokens_decoder"] = {str(N + k): token(c, **flags()) for k, c in enumerate(rng.sample(NEW, rng.randrange(4)))}
        for where in ["tokenizer_config", "special_tokens_map"]:
            for role in rng.sample(ROLES, rng.randrange(4)):
                files[where][role] = rng.choice([pick(), typed(pick(), **flags()), pick(), "</s>"]) if where == "tokenizer_config" else rng.choice([pick(), token(pick(), **flags())])
            if rng.random() < 0.3:
                files[where][rng.choice(["additional_special_tokens", "extra_special_tokens"])] = [pick(), typed(pick(), **flags())]
        if rng.random() < 0.5:
            files["added_tokens"] = {c: N + k for k, c in enumerate(rng.sample(NEW, 3))}
        add(f"mixed {i}", **{k: v for k, v in files.items() if v})
    return out


def load(files):
    base = json.load(open(BASE, encoding="utf-8"))
    patch = dict(files.get("tokenizer", {}))
    base["added_tokens"] += patch.pop("add", [])
    base.update(patch)
    with tempfile.TemporaryDirectory() as folder:
        put = lambda name, value: Path(folder, name).write_text(json.dumps(value), encoding="utf-8")
        put("tokenizer.json", base)
        put("config.json", {"model_type": "mixtral", "bos_token_id": None, "eos_token_id": None})
        for name in ["tokenizer_config", "special_tokens_map", "added_tokens"]:
            if name in files:
                put(f"{name}.json", files[name])
        return AutoTokenizer.from_pretrained(folder)


def main():
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    out = {}
    for name, files in folders().items():
        try:
            tok = load(files)
        except Exception as error:
            out[name] = {"files": files, "error": type(error).__name__}
            continue
        skipped = [i for i in range(len(tok)) if tok.decode([i, i]) != "" and tok.decode([i, i], skip_special_tokens=True) == ""]
        texts = []
        for text in TEXTS:
            ids = tok.encode(text)
            bare = tok.encode(text, add_special_tokens=False)
            assert ids == [1, *bare], name
            skip, keep = tok.decode(ids, skip_special_tokens=True), tok.decode(ids)
            texts.append([" ".join(map(str, bare)), skip] + ([] if keep == "<s> " + skip or (text == "" and keep == "<s>") else [keep]))
        out[name] = {"files": files, "roles": [tok.bos_token_id, tok.eos_token_id, tok.unk_token_id, tok.pad_token_id], "sides": [tok.padding_side, tok.truncation_side],
                     "length": len(tok), "skipped": skipped, "texts": texts}
    first = out["tokenizer.json alone"]["texts"]
    for value in list(out.values())[1:]:
        value["texts"] = [0 if text == other else text for text, other in zip(value.get("texts", []), first)]
    lines = [f"{json.dumps(name)}:{json.dumps(value, separators=(',', ':'), ensure_ascii=False)}" for name, value in out.items()]
    head = {"made_by": "make_folders.py", "versions": {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}, "texts": TEXTS}
    with open("folders.json", "w", encoding="utf-8") as f:
        f.write(json.dumps(head)[:-1] + ',"folders":{\n' + ",\n".join(lines) + "\n}}\n")
    print(len(out), "folders,", sum("error" in v for v in out.values()), "refused:", [(k, v["error"]) for k, v in out.items() if "error" in v])


if __name__ == "__main__":
    main()
