// Hostile safetensors, indexes and configs: each is refused by an error that names what is wrong, and files are closed.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readSafetensors } from "../../src/checkpoint/safetensors.ts";
import { memoryFiles, repositoryAt } from "../repositories.ts";
import { outcome } from "./outcome.ts";
import { safetensorsFile as file, smallConfig, smallShapes, zeros } from "./safetensors.ts";

const f32 = (shape: unknown, ...data_offsets: unknown[]) => ({ dtype: "F32", shape, data_offsets });

/** What is wrong, the file, what the error must say. */
const hostile: [string, Uint8Array, RegExp][] = [
  ["empty", new Uint8Array(0), /too short/],
  ["seven bytes", new Uint8Array(7), /too short/],
  ["no header", file("", 0), /header: expected JSON/],
  ["length 2^64-1", file("{}", 0, 2n ** 64n - 1n), /header claims 18446744073709552000 bytes/],
  ["length 2^63", file("{}", 0, 2n ** 63n), /header claims/],
  ["length beyond the file", file("{}", 0, 3n), /header claims 3 bytes, but the file ends after 10/],
  ["no JSON", file("{,}"), /header: expected JSON/],
  ["a list", file("[]"), /expected a JSON object, found \[\]/],
  ["null", file("null"), /expected a JSON object, found null/],
  ["cut JSON", file('{"a":{"dtype":"F32"'), /header: expected JSON/],
  ["not UTF-8", file('{"a\u00e9":1}').map((b) => (b === 0xc3 ? 0xff : b)), /not UTF-8/],
  ["nested 100,000 deep", file(`{"a":${"[".repeat(1e5)}${"]".repeat(1e5)}}`), /nested deeper/],
  ["nested objects", file(`${'{"a":'.repeat(1e5)}1${"}".repeat(1e5)}`), /nested deeper/],
  [
    "a tensor twice",
    file(
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
      8,
    ),
    /"a" stands twice/,
  ],
  [
    "twice, one escaped",
    file(
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
      8,
    ),
    /"a" stands twice/,
  ],
  [
    "shape twice",
    file('{"a":{"dtype":"F32","shape":[1],"shape":[2],"data_offsets":[0,4]}}', 4),
    /"shape" stands twice/,
  ],
  ["an entry that is no object", file({ a: 7 }), /a: expected an object/],
  ["an entry that is null", file({ a: null }), /a: expected an object/],
  ["no dtype", file({ a: { shape: [1], data_offsets: [0, 4] } }, 4), /a: expected a dtype/],
  [
    "an unknown dtype",
    file({ a: { dtype: "F33", shape: [1], data_offsets: [0, 4] } }, 4),
    /a: expected a dtype.*found "F33"/,
  ],
  [
    "a dtype of the prototype",
    file({ a: { dtype: "constructor", shape: [1], data_offsets: [0, 4] } }, 4),
    /a: expected a dtype/,
  ],
  ["a shape that is no list", file({ a: f32(4, 0, 16) }, 16), /a: expected a shape/],
  ["a negative dimension", file({ a: f32([-1], 0, 4) }, 4), /a: expected a shape/],
  ["a fraction", file({ a: f32([1.5], 0, 6) }, 6), /a: expected a shape/],
  ["a string", file({ a: f32(["1"], 0, 4) }, 4), /a: expected a shape/],
  ["2^53 values", file({ a: f32([2 ** 53], 0, 4) }, 4), /a: expected a shape/],
  ["a product of 2^64", file({ a: f32([2 ** 32, 2 ** 32], 0, 0) }), /overflow/],
  ["a product of 2^62 bytes", file({ a: f32([2 ** 30, 2 ** 30], 0, 4) }, 4), /overflow/],
  ["a shape larger than its bytes", file({ a: f32([3], 0, 8) }, 8), /a: expected 12 bytes for F32 \[3\], found 8/],
  ["one offset", file({ a: f32([1], 0) }, 4), /data_offsets/],
  ["three offsets", file({ a: f32([1], 0, 4, 8) }, 8), /data_offsets/],
  ["offsets reversed", file({ a: f32([1], 4, 0) }, 4), /data_offsets/],
  ["a negative offset", file({ a: f32([1], -4, 0) }, 4), /data_offsets/],
  ["an offset of 2^53", file({ a: f32([1], 2 ** 53, 2 ** 53 + 4) }, 4), /data_offsets/],
  ["an offset as text", file({ a: f32([1], "0", 4) }, 4), /data_offsets/],
  ["beyond the data", file({ a: f32([2], 0, 8) }, 4), /a: expected data_offsets within the 4 bytes/],
  ["overlap", file({ a: f32([2], 0, 8), b: f32([2], 4, 12) }, 12), /b: .*overlap/],
  ["the same bytes twice", file({ a: f32([1], 0, 4), b: f32([1], 0, 4) }, 4), /b: .*overlap/],
  ["a gap", file({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12), /b: .*gap/],
  ["a gap at the start", file({ a: f32([1], 4, 8) }, 8), /a: .*gap/],
  ["bytes at the end", file({ a: f32([1], 0, 4) }, 9), /5 bytes belong to no tensor/],
  ["metadata that is a list", file({ __metadata__: [] }), /__metadata__: expected an object/],
  ["metadata of numbers", file({ __metadata__: { a: 1 } }), /__metadata__ a: expected a string/],
];

test("hostile safetensors are refused, each for its reason", async () => {
  for (const [what, bytes, message] of hostile) {
    const repository = memoryFiles({ "config.json": JSON.stringify(smallConfig), "model.safetensors": bytes });
    const said = await outcome(repository);
    assert.ok(said !== null, `${what}: opened`);
    assert.match(said!, message, `${what}: ${said}`);
    assert.is(repository.counts.opened, repository.counts.closed, what);
    assert.ok(repository.counts.largest <= bytes.length, what);
  }
  console.log(`# ${hostile.length} hostile safetensors refused`);
});

test("unusual safetensors are read", async () => {
  const read = async (bytes: Uint8Array) => readSafetensors(await memoryFiles({ f: bytes }).open("f"));
  const one = (await read(file(`${JSON.stringify({ a: f32([], 0, 4) })}   `, 4))).entries;
  assert.equal([one[0].shape, one[0].bytes], [[], 4], "a scalar, a header padded with spaces");
  const empty = (await read(file({ b: f32([1], 0, 4), a: f32([0, 7], 0, 0) }, 4))).entries;
  assert.equal(
    empty.map((e) => e.bytes),
    [4, 0],
    "a tensor of no values",
  );
  assert.is((await read(file("{}"))).entries.length, 0);
  const proto = await read(
    file('{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"__metadata__":{"__proto__":"x"}}', 4),
  );
  assert.is(proto.entries[0].name, "__proto__");
  assert.is(proto.metadata.get("__proto__"), "x");
});

test("a header of many megabytes takes time in proportion", async () => {
  // An unfinished string of escaped quotes: quadratic for a careless scanner.
  const start = performance.now();
  const bytes = file(`{"${'\\"'.repeat(4e6)}`);
  const said = await outcome(memoryFiles({ "config.json": "{}", "model.safetensors": bytes }));
  assert.match(said!, /expected JSON/);
  const ms = performance.now() - start;
  assert.ok(ms < 2000, `${ms} ms`);
  console.log(`# 8 MB of hostile JSON refused in ${ms.toFixed(0)} ms`);
});

/** A small model's files, with changes: null takes one away. */
const model = (changes: Record<string, Uint8Array | string | null> = {}) => {
  const files = {
    "config.json": JSON.stringify(smallConfig),
    "model.safetensors": zeros(smallShapes()),
    ...changes,
  };
  return memoryFiles(Object.fromEntries(Object.entries(files).filter(([, v]) => v !== null)) as Record<string, string>);
};

test("shapes, types and absence of each tensor are checked", async () => {
  assert.is(await outcome(model()), null);
  for (const name of Object.keys(smallShapes())) {
    const { [name]: shape, ...rest } = smallShapes();
    const wrong = [...shape].reverse().map((n) => n + 1);
    const expected = `[${shape.join(", ")}]`;
    assert.is(
      await outcome(model({ "model.safetensors": zeros({ ...rest, [name]: wrong }) })),
      `${name}: expected ${expected}, found F32 [${wrong.join(", ")}] in model.safetensors`,
    );
    assert.is(
      await outcome(model({ "model.safetensors": zeros(rest) })),
      `${name}: missing; expected ${expected} in /m`,
    );
    assert.is(
      await outcome(model({ "model.safetensors": zeros(smallShapes(), { [name]: "I8" }) })),
      `${name}: expected F32, F16 or BF16 ${expected}, found I8 ${expected} in /m`,
    );
  }
});

test("unknown tensors of any type are ignored", async () => {
  const shapes = {
    ...smallShapes(),
    "model.layers.0.self_attn.rotary_emb.inv_freq": [1],
    position_ids: [3],
    "score.weight": [2, 4],
  };
  assert.is(await outcome(model({ "model.safetensors": zeros(shapes, { position_ids: "I64" }) })), null);
});

const shard = "model-00001-of-00002.safetensors";
const other = "model-00002-of-00002.safetensors";

/** The small model in two shards, with the index changed. */
function sharded(
  change: (map: Record<string, unknown>) => unknown,
  changes: Record<string, Uint8Array | string | null> = {},
) {
  const names = Object.keys(smallShapes());
  const map = Object.fromEntries(names.map((name, i) => [name, i < 9 ? shard : other]));
  const part = (which: string) =>
    zeros(Object.fromEntries(Object.entries(smallShapes()).filter(([name]) => map[name] === which)));
  return model({
    "model.safetensors": null,
    [shard]: part(shard),
    [other]: part(other),
    "model.safetensors.index.json": JSON.stringify({ metadata: {}, weight_map: change(map) }),
    ...changes,
  });
}

test("indexes", async () => {
  assert.is(await outcome(sharded((map) => map)), null);
  // As old files have it: what no Mixtral needs may be promised in vain.
  const stale = "model.layers.0.self_attn.rotary_emb.inv_freq";
  assert.is(await outcome(sharded((map) => ({ ...map, [stale]: shard }))), null);
  const head = "lm_head.weight";
  const bad: [string, ReturnType<typeof sharded>, RegExp][] = [
    [
      "up",
      sharded((map) => ({ ...map, [head]: "../secret.safetensors" })),
      /lm_head.weight: expected the name of a .safetensors file/,
    ],
    ["down", sharded((map) => ({ ...map, [head]: `sub/${shard}` })), /expected the name of a .safetensors/],
    ["absolute", sharded((map) => ({ ...map, [head]: "/etc/x.safetensors" })), /expected the name of a .safetensors/],
    ["a drive", sharded((map) => ({ ...map, [head]: "c:\\x.safetensors" })), /expected the name of a .safetensors/],
    ["backslash", sharded((map) => ({ ...map, [head]: "..\\x.safetensors" })), /expected the name of a .safetensors/],
    ["a zero byte", sharded((map) => ({ ...map, [head]: "x\0.safetensors" })), /expected the name of a .safetensors/],
    [
      "a URL",
      sharded((map) => ({ ...map, [head]: "https://x.y/z.safetensors" })),
      /expected the name of a .safetensors/,
    ],
    [
      "another kind of file",
      sharded((map) => ({ ...map, [head]: "pytorch_model.bin" })),
      /expected the name of a .safetensors/,
    ],
    ["a number", sharded((map) => ({ ...map, [head]: 1 })), /found 1/],
    ["a shard that is not there", sharded((map) => map, { [other]: null }), /00002-of-00002.safetensors: missing/],
    [
      "a tensor of the model that no shard has",
      sharded((map) => map, { [other]: zeros({ a: [1] }) }),
      /: expected F32, F16 or BF16 \[.*\], found nothing in model-00002.*, where model.safetensors.index.json has it in \/m/,
    ],
    [
      "a tensor in the other shard",
      sharded((map) => ({ ...map, [head]: other })),
      /lm_head.weight: expected in .*00002.*found in .*00001/,
    ],
    [
      "a tensor in both",
      sharded((map) => map, { [other]: zeros(smallShapes()) }),
      /stands twice: in .*00001.* and in .*00002/,
    ],
    ["no map", sharded(() => undefined), /weight_map: expected an object/],
    ["a list", sharded(() => []), /weight_map: expected an object/],
    ["an empty map", sharded(() => ({})), /weight_map: expected tensors, found none/],
    [
      "2000 files",
      sharded(() => Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`t${i}`, `${i}.safetensors`]))),
      /at most 1000 files/,
    ],
    ["no JSON", sharded((map) => map, { "model.safetensors.index.json": "{" }), /expected JSON/],
    ["a broken second shard", sharded((map) => map, { [other]: new Uint8Array(3) }), /too short/],
  ];
  for (const [what, repository, message] of bad) {
    const said = await outcome(repository);
    assert.ok(said !== null, `${what}: opened`);
    assert.match(said!, message, `${what}: ${said}`);
    assert.is(repository.counts.opened, repository.counts.closed, what);
  }
  console.log(`# ${bad.length} hostile indexes refused`);
});

test("configs beside them", async () => {
  const config = (change: object) => model({ "config.json": JSON.stringify({ ...smallConfig, ...change }) });
  const bad: [ReturnType<typeof model>, RegExp][] = [
    [model({ "config.json": null }), /config.json: missing/],
    [model({ "config.json": "" }), /config.json: expected JSON/],
    [model({ "config.json": "[]" }), /config.json: expected a JSON object/],
    [model({ "config.json": `{"a":${"[".repeat(1e5)}` }), /nested deeper/],
    [model({ "config.json": '{"vocab_size":5,"vocab_size":6}' }), /"vocab_size" stands twice/],
    [model({ "config.json": `"${"x".repeat(2 ** 20)}"` }), /config.json/],
    [config({ model_type: "llama" }), /model_type: expected "mixtral" or "mistral", found "llama" in \/m\/config.json/],
    [config({ num_hidden_layers: 2 }), /model.layers.1.* missing/],
    [config({ num_hidden_layers: 1e9 }), /num_hidden_layers: expected an integer of 1 to 1024/],
    [config({ quantization_config: { quant_method: "hqq" } }), /quant_method "hqq"/],
    [config({ quantization_config: { quant_method: "fp8" } }), /quant_method "fp8"/],
    [
      model({ "generation_config.json": '{"top_k":"many"}' }),
      /top_k: expected .* found "many" in \/m\/generation_config.json/,
    ],
  ];
  for (const [repository, message] of bad) {
    const said = await outcome(repository);
    assert.match(said ?? "opened", message);
    assert.is(repository.counts.opened, repository.counts.closed);
  }
});

test("a config passed as an option stands in for the file", async () => {
  assert.is(await outcome(model({ "config.json": null }), { config: smallConfig }), null);
  assert.match(
    (await outcome(model(), { config: { ...smallConfig, vocab_size: 6 } }))!,
    /embed_tokens.weight: expected \[6, 4\], found F32 \[5, 4\]/,
  );
  assert.match((await outcome(model(), { config: { vocab_size: "6" } }))!, /vocab_size: .* in options.config/);
});

test("folders and files that are no checkpoint", async () => {
  const gguf = new Uint8Array(4);
  const cases: [Record<string, Uint8Array>, string | undefined, RegExp][] = [
    [{}, undefined, /^\/m: expected model.safetensors.*found none/],
    [{ "a.txt": gguf }, undefined, /expected model.safetensors.*found none/],
    [{ "pytorch_model.bin": gguf }, undefined, /save the model as safetensors/],
    [{ "a.gguf": gguf, "b.gguf": gguf }, undefined, /expected one GGUF, found 2/],
    [{ "x-00002-of-00003.gguf": gguf }, "x-00002-of-00003.gguf", /^\/m\/x-00001-of-00003.gguf: missing/],
    [{ "x-00004-of-00003.gguf": gguf }, "x-00004-of-00003.gguf", /expected a part/],
    [{ "x-00001-of-99999.gguf": gguf }, "x-00001-of-99999.gguf", /expected a part/],
    [{ "model.safetensors": gguf }, "model.safetensors", /expected a folder/],
  ];
  for (const [files, file, message] of cases)
    assert.match((await outcome(memoryFiles(files, file))) ?? "opened", message);
});

test("symbolic links on disk: followed as the hub's cache needs, and refused where they lead nowhere", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-links-"));
  try {
    const made = (name: string) => {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, "config.json"), JSON.stringify(smallConfig));
      return join(folder, name);
    };
    writeFileSync(join(folder, "blob"), zeros(smallShapes()));
    symlinkSync(join("..", "blob"), join(made("good"), "model.safetensors"));
    assert.is(await outcome(await repositoryAt(join(folder, "good"))), null);
    symlinkSync("nowhere", join(made("dangling"), "model.safetensors"));
    symlinkSync("model.safetensors", join(made("loop"), "model.safetensors"));
    mkdirSync(join(made("folder"), "model.safetensors"));
    for (const name of ["dangling", "loop", "folder"])
      assert.ok((await outcome(await repositoryAt(join(folder, name)))) !== null, name);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
