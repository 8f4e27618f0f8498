// convert: what it writes is bit for bit what transformers has (fixtures/mistral_native's and fixtures/gguf/forms' twins), or
// what numpy's mean-pooling gives (small/pooled); and the engine's logits on it are transformers', 1e-4 as in hf.test.ts.
// transformers 5.23 itself loads the folders, too, with the same logits: seen by hand.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { configJSON } from "../../src/folders/config_json.ts";
import { ggufTokenizerFiles } from "../../src/folders/gguf_tokenizer.ts";
import {
  AutoConfig,
  AutoModelForCausalLM,
  AutoTokenizer,
  CheckpointError,
  type ConvertOptions,
  type ConvertProgress,
  convert,
  InputError,
  MixtralForCausalLM,
  WriteError,
} from "../../src/index.ts";
import { fileOf, native, params } from "../checkpoint/native.ts";
import { failure } from "../failure.ts";
import { type Array_, demo, fixture, fixturesFrom, json, safetensors } from "../fixtures.ts";
import { largestDifference } from "../model/compare.ts";
import { repositoryAt } from "../repositories.ts";

const TOLERANCE = 1e-4;

const work = mkdtempSync(join(tmpdir(), "tramontane-convert-"));
test.after(() => rmSync(work, { recursive: true }));
let made = 0;
const place = () => join(work, `out${made++}`);

type Tensors = Record<string, Array_ & { dtype: string }>;

/** Every tensor of a folder, with its type. */
function tensorsOf(folder: string): Tensors {
  const files = readdirSync(folder).filter((name) => name.startsWith("model") && name.endsWith(".safetensors"));
  const all: Tensors = {};
  for (const name of files) {
    const bytes = readFileSync(join(folder, name));
    const header = JSON.parse(bytes.toString("utf8", 8, 8 + Number(bytes.readBigUInt64LE(0))));
    for (const [tensor, array] of Object.entries(safetensors(join(folder, name)).tensors))
      all[tensor] = { ...array, dtype: header[tensor].dtype };
  }
  return all;
}

const read = (folder: string, name = "config.json") => JSON.parse(readFileSync(join(folder, name), "utf8"));

/** Converts into a new folder. */
async function converted(source: string, options: ConvertOptions = {}) {
  const folder = place();
  const result = await convert(source, folder, options);
  assert.equal(result.files, readdirSync(folder).sort());
  return { ...result, folder };
}

/** Asserts that two folders have the same tensors, but for some names. */
function sameTensors(found: Tensors, expected: Tensors, but: RegExp = /^$/): void {
  const names = (tensors: Tensors) => Object.keys(tensors).sort();
  assert.equal(names(found), names(expected));
  for (const [name, { dtype, shape, data }] of Object.entries(expected)) {
    if (but.test(name)) continue;
    assert.equal([found[name].dtype, found[name].shape], [dtype, shape], name);
    assert.ok(Buffer.from(found[name].data.buffer).equals(Buffer.from(data.buffer)), `${name}: other bytes`);
  }
}

async function logitsDiffer(folder: string, input_ids: Array_, logits: Array_): Promise<number> {
  await using model = await MixtralForCausalLM.from_pretrained(folder, { threads: 1 });
  const [rows, length] = input_ids.shape;
  const ids = Array.from(input_ids.data as Int32Array, Number);
  const batch = Array.from({ length: rows }, (_, b) => ids.slice(b * length, (b + 1) * length));
  return largestDifference((await model({ input_ids: batch, use_cache: false })).logits, logits);
}

// ------------------------------------------------------------------------------------------------ mean-pooling

const pooled = fixture("small/pooled");

test("multi-head to grouped-query: numpy's means, to the bit, and transformers' logits", async () => {
  const { tensors: expected } = safetensors(join(pooled, "expected.safetensors"));
  for (const num_key_value_heads of [3, 2, 1]) {
    const { folder, changes } = await converted(pooled, { num_key_value_heads });
    assert.equal(changes, [
      `6 heads of keys and values became ${num_key_value_heads}, each the mean of ${6 / num_key_value_heads}`,
    ]);
    const tensors = tensorsOf(folder);
    sameTensors(tensors, tensorsOf(pooled), /[kv]_proj/);
    for (const name of ["k_proj", "v_proj"]) {
      const { dtype, shape, data } = tensors[`model.layers.0.self_attn.${name}.weight`];
      const { shape: rows, data: mean } = expected[`${num_key_value_heads}.${name}`];
      assert.equal([dtype, shape], ["BF16", rows]);
      const found = new Float32Array(
        Uint32Array.from(new Uint16Array(data.buffer as ArrayBuffer), (w) => w << 16).buffer,
      );
      assert.equal(found, mean, `${num_key_value_heads} heads, ${name}`);
    }
    const config = read(folder);
    assert.equal(config, { ...read(pooled), ...{ num_key_value_heads }, ...added(config) });
    const difference = await logitsDiffer(folder, expected.input_ids, expected[`${num_key_value_heads}.logits`]);
    console.log(`# ${num_key_value_heads} heads: logits differ by ${difference.toExponential(1)}`);
    assert.ok(difference <= TOLERANCE, `logits differ by ${difference}`);
  }
  // The heads of a query's group, not every third: the model of three is another than that of shuffled heads.
  assert.ok((await logitsDiffer(pooled, expected.input_ids, expected["3.logits"])) > 1e-2);
});

/** Fields that transformers writes in no case, and reads. */
const added = ({ output_attentions, output_hidden_states, return_dict }: Record<string, unknown>) => ({
  output_attentions,
  output_hidden_states,
  return_dict,
});

test("pooled again: eight heads to four to two are eight to two, where means are exact", async () => {
  const config = { num_attention_heads: 8, num_key_value_heads: 8, head_dim: 4 };
  const folder = join(work, "powers");
  mkdirSync(folder);
  const shapes = { ...read(pooled), ...config, hidden_size: 8, num_local_experts: 1, num_experts_per_tok: 1 };
  writeFileSync(join(folder, "config.json"), JSON.stringify(shapes));
  const layer = "model.layers.0";
  const sizes: Record<string, number[]> = {
    "model.embed_tokens.weight": [48, 8],
    "lm_head.weight": [48, 8],
    "model.norm.weight": [8],
    [`${layer}.input_layernorm.weight`]: [8],
    [`${layer}.post_attention_layernorm.weight`]: [8],
    [`${layer}.self_attn.q_proj.weight`]: [32, 8],
    [`${layer}.self_attn.k_proj.weight`]: [32, 8],
    [`${layer}.self_attn.v_proj.weight`]: [32, 8],
    [`${layer}.self_attn.o_proj.weight`]: [8, 32],
    [`${layer}.block_sparse_moe.gate.weight`]: [1, 8],
    [`${layer}.block_sparse_moe.experts.0.w1.weight`]: [16, 8],
    [`${layer}.block_sparse_moe.experts.0.w2.weight`]: [8, 16],
    [`${layer}.block_sparse_moe.experts.0.w3.weight`]: [16, 8],
  };
  // Small whole numbers: every mean of two, four and eight is a float32.
  const tensors = Object.entries(sizes).map(([name, shape]) => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => ((i * 37) % 101) - 50);
    return { name, shape, values };
  });
  writeFileSync(join(folder, "model.safetensors"), fileOf(tensors));
  const four = await converted(folder, { num_key_value_heads: 4 });
  const two = await converted(four.folder, { num_key_value_heads: 2 });
  const at_once = await converted(folder, { num_key_value_heads: 2 });
  sameTensors(tensorsOf(two.folder), tensorsOf(at_once.folder));
  assert.is(read(two.folder).num_key_value_heads, 2);
  // And by hand: head 1 of two is the mean of heads 4 to 7.
  const k = tensors.find(({ name }) => name.includes("k_proj"))!.values;
  const found = tensorsOf(two.folder)[`${layer}.self_attn.k_proj.weight`];
  assert.equal(found.shape, [8, 8]);
  for (let i = 0; i < 32; i++) {
    const mean = (k[128 + i] + k[160 + i] + k[192 + i] + k[224 + i]) / 4;
    assert.is(found.data[32 + i], mean);
  }
});

// ------------------------------------------------------------------------------------------------ layouts

/** fixtures/hf/base in Mistral's layout, on the disk. */
function nativeFolder(): string {
  const folder = join(work, "native");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "params.json"), JSON.stringify(params));
  writeFileSync(join(folder, "consolidated.safetensors"), fileOf(native));
  return folder;
}

test("Mistral's layout to Hugging Face's, to the bit", async () => {
  const base = fixture("fixtures/hf/base");
  const { folder, changes } = await converted(nativeFolder());
  assert.match(changes.join(), /^Mistral's layout became Hugging Face's[^,]*,[^,]*, order of rows in q and k$/);
  sameTensors(tensorsOf(folder), tensorsOf(base));
  const config = read(folder);
  assert.equal(
    [config.architectures, config.dtype, config.num_key_value_heads],
    [["MixtralForCausalLM"], "float32", 2],
  );
  assert.equal(read(folder, "generation_config.json"), { _from_model_config: true, bos_token_id: 1, eos_token_id: 2 });
  // With fewer heads at once: as Hugging Face's with fewer heads.
  const both = await converted(nativeFolder(), { num_key_value_heads: 1 });
  assert.is(both.changes.length, 2);
  const twin = await converted(base, { num_key_value_heads: 1 });
  sameTensors(tensorsOf(both.folder), tensorsOf(twin.folder));
});

if (fixturesFrom === "../shared")
  for (const name of ["old", "new", "window"])
    test(`fixtures/mistral_native/${name}`, async () => {
      const path = `fixtures/mistral_native/${name}`;
      const { folder } = await converted(fixture(`${path}/native`));
      const twin = fixture(`${path}/hf`);
      sameTensors(tensorsOf(folder), tensorsOf(twin));
      const [config, expected] = [read(folder), read(twin)];
      for (const field of [
        "rope_parameters",
        "sliding_window",
        "num_local_experts",
        "vocab_size",
        "dtype",
        "model_type",
      ])
        assert.equal(config[field], expected[field], field);
      const { tensors } = safetensors(fixture(`${path}/expected.safetensors`));
      assert.ok((await logitsDiffer(folder, tensors.input_ids, tensors.logits)) <= TOLERANCE);
    });

test("fused experts to one tensor each, in the hub's names", async () => {
  const path = "fixtures/hf/fused";
  const { folder, changes } = await converted(fixture(path));
  assert.equal(changes, ["tensors of all experts of a layer became one for each expert"]);
  const tensors = tensorsOf(folder);
  assert.ok(Object.keys(tensors).includes("model.layers.1.block_sparse_moe.experts.7.w2.weight"));
  assert.not.ok(Object.keys(tensors).some((name) => /gate_up_proj|\.mlp\./.test(name)));
  const { input_ids } = json(`${path}/inputs.json`).plain;
  const { tensors: expected } = safetensors(fixture(`${path}/expected.safetensors`));
  const ids = { shape: [input_ids.length, input_ids[0].length], data: Int32Array.from(input_ids.flat()) };
  assert.ok((await logitsDiffer(folder, ids, expected["plain.logits"])) <= TOLERANCE);
  assert.equal(await convert(folder, place()).catch(({ code, message }) => [code, message.replace(folder, "it")]), [
    "INPUT",
    "it: expected something to convert; its layout is Hugging Face's, each expert has tensors of its own, and it keeps its 2 heads of keys and values unless num_key_value_heads says fewer",
  ]);
});

test("a GGUF of plain floats, to the bit", async () => {
  const found = await converted(fixture("fixtures/gguf/forms/tiny-F32.gguf"));
  sameTensors(tensorsOf(found.folder), tensorsOf(fixture("fixtures/gguf/forms/tiny-hf")));
  assert.equal(found.files, [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
  ]);
  const [ours, theirs] = await Promise.all(
    [found.folder, fixture("fixtures/gguf/forms/tiny-F32.gguf")].map((path) => AutoTokenizer.from_pretrained(path)),
  );
  for (const text of ["the cat", "  a\n</s> <s>", "é 🍋", ""]) {
    const ids = ours.encode(text);
    assert.equal(ids, theirs.encode(text), text);
    assert.is(ours.decode(ids), theirs.decode(ids));
  }
  assert.equal([ours.bos_token_id, ours.eos_token_id, ours.unk_token_id], [1, 2, 0]);
  assert.equal(found.changes, [
    "GGUF became Hugging Face's layout: names, config, order of rows in q and k",
    "tensors of all experts of a layer became one for each expert",
  ]);
});

if (fixturesFrom === "../shared") {
  test("a GGUF's vocabulary becomes the tokenizer.json that it was made of", async () => {
    const path = fixture("models/demo/demo-Q8_0.gguf");
    const checkpoint = await openCheckpoint(await repositoryAt(path));
    await checkpoint.close();
    const made = ggufTokenizerFiles(checkpoint);
    const text = (name: string) => new TextDecoder().decode(made[name]);
    assert.equal(JSON.parse(text("tokenizer.json")), JSON.parse(readFileSync(join(demo, "tokenizer.json"), "utf8")));
    assert.is(text("chat_template.jinja"), readFileSync(join(demo, "chat_template.jinja"), "utf8"));
    const { bos_token, eos_token, unk_token } = JSON.parse(text("tokenizer_config.json"));
    assert.equal([bos_token, eos_token, unk_token], ["<s>", "</s>", "<unk>"]);
    const other = { ...checkpoint, metadata: new Map([...checkpoint.metadata, ["tokenizer.ggml.model", "gpt2"]]) };
    assert.equal(ggufTokenizerFiles(other as typeof checkpoint), {});
  });

  test("GGUF files of F32, F16 and BF16: transformers' logits; one without an output of its own", async () => {
    for (const format of ["F32", "F16", "BF16"]) {
      const { folder } = await converted(fixture(`fixtures/gguf/models/${format}.gguf`));
      const { tensors } = safetensors(fixture(`fixtures/gguf/expected/${format}.safetensors`));
      assert.ok((await logitsDiffer(folder, tensors.input_ids, tensors.logits)) <= TOLERANCE, format);
      assert.is(read(folder).dtype, { F32: "float32", F16: "float16", BF16: "bfloat16" }[format]);
    }
    const { folder } = await converted(fixture("fixtures/quantize/odd.gguf"));
    assert.is(read(folder).tie_word_embeddings, true);
    assert.not.ok("lm_head.weight" in tensorsOf(folder));
  });
}

// ------------------------------------------------------------------------------------------------ files

const every = [
  "small/combined",
  "small/bare_model",
  "small/sequence_regression",
  "small/question_answering",
  "fixtures/hf/odd_sizes",
  ...(fixturesFrom === "../shared" ? readdirSync(fixture("fixtures/hf")) : [])
    .filter((name) => !/README|fused/.test(name))
    .map((name) => `fixtures/hf/${name}`),
];

test("cut anew: every tensor and field of every class as it was", async () => {
  for (const path of every) {
    const source = fixture(path);
    for (const max_shard_size of [1e9, "20KB"]) {
      const { folder, files, bytes, changes } = await converted(source, { max_shard_size });
      assert.equal(changes, ["tensors were put in files of another size"]);
      sameTensors(tensorsOf(folder), tensorsOf(source));
      const [config, expected] = await Promise.all([folder, source].map((each) => AutoConfig.from_pretrained(each)));
      assert.equal({ ...config.to_dict(), dtype: null }, { ...expected.to_dict(), dtype: null }, path);
      assert.equal(config.architectures, expected.architectures);
      const index = files.includes("model.safetensors.index.json");
      assert.is(index, max_shard_size !== 1e9, path);
      if (index) assert.is(read(folder, "model.safetensors.index.json").metadata.total_size, bytes);
    }
  }
  assert.is(every.length, fixturesFrom === "../shared" ? 5 + 26 : 5);
});

test("the tokenizer's files, the chat template and the licence go along; the model answers", async () => {
  const source = join(work, "demo");
  cpSync(demo, source, { recursive: true });
  for (const name of ["LICENSE", "README.md", "training_args.bin"]) writeFileSync(join(source, name), name);
  const { folder, files } = await converted(source, { num_key_value_heads: 1 });
  const along = ["LICENSE", "chat_template.jinja", "generation_config.json", "tokenizer.json", "tokenizer.model"];
  assert.equal(files, [...along, "config.json", "model.safetensors", "tokenizer_config.json"].sort());
  for (const name of [...along, "tokenizer_config.json"])
    assert.ok(readFileSync(join(folder, name)).equals(readFileSync(join(source, name))), name);
  const tokenizer = await AutoTokenizer.from_pretrained(folder);
  await using model = await AutoModelForCausalLM.from_pretrained(folder, { threads: 1 });
  assert.is((await model.generate({ ...tokenizer("My"), max_new_tokens: 3, eos_token_id: null })).dims[1], 5);
  assert.is(model.config.num_key_value_heads, 1);
});

test("floats of a config are floats, which transformers asks for", () => {
  const text = configJSON({
    b: 1,
    router_jitter_noise: 0,
    rope: { rope_theta: 1e6, short_factor: [1, 1.5] },
    a: [],
    c: {},
  });
  assert.is(
    text,
    `{
  "a": [],
  "b": 1,
  "c": {},
  "rope": {
    "rope_theta": 1000000.0,
    "short_factor": [
      1.0,
      1.5
    ]
  },
  "router_jitter_noise": 0.0
}`,
  );
  const folder = fixture("fixtures/hf/base");
  const python = readFileSync(join(folder, "config.json"), "utf8");
  // Python writes an exponent of two digits at least.
  assert.is(configJSON(JSON.parse(python)).replace("0.00001", "1e-05"), python.trimEnd());
});

// ------------------------------------------------------------------------------------------------ what goes wrong

test("what cannot be is refused by name, and leaves nothing", async () => {
  const before = readdirSync(work).sort();
  const refused = async (
    Class: new (...args: never[]) => Error,
    pattern: RegExp,
    source: unknown,
    options: unknown = {},
    out: unknown = place(),
  ) => {
    const error = await failure(convert(source as string, out as string, options as ConvertOptions));
    assert.instance(error, Class, error.message);
    assert.match(error.message, pattern);
    assert.equal(readdirSync(work).sort(), before);
  };
  const some = { num_key_value_heads: 2 };
  for (const wrong of [4, 0, 7, 1.5, "2"])
    await refused(InputError, /num_key_value_heads: expected a divisor of 6, which the model has, found/, pooled, {
      num_key_value_heads: wrong,
    });
  for (const wrong of [0, -1, "5", "5 parsecs", "0KB", {}])
    await refused(InputError, /max_shard_size: expected bytes, or a text such as/, pooled, { max_shard_size: wrong });
  await refused(
    InputError,
    /max_shard_size: expected at least \d+ bytes, .* no more than 1000 files, found 40/,
    pooled,
    {
      ...some,
      max_shard_size: 40,
    },
  );
  await refused(InputError, /unknown option kv_heads/, pooled, { kv_heads: 2 });
  await refused(InputError, /nothing|expected something to convert/, pooled);
  await refused(InputError, /progress_callback: expected a function/, pooled, { ...some, progress_callback: 5 });
  await refused(InputError, /signal: expected an AbortSignal/, pooled, { ...some, signal: 5 });
  await refused(InputError, /out: expected a text/, pooled, some, "");
  await refused(CheckpointError, /found nothing/, join(work, "none"), some);
  await refused(
    CheckpointError,
    /token_embd\.weight: expected F32, F16 or BF16, which a Hugging Face folder holds as they are, found Q8_0/,
    fixture("fixtures/gguf/forms/tiny-Q8_0.gguf"),
  );
  if (fixturesFrom === "../shared")
    await refused(
      CheckpointError,
      /q_proj\.weight: expected F32, F16 or BF16.*found BNB_NF4/,
      fixture("fixtures/bnb/nf4"),
    );
  await refused(
    WriteError,
    /expected nothing, where a folder is to be made, found a folder/,
    pooled,
    some,
    join(work, "demo"),
  );
  await refused(WriteError, /found a file/, pooled, some, join(work, "demo", "LICENSE"));
  await refused(WriteError, /cannot be made/, pooled, some, join(work, "none", "out"));
});

test("progress grows to the whole; an abort, and a callback that fails, leave nothing", async () => {
  const told: ConvertProgress[] = [];
  const options = { num_key_value_heads: 1, max_shard_size: "10KB" };
  const { bytes } = await converted(pooled, { ...options, progress_callback: (each) => void told.push(each) });
  const loaded = told.map((each) => each.loaded);
  assert.equal(
    loaded,
    loaded.toSorted((a, b) => a - b),
  );
  assert.equal(told.at(-1), { status: "done", name: "", loaded: bytes, total: bytes, progress: 100 });
  assert.ok(told.length > 15 && told[0].status === "progress" && told[0].name.startsWith("model."));
  const before = readdirSync(work).sort();
  const reason = new Error("enough");
  const stop = new AbortController();
  let pieces = 0;
  const aborted = convert(pooled, place(), {
    ...options,
    signal: stop.signal,
    progress_callback: () => {
      if (++pieces === 5) stop.abort(reason);
    },
  });
  assert.is(await failure(aborted), reason);
  assert.is(pieces, 5);
  assert.equal(readdirSync(work).sort(), before);
  const thrown = new Error("no");
  for (const progress_callback of [
    () => {
      throw thrown;
    },
    async () => {
      throw thrown;
    },
  ])
    assert.is(await failure(convert(pooled, place(), { ...options, progress_callback })), thrown);
  assert.equal(readdirSync(work).sort(), before);
});

test.run();
