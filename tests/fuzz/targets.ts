// What is fuzzed: a good file, and what to do with its mutants. A target is one entry of this list.
import { readFileSync } from "node:fs";
import { outcome } from "../checkpoint/outcome.ts";
import { safetensorsFile, smallConfig, smallShapes, zeros } from "../checkpoint/safetensors.ts";
import { fixture } from "../fixtures.ts";
import { memoryFiles } from "../repositories.ts";
import { engineTargets } from "./engine_targets.ts";
import { multiplyTargets } from "./multiply_targets.ts";
import { type Draw, mutateBytes, mutateJSON } from "./mutate.ts";
import { quantizeTargets } from "./quantize_targets.ts";
import { textTargets } from "./text_targets.ts";

export interface Target {
  readonly name: string;
  readonly mutant: (draw: Draw) => Uint8Array | string;
  /** Null or a message: an ordinary outcome. Anything thrown is a bug. */
  readonly open: (mutant: Uint8Array | string) => Promise<string | null>;
  /** Bytes that one may take, where it is more than a reader's. */
  readonly memory?: number;
}

const bytesTarget = (
  name: string,
  good: Uint8Array,
  header: number,
  open: (bytes: Uint8Array) => Promise<string | null>,
): Target => ({
  name,
  mutant: (draw) => mutateBytes(good, header, draw),
  open: (mutant) => open(mutant as Uint8Array),
});

const jsonTarget = (name: string, good: string, open: (text: string) => Promise<string | null>): Target => ({
  name,
  mutant: (draw) => mutateJSON(good, draw),
  open: (mutant) => open(mutant as string),
});

const openGGUF = (bytes: Uint8Array) => outcome(memoryFiles({ "m.gguf": bytes }, "m.gguf"));

const small = zeros(smallShapes());
const headerBytes = Number(new DataView(small.buffer).getBigUint64(0, true));
const header = new TextDecoder().decode(small.subarray(8, 8 + headerBytes));
const shard = "model-00001-of-00001.safetensors";
const index = { weight_map: Object.fromEntries(Object.keys(smallShapes()).map((name) => [name, shard])) };
const config = {
  ...smallConfig,
  eos_token_id: [2],
  rope_scaling: { type: "linear", factor: 2 },
  id2label: { 0: "a", 1: "b" },
};
const generation = { temperature: 0.5, top_k: 4, eos_token_id: [2], bad_words_ids: [[1]], do_sample: true };

/** A folder with the small model, one file of it replaced. */
const openFolder = (files: Record<string, Uint8Array | string>) =>
  outcome(memoryFiles({ "config.json": JSON.stringify(smallConfig), "model.safetensors": small, ...files }));

const read = (name: string) => new Uint8Array(readFileSync(fixture(name)));

export const targets: readonly Target[] = [
  bytesTarget("gguf", read("fixtures/gguf/bad/base.gguf"), 2114, openGGUF),
  bytesTarget("gguf, one expert a tensor", read("fixtures/gguf/forms/per_expert.gguf"), 8839, openGGUF),
  bytesTarget("safetensors", small, 8 + headerBytes, (bytes) => openFolder({ "model.safetensors": bytes })),
  jsonTarget("safetensors header", header, (text) =>
    openFolder({ "model.safetensors": safetensorsFile(text, small.subarray(8 + headerBytes)) }),
  ),
  jsonTarget("index", JSON.stringify(index), (text) =>
    outcome(
      memoryFiles({
        "config.json": JSON.stringify(smallConfig),
        [shard]: small,
        "model.safetensors.index.json": text,
      }),
    ),
  ),
  jsonTarget("config", JSON.stringify(config), (text) => openFolder({ "config.json": text })),
  jsonTarget("generation config", JSON.stringify(generation), (text) => openFolder({ "generation_config.json": text })),
  ...textTargets,
  ...quantizeTargets,
  ...engineTargets,
  ...multiplyTargets,
];
