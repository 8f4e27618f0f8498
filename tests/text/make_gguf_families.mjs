// Writes gguf_families.json: what llama.cpp makes of the vocabularies and texts of gguf_families.ts.
// Run: node tests/text/make_gguf_families.mjs FOLDER, after `npm run build:ts`; FOLDER has node-llama-cpp 3.22.1 (llama.cpp
// v0.5.0) among its node_modules. Special tokens are parsed in the texts. For each vocabulary: which ids are bos and eos
// (null where node-llama-cpp does not tell, as the token is no control token) and whether they are put around a text, all
// ids that end an answer (llama_vocab_is_eog), and the ids of each text, separated by spaces.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { writeGGUF } from "../../dist/src/checkpoint/gguf_writer.js";
import { families } from "../../dist/tests/text/gguf_families.js";

const require = createRequire(join(resolve(process.argv[2]), "package.json"));
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(require.resolve("node-llama-cpp")).href);
const llama = await getLlama({ gpu: false, build: "never", skipDownload: true, logLevel: LlamaLogLevel.disabled, progressLogs: false });
const folder = mkdtempSync(join(tmpdir(), "families-"));
const known = (id) => (id === -1 || id === null ? null : id);
const found = {};
for (const { name, pairs, tokens, texts } of families()) {
  const path = join(folder, "vocabulary.gguf");
  const parts = [];
  await writeGGUF({ write: async (bytes) => void parts.push(bytes.slice()) }, pairs, []);
  writeFileSync(path, Buffer.concat(parts));
  if (process.env.VERBOSE) console.error(name);
  const model = new llama._bindings.AddonModel(path, { addonExports: llama._bindings, vocabOnly: true, gpuLayers: 0, useMmap: true });
  if (!(await model.init())) throw new Error(`${name}: llama.cpp refuses it`);
  found[name] = {
    bos: known(model.tokenBos()),
    eos: known(model.tokenEos()),
    around: [model.shouldPrependBosToken(), model.shouldAppendEosToken()],
    eog: tokens.flatMap((_, id) => (model.isEogToken(id) ? [id] : [])),
    ids: texts.map((text) => model.tokenize(text, true).join(" ")),
  };
  await model.dispose();
}
rmSync(folder, { recursive: true });
const lines = Object.entries(found).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
const head = '"made_by":"make_gguf_families.mjs","versions":{"llama.cpp":"v0.5.0","node-llama-cpp":"3.22.1"}';
writeFileSync(new URL("gguf_families.json", import.meta.url), `{${head},"families":{\n${lines.join(",\n")}\n}}\n`);
console.log(`${lines.length} vocabularies, ${Object.values(found).reduce((n, { ids }) => n + ids.length, 0)} texts`);
await llama.dispose();
