// What must be the same bits everywhere, computed in the runtime that runs this: the hash of a checkpoint's logits for builds,
// numbers of threads and ways of loading, and a sampled answer. Prints one JSON object; scripts/runtimes.mjs compares
// those of all runtimes with each other, and with hashes.json: the bits of version 0.1.0, and of formats as they came later,
// which no rebuilding may change unawares. What the logits should be is compared with the references elsewhere.
import { AutoTokenizer, type LoadOptions, MixtralForCausalLM } from "../../src/index.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { demo, fixturesFrom } from "../fixtures.ts";
import { checkpoints } from "./checkpoints.ts";
import { hashOf, sampledAnswer } from "./logits.ts";

interface Way {
  readonly simd: "plain" | "relaxed";
  readonly threads: number;
  readonly mmap: boolean;
}

/** Both builds, numbers of threads and ways of loading with each other: one checkpoint takes these, the next the others. */
const WAYS: readonly (readonly Way[])[] = [
  [
    { simd: "plain", threads: 1, mmap: true },
    { simd: "relaxed", threads: 2, mmap: false },
    { simd: "plain", threads: 3, mmap: false },
    { simd: "relaxed", threads: 5, mmap: true },
  ],
  [
    { simd: "relaxed", threads: 1, mmap: false },
    { simd: "plain", threads: 2, mmap: true },
    { simd: "relaxed", threads: 3, mmap: true },
    { simd: "plain", threads: 5, mmap: false },
  ],
];

export interface Found {
  platform: string;
  /** Why files cannot be mapped here, where they cannot. */
  unmapped?: string;
  fixtures: string;
  /** By checkpoint: the combinations that gave each hash. */
  hashes: Record<string, Record<string, string[]>>;
  /** The combinations that gave each sampled answer. */
  answers: Record<string, string[]>;
}

const platform = await currentPlatform();
const mapper = await platform.mapper();
const unmapped = "reason" in mapper ? mapper.reason : undefined;

/** Computes the same in several ways; each says how it did, and must have done as it was told. */
async function each(
  path: string,
  ways: readonly Way[],
  run: (model: MixtralForCausalLM, way: string) => Promise<void>,
  options: LoadOptions = {},
): Promise<void> {
  for (const { simd, threads, ...wanted } of ways) {
    const mmap = wanted.mmap && !unmapped;
    const way = `${simd}, ${threads} thread${threads > 1 ? "s" : ""}, ${mmap ? "mapped" : "read"}`;
    await using model = await MixtralForCausalLM.from_pretrained(path, { ...options, simd, threads, mmap });
    const info = model.info();
    if (info.simd !== simd || info.threads !== threads || info.mapped !== mmap)
      throw new Error(`${path}: expected ${way}, found ${JSON.stringify(info)}`);
    await run(model, way);
  }
}

const hashes: Found["hashes"] = {};
for (const [index, [name, path, options]] of (await checkpoints()).entries()) {
  hashes[name] = {};
  await each(
    path,
    WAYS[index % WAYS.length],
    async (model, way) => {
      (hashes[name][await hashOf(model)] ??= []).push(way);
    },
    options,
  );
}

const answers: Found["answers"] = {};
const tokenizer = await AutoTokenizer.from_pretrained(demo);
await each(demo, WAYS.flat(), async (model, way) => {
  (answers[await sampledAnswer(model, tokenizer)] ??= []).push(way);
});

console.log(
  JSON.stringify({
    platform: platform.name,
    unmapped,
    fixtures: fixturesFrom,
    hashes,
    answers,
  } satisfies Found),
);
