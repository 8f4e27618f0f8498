"""Writes pieces.json: small SentencePiece models of other settings than Mixtral's, and what SentencePiece makes of texts.

Run in this folder: python make_pieces.py (sentencepiece 0.2.1). `model` is the model file in base 64. Literals of
control tokens do not stand in the texts: SentencePiece spells them out, this project does not. Compared exactly.
"""
import base64
import io
import json
import random

import sentencepiece

SETTINGS = {
    "bytes": {"byte_fallback": True},
    "no bytes": {},
    "no dummy prefix": {"byte_fallback": True, "add_dummy_prefix": False},
    "user-defined": {"byte_fallback": True, "user_defined_symbols": ["<sep>", "ab", "▁of▁", "é", "<<"]},
    "control, no bos": {"byte_fallback": True, "control_symbols": ["<call>"], "bos_id": -1},
}
PARTS = ["<sep>", "ab", "a", "b", " of ", "of", "é", "<", "<<", "<<<", " ", "   ", "▁", "salt", " pepper", "the ", "字", "🦩", "\n", "s", "z", "Salt", "peppers"]


def main():
    sentences = ["salt and pepper of the sea", "the pepper of the hills", "abba ab of ab", "salted peppers, pepper and salt <sep> of <sep>", "a  of  the  sea é"] * 40
    out = {"made_by": "make_pieces.py", "versions": {"sentencepiece": sentencepiece.__version__}, "models": {}}
    for name, settings in SETTINGS.items():
        rng = random.Random(name)
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(sentences), model_writer=model, model_type="bpe", vocab_size=360 if "byte_fallback" in settings else 90,
                                                 normalization_rule_name="identity", remove_extra_whitespaces=False, hard_vocab_limit=False, allow_whitespace_only_pieces=True, minloglevel=2, **settings)
        sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        texts = ["", " ", *sentences[:5]] + ["".join(rng.choice(PARTS) for _ in range(rng.randrange(1, 14))) for _ in range(60)]
        out["models"][name] = {"model": base64.b64encode(model.getvalue()).decode(), "bos_id": sp.bos_id(), "eos_id": sp.eos_id(), "size": sp.get_piece_size(),
                               "cases": [{"text": t, "ids": sp.encode(t)} for t in texts]}
    with open("pieces.json", "w", encoding="utf-8") as f:
        f.write(json.dumps(out, separators=(",", ":")).replace('{"text"', '\n{"text"') + "\n")


if __name__ == "__main__":
    main()
