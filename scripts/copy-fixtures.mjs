// node scripts/copy-fixtures.mjs [FROM]: copies the fixtures that a fresh clone tests itself with from the full sets
// (../shared unless FROM says otherwise) to tests/fixtures. Each behaviour keeps a fixture, but not each size and format
// of it: the full sets take 65 MB, this selection under 20, with tests/fixtures/small, which make_small.py makes. Every folder's README says what made it, with which versions,
// and the tolerances; the scripts that made them are copied too.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const from = process.argv[2] ?? join(root, "..", "shared");
const to = join(root, "tests", "fixtures");
const LIMIT = 20e6;

/** What is copied, and what it is there for. Paths as `fixture()` of tests/fixtures.ts takes them. */
const chosen = {
  "fixtures/make_hf.py": "made hf/",
  "fixtures/hf/README.md": "tolerances",
  "fixtures/hf/base": "every output of the forward pass",
  "fixtures/hf/odd_sizes": "the same where no dimension suits a SIMD lane",
  "fixtures/hf/generation": "greedy answers, padded batches, stop tokens, processors",
  "fixtures/hf/window_8": "prompts shorter than, as long as and longer than the window, and far past it",
  "fixtures/hf/fused": "all experts of a layer in one tensor",

  "fixtures/make_gguf.py": "made gguf/",
  "fixtures/gguf/README.md": "tolerances",
  "fixtures/gguf/blocks": "dequantization of every format, bit for bit, and products",
  "fixtures/gguf/forms": "one model in every form of file that GGUF allows",
  "fixtures/gguf/bad": "files that must be refused, and files that must not",
  "fixtures/gguf/expected.json": "what quantized activations may cost, for each format",
  "fixtures/gguf/models/Q4_K_M.gguf": "a whole model of mixed formats: Q4_K, Q6_K, Q8_0",
  "fixtures/gguf/expected/Q4_K_M.safetensors": "its logits",

  "fixtures/make_gguf_iq.py": "made gguf_iq/",
  "fixtures/gguf_iq/README.md": "formulae and tolerances of the formats below 4.5 bits",
  "fixtures/gguf_iq/blocks": "the same of them: of blocks of random bytes; and the grids",

  "fixtures/make_logits.py": "made logits/",
  "fixtures/logits": "processors and warpers, chains of them, sampling, stop strings",

  "fixtures/make_lora.py": "made lora/",
  "fixtures/lora/README.md": "forms of keys, scales, tolerance",
  "fixtures/lora/base/config.json": "what the adapters are for",
  "fixtures/lora/base/model.safetensors": "what the adapters are for",
  "fixtures/lora/experts_fused": "attention, and all experts of a layer in one pair",
  "fixtures/lora/w2_and_gate_v4": "the router, and a pair for each expert",
  "fixtures/lora/head_and_embedding_lora": "head and embedding",
  "fixtures/lora/some_experts_v4": "one expert of one layer, in f16",

  "fixtures/make_cache.py": "made cache/",
  "fixtures/cache": "which keys a window shows, update by update",

  "fixtures/make_bnb.py": "made bnb/",
  "fixtures/bnb/README.md": "tolerances",
  "fixtures/bnb/blocks.json": "cases of bitsandbytes' 4-bit blocks",
  "fixtures/bnb/blocks.safetensors": "their bytes and values",
  "fixtures/bnb/int8.json": "cases of LLM.int8",
  "fixtures/bnb/int8.safetensors": "its rows and products",

  "tokenizers/make_cases.py": "made tokenizers/",
  "tokenizers/spm_to_json.py": "made the tokenizer.json files",
  "tokenizers/README.md": "which reference is the truth",
  "tokenizers/chat.json": "chat templates",
  "tokenizers/mixtral": "Mixtral's tokenizer in its four forms, with ids, decodings, streams and padding",
};

/** Blocks that are in gguf_iq, too, and the largest forms of files that smaller ones show as well. */
const leftOut = /\/gguf\/(?:blocks\/IQ4_(?:NL|XS)\.safetensors|forms\/(?:alignment_4096|trailing_bytes)\.gguf)$/;

/** Of a tokenizer's second form only what is not in the first: tests/text/sources.ts puts the model back. */
const metaspace = /\/mixtral\/tokenizer_metaspace\.json$/;
const withoutModel = (bytes) => JSON.stringify({ ...JSON.parse(bytes), model: "tokenizer.json" });

/** The tensors that are kept of files that have more than is tested. */
const cuts = [
  { file: /\/gguf_iq\/blocks\/[A-Z0-9_]+\.safetensors$/, keep: /^(__metadata__|packed|x|random_.*)$/ },
  { file: /\/gguf\/blocks\/B?F16\.safetensors$/, keep: /^(?!source$)/ },
  // Without the largest case, and values that follow from others.
  { file: /\/bnb\/blocks\.safetensors$/, keep: /^(?!(?:source\.)?many|.*\.(?:bfloat16|float16)$)/ },
];

/** A safetensors file with only some of its tensors. */
function cutTensors(bytes, keep) {
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const kept = {};
  const parts = [];
  let end = 0;
  for (const [name, entry] of Object.entries(JSON.parse(bytes.toString("utf8", 8, start)))) {
    if (!keep.test(name)) continue;
    kept[name] = entry;
    if (!entry.data_offsets) continue;
    const part = bytes.subarray(start + entry.data_offsets[0], start + entry.data_offsets[1]);
    kept[name] = { ...entry, data_offsets: [end, end + part.length] };
    parts.push(part);
    end += part.length;
  }
  const text = JSON.stringify(kept);
  const header = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, ...parts]);
}

const place = (name) => join(to, name.replace(/^fixtures\//, ""));
const bytes = (path) => {
  const stat = statSync(path);
  return stat.isDirectory() ? readdirSync(path).reduce((sum, name) => sum + bytes(join(path, name)), 0) : stat.size;
};

/** Copies the bytes only, for the originals may be write-protected: all of them, or what is kept. */
function copy(source, target) {
  if (leftOut.test(source)) return;
  if (statSync(source).isDirectory()) {
    for (const name of readdirSync(source)) copy(join(source, name), join(target, name));
  } else {
    mkdirSync(dirname(target), { recursive: true });
    const bytes = readFileSync(source);
    const cut = cuts.find(({ file }) => file.test(source));
    writeFileSync(target, cut ? cutTensors(bytes, cut.keep) : metaspace.test(source) ? withoutModel(bytes) : bytes);
  }
}

const missing = Object.keys(chosen).filter((name) => !existsSync(join(from, name)));
if (missing.length) throw new Error(`${from}: expected ${missing.join(", ")}, found none`);
for (const name of Object.keys(chosen)) rmSync(place(name), { recursive: true, force: true });
for (const name of Object.keys(chosen)) {
  copy(join(from, name), place(name));
  console.log(`${(bytes(place(name)) / 1e6).toFixed(2).padStart(6)} MB  ${name}: ${chosen[name]}`);
}
const total = bytes(to);
console.log(`${(total / 1e6).toFixed(2).padStart(6)} MB  in all`);
if (total > LIMIT) throw new Error(`tests/fixtures: expected at most ${LIMIT} bytes, found ${total}`);
