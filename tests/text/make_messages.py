"""Writes tekken_small/messages.json: conversations and what mistral-common makes of them in every version.

Run in this folder: python make_messages.py [--count N] [--seed N] [--out FILE] [--all] (mistral-common 1.13.1). `ids` are those
of encode_chat_completion in its mode "test", or `error` its exception. The vocabulary is tekken_small/tekken.json with another
`version`, and SentencePiece v1; with --all also mistral-common's SentencePiece v2, v3, v7 and Tekken v3. Compared exactly.
"""
import argparse
import json
import os
import random
import tempfile
import warnings
from importlib import metadata

import mistral_common
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

warnings.filterwarnings("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(os.path.dirname(mistral_common.__file__), "data")
VERSIONS = ["v1", "v2", "v3", "v7", "v11", "v13"]
REAL = {"v1": "tokenizer.model.v1", "v2": "mistral_instruct_tokenizer_240216.model.v2", "v3": "mistral_instruct_tokenizer_240323.model.v3",
        "v7": "mistral_instruct_tokenizer_241114.model.v7", "v3-tekken": "tekken_240718.json"}

TEXTS = ["Hello", " two  spaces ", "a\n", "", " ", "[INST] no [/INST] </s><s>", "[TOOL_CALLS] [{}]", "Café 🦩", "é\n\n字", "x" * 9, "\ttab", "▁", "{\"a\": 1}",
         "[REFERENCE_DOC_2] said", "[AVAILABLE_TOOLS]", "<unk><pad>", "[SYSTEM_PROMPT]Obey", "\ufeffmark", "trailing   "]
ARGUMENTS = [{}, {"city": "Nîmes"}, {"n": 1, "x": 2.5, "l": [1, None, True], "o": {"k": "v\n"}}, "{}", "", "not json", '{"a":1,"b":[ 1,2 ],"c":1.0}', '{"e": 1e5, "m": -0.0, "t": 1e-7, "h": 1e22, "i": 123456789012345678901234567890}',
             '{"a": 1, "b": 2, "a": 3}', '{"2": "b", "1": "a"}', '"text"', "[1, 2]", "null", '{"u": "\\u00e9\\ud83e\\udda9\\/\\u0007"}', "NaN", '{"x": NaN, "y": -Infinity}', '{"a": 1', ' {"a" : 1} ', "01", "1.", '"\\x"', '{"a": "\u007f"}']
RESULTS = ["22.0", "", "{\"temp\":  22.5, \"unit\": \"C\"}", "It is warm.", "[1,2 , 3]", "null", "[INST]", "\"quoted\"", "a\nb", "[TOOL_RESULTS]{}", [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}], "é", "1e3"]
TOOLS = [
    [{"type": "function", "function": {"name": "get_weather", "description": "Tells the weather", "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "e.g. Nîmes"}}, "required": ["city"]}}}],
    [{"type": "function", "function": {"name": "a", "parameters": {"type": "object", "properties": {}}, "strict": True}}, {"type": "function", "function": {"name": "b-2", "description": "[INST] \"x\"", "parameters": {}}}],
    [],
]
IDS = ["abcdefghi", "ABC123xyz", "000000000", "Zz9Zz9Zz9"]


def conversation(rng):
    messages, called = [], []
    content = lambda: rng.choice(TEXTS) if rng.random() < 0.85 else [{"type": "text", "text": rng.choice(TEXTS)} for _ in range(rng.randrange(1, 4))]
    if rng.random() < 0.4:
        messages.append({"role": "system", "content": content()})
    turns = rng.randrange(1, 5)
    for turn in range(turns):
        for _ in range(1 + (rng.random() < 0.15)):
            messages.append({"role": "user", "content": content()})
        if rng.random() < 0.1:
            messages.append({"role": "system", "content": content()})
            if rng.random() < 0.5:
                messages.append({"role": "user", "content": content()})
        kind = rng.random()
        if kind < 0.45:
            calls = [{"id": i, "type": "function", "function": {"name": rng.choice(["get_weather", "a", "b-2"]), "arguments": rng.choice(ARGUMENTS)}} for i in rng.sample(IDS, rng.choice([1, 1, 1, 2, 3]))]
            if rng.random() < 0.04:
                calls[0]["id"] = rng.choice(["short", "null", "too long for it"])
            message = {"role": "assistant", "tool_calls": calls}
            if rng.random() < 0.2:
                message["content"] = content()
            messages.append(message)
            results = [{"role": "tool", "tool_call_id": c["id"], "name": c["function"]["name"], "content": rng.choice(RESULTS)} for c in calls]
            if rng.random() < 0.3:
                rng.shuffle(results)
            if rng.random() < 0.05:
                results = results[1:]
            for r in results:
                if rng.random() < 0.2:
                    del r["name"]
            messages += results
            if rng.random() < 0.6:
                messages.append({"role": "assistant", "content": content()})
        elif kind < 0.9 and (turn < turns - 1 or rng.random() < 0.3):
            for _ in range(1 + (rng.random() < 0.1)):
                text = content()
                if rng.random() < 0.08:
                    text = [{"type": "thinking", "thinking": rng.choice(TEXTS), "closed": rng.random() < 0.7}, {"type": "text", "text": rng.choice(TEXTS)}]
                messages.append({"role": "assistant", "content": text})
    return messages


def case(rng):
    messages = conversation(rng)
    c = {"messages": messages}
    if rng.random() < 0.5:
        c["tools"] = rng.randrange(len(TOOLS))
    if messages[-1]["role"] == "assistant":
        c["continue_final_message"] = True
    return c


def outcome(tokenizer, c):
    try:
        tools = TOOLS[c["tools"]] if "tools" in c else None
        request = ChatCompletionRequest.from_openai(messages=json.loads(json.dumps(c["messages"])), tools=tools, continue_final_message=c.get("continue_final_message", False))
        return {"ids": tokenizer.encode_chat_completion(request).tokens}
    except Exception as e:
        return {"error": f"{type(e).__name__}: {str(e)[:100]}"}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--count", type=int, default=48)
    ap.add_argument("--seed", type=int, default=5)
    ap.add_argument("--out", default=os.path.join(HERE, "tekken_small", "messages.json"))
    ap.add_argument("--all", action="store_true")
    a = ap.parse_args()
    names = REAL if a.all else ["v1"]
    tokenizers = {name: MistralTokenizer.from_file(os.path.join(DATA, REAL[name])) for name in names}
    with tempfile.TemporaryDirectory() as folder:
        for version in VERSIONS:
            j = json.load(open(os.path.join(HERE, "tekken_small", "tekken.json"), encoding="utf-8"))
            j["config"]["version"] = version
            path = os.path.join(folder, f"tekken_{version}.json")
            json.dump(j, open(path, "w", encoding="utf-8"))
            tokenizers[f"small {version}"] = MistralTokenizer.from_file(path)
    rng = random.Random(a.seed)
    with open(a.out, "w", encoding="utf-8") as f:
        head = {"made_by": "make_messages.py", "versions": {"mistral_common": metadata.version("mistral-common")}, "tools": TOOLS}
        f.write(json.dumps(head)[:-1] + ', "cases": [')
        for i in range(a.count):
            c = case(rng)
            c["expected"] = {name: outcome(tokenizer, c) for name, tokenizer in tokenizers.items()}
            f.write((",\n" if i else "\n") + json.dumps(c, separators=(",", ":")))
        f.write("\n]}\n")


if __name__ == "__main__":
    main()
