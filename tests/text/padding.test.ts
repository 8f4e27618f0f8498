// Padding and truncation against transformers, and what the call gives back.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InputError, TokenizerError } from "../../src/errors.ts";
import { Tensor } from "../../src/tensor.ts";
import { truncate } from "../../src/text/padding.ts";
import { json } from "../fixtures.ts";
import { forms, sources } from "./sources.ts";

for (const c of json("tokenizers/mixtral/pad.json").cases) {
  test(c.name, () => {
    const tokenizers = c.form === "legacy" ? Object.values(sources) : [forms.metaspace_first];
    for (const tokenizer of tokenizers) {
      tokenizer.pad_token = c.pad_token;
      tokenizer.padding_side = c.padding_side;
      tokenizer.truncation_side = c.truncation_side;
      const call = () => tokenizer(c.texts, { ...c.options, text_pair: c.pairs, return_tensor: false });
      if (c.error)
        assert.throws(call, (error: unknown) => error instanceof InputError || error instanceof TokenizerError);
      else assert.equal(call(), c.expected);
    }
  });
}

test("the sides can be given for one call", () => {
  const tokenizer = forms.legacy;
  tokenizer.pad_token = "</s>";
  tokenizer.padding_side = tokenizer.truncation_side = "right";
  const { input_ids, attention_mask } = tokenizer(["a", "a b c d"], {
    padding: true,
    truncation: true,
    max_length: 3,
    padding_side: "left",
    truncation_side: "left",
  });
  assert.equal(input_ids.tolist(), [
    [2, 1, 264],
    [1, 277, 281],
  ]);
  assert.equal(attention_mask.tolist(), [
    [0, 1, 1],
    [1, 1, 1],
  ]);
});

test("a pair that is cut to an odd room: the longer text has the odd token, of equal ones the second", () => {
  // As tokenizers 0.23 does it (longest_first).
  for (const [first, second, room, lengths] of [
    [10, 9, 7, [4, 3]],
    [9, 10, 7, [3, 4]],
    [10, 10, 7, [3, 4]],
    [10, 10, 8, [4, 4]],
    [10, 2, 7, [5, 2]],
    [3, 10, 7, [3, 4]],
    [4, 10, 7, [3, 4]],
    [10, 3, 1, [1, 0]],
  ] as const) {
    const [a, b] = [first, second].map((length) => Array.from({ length }, (_, i) => i));
    const cut = truncate(a, b, room, "longest_first", "right");
    assert.equal(
      cut.map((ids) => ids!.length),
      lengths,
      `${first} and ${second} to ${room}`,
    );
  }
});

test("a text is a row of an int32 tensor, an array without return_tensor", () => {
  const { input_ids, attention_mask } = forms.legacy("Hello world");
  assert.ok(input_ids instanceof Tensor && attention_mask instanceof Tensor);
  assert.is(input_ids.type, "int32");
  assert.equal(input_ids.dims, [1, 3]);
  assert.equal(input_ids.tolist(), [[1, 22557, 1526]]);
  assert.equal(attention_mask.tolist(), [[1, 1, 1]]);
  assert.equal(forms.legacy("Hello world", { return_tensor: false }), {
    input_ids: [1, 22557, 1526],
    attention_mask: [1, 1, 1],
  });
  assert.equal(forms.legacy(["Hello world"], { return_tensor: false }).input_ids, [[1, 22557, 1526]]);
  assert.equal(forms.legacy([]).input_ids.dims, [0, 0]);
});

test("rows of different lengths are no tensor", () => {
  assert.throws(
    () => forms.legacy(["a", "a b"]),
    (error: unknown) => error instanceof InputError && /text\[1\] has 3 ids, text\[0\] has 2/.test(error.message),
  );
});

test("wrong options are refused by name", () => {
  const tokenizer = forms.legacy as unknown as ((...args: unknown[]) => unknown) & { pad_token: string };
  for (const options of [
    { padding: "left" },
    { truncation: 5 },
    { max_length: -1 },
    { max_length: 1.5 },
    { pad_to_multiple_of: 0 },
  ])
    assert.throws(
      () => tokenizer("a", options),
      (error: unknown) => error instanceof InputError && error.message.startsWith(Object.keys(options)[0]),
    );
  assert.throws(
    () => tokenizer(5),
    (error: unknown) => error instanceof InputError,
  );
  assert.throws(
    () => tokenizer(["a", null]),
    (error: unknown) => error instanceof InputError,
  );
  assert.throws(
    () => tokenizer(["a"], { text_pair: [] }),
    (error: unknown) => error instanceof InputError,
  );
  assert.throws(
    () => tokenizer("a", { truncation: true, max_length: 0 }),
    (error: unknown) => error instanceof InputError,
  );
  assert.throws(
    () => (tokenizer.pad_token = "<pad>"),
    (error: unknown) => error instanceof TokenizerError && /"<pad>" is no token/.test(error.message),
  );
});

test.run();
