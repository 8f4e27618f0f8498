// llama.cpp loads what quantize and imatrix write, and gives the same answers: by node-llama-cpp, where that is installed
// (NODE_LLAMA_CPP names a folder that has it among its node_modules; .ci/run installs it). Answers are tokens of greedy
// search. llama.cpp rounds activations to the weights' own format and so may part from us where two tokens are nearly even:
// answers are asked for whose margins are wide, the demo model's facts.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type GGUFPair, writeGGUF } from "../../src/checkpoint/gguf_writer.ts";
import { AutoModelForCausalLM } from "../../src/generation/auto.ts";
import { imatrix } from "../../src/quantize/collect.ts";
import { quantize } from "../../src/quantize/quantize.ts";
import { vocabularyMetadata } from "../../src/quantize/vocabulary.ts";
import { AutoTokenizer, loadTokenizer } from "../../src/text/load_tokenizer.ts";
import { demo, root } from "../fixtures.ts";
import { memoryFiles } from "../repositories.ts";

/** node-llama-cpp's binding, or undefined where there is none. */
async function loadLlama(): Promise<any> {
  const require = createRequire(join(process.env.NODE_LLAMA_CPP || root, "package.json"));
  let path: string;
  try {
    path = require.resolve("node-llama-cpp");
  } catch {
    return undefined;
  }
  const { getLlama, LlamaLogLevel } = await import(pathToFileURL(path).href);
  const quiet = { logLevel: LlamaLogLevel.disabled, progressLogs: false };
  return getLlama({ gpu: false, build: "never", skipDownload: true, ...quiet });
}

// Its addon is Node's.
const llama = process.versions.bun || "Deno" in globalThis ? undefined : await loadLlama();
const folder = mkdtempSync(join(tmpdir(), "tramontane-llama-"));
test.after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await llama?.dispose();
});

const { facts, greedy } = JSON.parse(readFileSync(join(demo, "expected", "expected.json"), "utf8"));

/** Greedy tokens behind a prompt, as llama.cpp has them. */
async function answers(path: string, prompts: readonly number[][], count: number): Promise<number[][]> {
  const model = await llama.loadModel({ modelPath: path });
  const context = await model.createContext({ contextSize: 256, batchSize: 256, threads: 1, flashAttention: false });
  const sequence = context.getSequence();
  const found: number[][] = [];
  for (const prompt of prompts) {
    await sequence.clearHistory();
    const ids: number[] = [];
    for await (const id of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
      ids.push(id);
      if (ids.length === count || id === model.tokens.eos) break;
    }
    found.push(ids);
  }
  await context.dispose();
  await model.dispose();
  return found;
}

if (!llama) {
  console.log("# node-llama-cpp is not installed: what llama.cpp makes of our files is not tested");
  test("node-llama-cpp is no dependency", () => {
    const { dependencies, optionalDependencies, devDependencies } = JSON.parse(
      readFileSync(join(root, "package.json"), "utf8"),
    );
    assert.not.ok("node-llama-cpp" in { ...dependencies, ...optionalDependencies, ...devDependencies });
  });
} else {
  const tokenizer = await AutoTokenizer.from_pretrained(demo);
  const matrix = join(folder, "imatrix.gguf");
  const prompts: number[][] = facts.slice(0, 24).map(({ ask }: { ask: string }) => {
    const chat = tokenizer.apply_chat_template([{ role: "user", content: ask }], { add_generation_prompt: true });
    return [...(chat as any).input_ids.data].map(Number);
  });

  test("the F32 file's greedy answers are transformers'", async () => {
    const path = join(folder, "F32.gguf");
    await quantize(demo, path, { type: "F32" });
    // The rest is nearly even somewhere, or longer than the window, which llama.cpp does not see.
    const cases = greedy.filter(({ smallest_margin, new_ids }: any) => smallest_margin > 0.01 && new_ids.length <= 64);
    assert.is(cases.length, 7);
    const found = await answers(
      path,
      cases.map(({ input_ids }: any) => input_ids),
      64,
    );
    for (const [i, { name, new_ids }] of cases.entries()) assert.equal(found[i], new_ids, name);
  });

  test("its ids of a text are ours, special tokens as text and as tokens", async () => {
    const model = await llama.loadModel({ modelPath: join(folder, "F32.gguf"), vocabOnly: true });
    const texts = ["What is pesto made of?", "  two  spaces\n\ttab", "🦙 é ﷺ", "[INST] </s> <s>", "", "a".repeat(300)];
    for (const text of texts)
      for (const special of [false, true])
        assert.equal(
          [...model.tokenize(text, special)],
          tokenizer.encode(text, { add_special_tokens: false, split_special_tokens: !special }),
          `${JSON.stringify(text)}, ${special}`,
        );
    assert.is(model.tokens.bos, tokenizer.bos_token_id);
    assert.is(model.tokens.eos, tokenizer.eos_token_id);
    assert.is(model.fileInfo.metadata.tokenizer.chat_template, readFileSync(join(demo, "chat_template.jinja"), "utf8"));
    await model.dispose();
  });

  test("its ids of Tekken's vocabularies are ours", async () => {
    for (const name of ["tekken.json", "tokenizer.json"]) {
      const files = memoryFiles({ [name]: readFileSync(join(root, "tests", "text", "tekken_small", name)) });
      const own = await loadTokenizer(files);
      const path = join(folder, "tekken.gguf");
      const pairs = await vocabularyMetadata(files, own.vocab_size + 1);
      const parts: Uint8Array[] = [];
      const architecture: GGUFPair = ["general.architecture", "string", "llama"];
      await writeGGUF({ write: async (bytes) => void parts.push(bytes.slice()) }, [architecture, ...pairs], []);
      writeFileSync(path, Buffer.concat(parts));
      const model = await llama.loadModel({ modelPath: path, vocabOnly: true });
      // ASCII and marks that stand in one character: llama.cpp cuts others by another pattern.
      for (const text of ["What is pesto made of?", "  two\n\n\tlines ", "It's 12345.67 USD/kg", "Été", "[INST] <s>"])
        assert.equal(
          [...model.tokenize(text, false)],
          own.encode(text, { add_special_tokens: false, split_special_tokens: true }),
          `${name}: ${text}`,
        );
      assert.is(model.tokens.bos, 1);
      await model.dispose();
    }
  });

  test("the importance matrix is a GGUF that it reads", async () => {
    await using model = await AutoModelForCausalLM.from_pretrained(demo, { threads: 2 });
    const text = readFileSync(join(demo, "expected", "perplexity.txt"), "utf8");
    await imatrix(model, tokenizer, text, matrix, { context: 256, chunks: 8, dataset: "perplexity.txt" });
    const { readGgufFileInfo } = await import(
      pathToFileURL(createRequire(join(process.env.NODE_LLAMA_CPP || root, "package.json")).resolve("node-llama-cpp"))
        .href
    );
    const { metadata, tensorInfo } = await readGgufFileInfo(matrix);
    assert.is(metadata.general.type, "imatrix");
    assert.equal(
      [metadata.imatrix.datasets, metadata.imatrix.chunk_count, metadata.imatrix.chunk_size],
      [["perplexity.txt"], 8, 256],
    );
    assert.is(tensorInfo.length, 96);
  });

  for (const [type, weighed] of [
    ...(["BF16", "Q8_0", "Q6_K", "Q5_1", "Q4_0", "Q4_K_M", "Q3_K_M", "IQ4_XS", "MXFP4_MOE"] as const).map(
      (type) => [type, false] as const,
    ),
    ["Q2_K", true],
    ["IQ3_XXS", true],
    ["IQ2_M", true],
  ] as const)
    test(`${type}: ${weighed ? "with an importance matrix, " : ""}the same answers`, async () => {
      const path = join(folder, `${type}.gguf`);
      await quantize(demo, path, { type, imatrix: weighed ? matrix : undefined });
      const theirs = await answers(path, prompts, 24);
      await using model = await AutoModelForCausalLM.from_pretrained(path, { threads: 2 });
      let equal = 0;
      for (const [i, prompt] of prompts.entries()) {
        const out = await model.generate({ input_ids: prompt, max_new_tokens: 24 });
        const ours = Array.from(out.data as Int32Array).slice(prompt.length);
        if (ours.join() === theirs[i].join()) equal++;
        else console.log(`# ${type}: ${facts[i].ask}: ${tokenizer.decode(ours)} | ${tokenizer.decode(theirs[i])}`);
      }
      assert.is(equal, prompts.length, `${equal} of ${prompts.length} answers are equal`);
      rmSync(path);
    });
}

test.run();
