"""Writes patterns.json: how Hugging Face's pre-tokenizer Split cuts texts by patterns of the kind that is supported here.

Run in this folder: python make_patterns.py (tokenizers 0.23.3). `isolated` are the stretches with behavior Isolated; with Removed
and invert only the matches are left: `matches`. Compared exactly; characters of Unicode 17 and of versions after
Oniguruma's are not among the texts.
"""
import json
import random

import tokenizers
from tokenizers import Regex, pre_tokenizers

TEKKEN = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = [
    TEKKEN, r"\p{N}{1,3}", r"\p{N}{2}", r"\p{L}{2,}|\s", r"a", r"a|ab|b", r"ab|a", r"a?b+", r"a*b", r"a+a", r"a++b", r"a*+b|a", r"a?+ab|x", r"[a-c]+[b-d]{2,3}x?", r"[^a-c]+", r"[\]\-a]+", r"[a\-c]+", r"[-a]+", r"[a-]+", r"[.]|\.\.", r"\S+", r"\s\S", r"\d+|\D", r" ?\p{L}+| ?\p{N}+",
    r"\n|\r\n|\t", r"\u|é+".replace(r"\u|", ""), r"[é字🦩]+", r"🦩", r"a(?=b)|b", r"a(?!b)|ab", r"\p{L}+(?=\s)|\p{L}", r"(?!a)[abc]+|a", r"\p{Sc}\p{Nd}+|\p{P}|\p{S}", r"\p{Zs}+|\P{Zs}", r"\|\||\(|\)|\*", r"\p{M}+|\p{Cf}|\p{Cc}", r"[\p{Lu}\s]+|[^\p{Lu}\s]", r"'s|'t|'re| ?[\p{L}\p{M}]+", r"x{0,2}y", r"a{2,4}",
]
PARTS = ["a", "b", "c", "d", "ab", "aab", "x", "y", "A", "É", "é", "e\u0301", "字", "🦩", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u0085", "\u2028", "\ufeff", "\u200b", "1", "23", "٣", "½", ".", "..", "-", "]", "'s", "|", "(", "*", "$5", "€", "+", "ʰ", "ǅ", "/", "\0"]


def main():
    rng = random.Random(8)
    texts = ["", "aaab", "a\u0301b", "Hello  World 123!\n\n x"] + ["".join(rng.choice(PARTS) for _ in range(rng.randrange(1, 14))) for _ in range(40)]
    out = []
    for pattern in PATTERNS:
        split = lambda behavior, invert: pre_tokenizers.Split(Regex(pattern), behavior, invert)
        cases = [[[p for p, _ in split("isolated", False).pre_tokenize_str(t)], [p for p, _ in split("removed", True).pre_tokenize_str(t)]] for t in texts]
        out.append({"pattern": pattern, "isolated": [c[0] for c in cases], "matches": [c[1] for c in cases]})
    with open("patterns.json", "w", encoding="utf-8") as f:
        head = json.dumps({"made_by": "make_patterns.py", "versions": {"tokenizers": tokenizers.__version__}, "texts": texts})
        f.write(head[:-1] + ', "patterns": [\n' + ",\n".join(json.dumps(p, separators=(",", ":")) for p in out) + "\n]}\n")


if __name__ == "__main__":
    main()
