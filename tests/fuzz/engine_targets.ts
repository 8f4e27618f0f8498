// Mutants end to end: a checkpoint's header and weights through loading and a few tokens, and cache files into a model. What
// loads must answer, or say why it cannot; a kernel that traps is a failure, for no bad input may reach one.
import { readFileSync } from "node:fs";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import type { Repository } from "../../src/checkpoint/repository.ts";
import { EngineError, TramontaneError } from "../../src/errors.ts";
import { type LoadOptions, MixtralForCausalLM } from "../../src/index.ts";
import type { KeyValueCache } from "../../src/model/cache.ts";
import { readCache, writeCache } from "../../src/model/cache_file.ts";
import { memoryFile } from "../../src/platform/files.ts";
import { formats } from "../../src/quant/formats.ts";
import { bnbConfig, bnbFile, bnbTensors, state, stateName } from "../checkpoint/bnb_small.ts";
import { groupedFile, groupedModel, smallGrouped } from "../checkpoint/grouped_small.ts";
import { smallConfig, smallShapes, zeros } from "../checkpoint/safetensors.ts";
import { fixture } from "../fixtures.ts";
import { memoryFiles } from "../repositories.ts";
import { compose } from "../runtimes/checkpoints.ts";
import { type Draw, mutateBytes, mutateJSON } from "./mutate.ts";
import type { Target } from "./targets.ts";

/** Loads, runs four tokens at once and two more one by one, as a chunk and as single tokens take different kernels. */
async function answers(repository: Repository, threads = 1, options: LoadOptions = {}): Promise<string | null> {
  let checkpoint: Checkpoint | undefined;
  try {
    checkpoint = await openCheckpoint(repository);
    await using model = await MixtralForCausalLM.from_checkpoint(checkpoint, { threads, ...options });
    const { logits } = await model({ input_ids: [1, 2, 3, 4], use_cache: false, output_router_logits: true });
    if (logits.dims.length !== 3) throw new Error(`logits of ${logits.dims}`);
    await model.generate({ input_ids: [1, 2, 3, 4], max_new_tokens: 3 });
    return null;
  } catch (error) {
    if (error instanceof TramontaneError && !(error instanceof EngineError)) return error.message;
    throw error;
  } finally {
    await checkpoint?.close();
  }
}

const read = (name: string) => new Uint8Array(readFileSync(fixture(name)));
const q8_0 = read("fixtures/gguf/forms/tiny-Q8_0.gguf");
const mixed = read("fixtures/gguf/models/Q4_K_M.gguf");
/** A model of each format below 4.5 bits, composed of blocks. */
const below = await Promise.all(
  Object.values(formats)
    .filter(({ name }) => /^(IQ|TQ|MX)/.test(name))
    .map(async ({ name }) => new Uint8Array(readFileSync(await compose(name)))),
);

/** The small model of the tests, with values from -1 to 1. */
const small = zeros(smallShapes());
const view = new DataView(small.buffer);
for (let at = small.length - 4, i = 0; at >= 8 + Number(view.getBigUint64(0, true)); at -= 4, i++)
  view.setFloat32(at, ((i * 37) % 21) / 10 - 1, true);

/** The small model with a matrix of bitsandbytes' in 4 bits and one in int8. */
const bnb = bnbFile(bnbTensors());
const bnbHeader = 8 + Number(new DataView(bnb.buffer).getBigUint64(0, true));
const openBnb = (weights: Uint8Array, config: string = JSON.stringify(bnbConfig)) =>
  answers(memoryFiles({ "config.json": config, "model.safetensors": weights }));

/** Small models of GPTQ's, AWQ's and compressed-tensors' kinds: their config.json and their weights. */
const grouped = Object.values(smallGrouped).map((of) => {
  const { config, tensors } = groupedModel(of);
  const weights = groupedFile(tensors);
  const header = 8 + Number(new DataView(weights.buffer).getBigUint64(0, true));
  return { config: JSON.stringify(config), weights, header };
});

/** Halves and singles that are not numbers, infinite or huge, laid over scales and values alike. */
const extremes = [0x7c00, 0xfc00, 0x7e00, 0xffff, 0x7bff, 0x0001, 0x8000];
function spoilWeights(good: Uint8Array, header: number, draw: Draw): Uint8Array {
  const bytes = good.slice();
  const view = new DataView(bytes.buffer);
  const extreme = extremes[draw(extremes.length)];
  const count = 1 << draw(12);
  for (let i = 0; i < count; i++) view.setUint16(header + 2 * draw((bytes.length - header) >> 1), extreme, true);
  return bytes;
}

// One model for all cache files, and a good file of its.
const model = await MixtralForCausalLM.from_pretrained(fixture("fixtures/hf/window_8"), { threads: 1 });
const rows = [
  [1, 2, 3, 4],
  [5, 6, 7, 8],
];
const cache = (await model({ input_ids: rows })).past_key_values!;
const parts: Uint8Array[] = [];
const writer = { write: async (bytes: Uint8Array) => void parts.push(bytes.slice()) };
await writeCache(model.engine.cacheMemory, writer, cache.get_seq_length(), cache.rows);
const file = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
cache.dispose();
const header = new TextDecoder().decode(file.subarray(12, 12 + new DataView(file.buffer).getUint32(8, true)));

/** Loads a cache file and goes on from it; whatever comes of that, no cache stays. */
async function goesOn(data: Uint8Array): Promise<string | null> {
  const message = await extend(data);
  if (model.info().cache_bytes > 0) throw new Error(`${model.info().cache_bytes} bytes of caches are left`);
  return message;
}

async function extend(data: Uint8Array): Promise<string | null> {
  const memory = model.engine.cacheMemory;
  let cache: KeyValueCache | undefined;
  try {
    const { columns, rows } = await readCache(memory, memoryFile("cache", data));
    cache = model.engine.cacheOf(rows, columns);
    await model({ input_ids: rows.map(() => [1, 2, 3]), past_key_values: cache });
    return null;
  } catch (error) {
    if (error instanceof TramontaneError && !(error instanceof EngineError)) return error.message;
    throw error;
  } finally {
    cache?.dispose();
  }
}

// One model for all adapters, and two good ones: of each expert, and of head and embedding.
const adapted = await MixtralForCausalLM.from_pretrained(fixture("fixtures/lora/base"), { threads: 2 });
const adapters = ["w2_and_gate_v4", "head_and_embedding_lora"].map((name) => ({
  config: readFileSync(fixture(`fixtures/lora/${name}/adapter_config.json`), "utf8"),
  weights: read(`fixtures/lora/${name}/adapter_model.safetensors`),
}));
const headerOf = (weights: Uint8Array) => 8 + Number(new DataView(weights.buffer).getBigUint64(0, true));

/** Loads an adapter, computes with it, and deletes it; whatever comes of that, none stays. */
async function adapts(config: Uint8Array | string, weights: Uint8Array): Promise<string | null> {
  const message = await compute(memoryFiles({ "adapter_config.json": config, "adapter_model.safetensors": weights }));
  await adapted.delete_adapter(adapted.active_adapters());
  if (adapted.info().adapters.length > 0) throw new Error("an adapter is left");
  return message;
}

async function compute(adapter: Repository): Promise<string | null> {
  try {
    await adapted.engine.adapters.loadFrom(adapter, {});
    await adapted({ input_ids: [[1, 2, 3, 4]], use_cache: false });
    await adapted.generate({ input_ids: [1, 2, 3], max_new_tokens: 2 });
    return null;
  } catch (error) {
    if (error instanceof TramontaneError && !(error instanceof EngineError)) return error.message;
    throw error;
  }
}

/** Bun counts whole WebAssembly memories, of which a small model touches a few pages; V8 counts none. */
const memory = 2 ** 31;

export const engineTargets: readonly Target[] = [
  {
    name: "run: GGUF's header",
    memory,
    mutant: (draw) => mutateBytes(q8_0, 9000, draw),
    open: (mutant) => answers(memoryFiles({ "m.gguf": mutant }, "m.gguf")),
  },
  {
    name: "run: Q8_0 and F32 weights",
    memory,
    mutant: (draw) => spoilWeights(q8_0, 12000, draw),
    open: (mutant) => answers(memoryFiles({ "m.gguf": mutant }, "m.gguf"), 2),
  },
  {
    name: "run: Q4_K and Q6_K weights",
    memory,
    mutant: (draw) => spoilWeights(mixed, 60000, draw),
    open: (mutant) => answers(memoryFiles({ "m.gguf": mutant }, "m.gguf")),
  },
  {
    name: "run: weights below 4.5 bits",
    memory,
    mutant: (draw) => spoilWeights(below[draw(below.length)], 4096, draw),
    open: (mutant) => answers(memoryFiles({ "m.gguf": mutant }, "m.gguf")),
  },
  {
    name: "run: config.json",
    memory,
    mutant: (draw) => mutateJSON(JSON.stringify({ ...smallConfig, sliding_window: 4, rope_theta: 10000 }), draw),
    open: (mutant) => answers(memoryFiles({ "config.json": mutant, "model.safetensors": small })),
  },
  {
    name: "run: bitsandbytes' tensors",
    memory,
    mutant: (draw) => (draw(3) ? mutateBytes(bnb, bnbHeader, draw) : spoilWeights(bnb, bnbHeader, draw)),
    open: (mutant) => openBnb(mutant as Uint8Array),
  },
  {
    name: "run: bitsandbytes' quant_state",
    memory,
    mutant: (draw) => mutateJSON(JSON.stringify(state), draw),
    open(mutant) {
      const bytes = new TextEncoder().encode(mutant as string);
      return openBnb(bnbFile({ ...bnbTensors(), [stateName]: { dtype: "U8", shape: [bytes.length], bytes } }));
    },
  },
  {
    name: "run: bitsandbytes' config",
    memory,
    mutant: (draw) => mutateJSON(JSON.stringify(bnbConfig), draw),
    open: (mutant) => openBnb(bnb, mutant as string),
  },
  ...grouped.flatMap(({ config, weights, header }, i): Target[] => {
    const kind = Object.keys(smallGrouped)[i];
    return [
      {
        name: `run: ${kind} tensors`,
        memory,
        mutant: (draw) => (draw(3) ? mutateBytes(weights, header, draw) : spoilWeights(weights, header, draw)),
        open: (mutant) => answers(memoryFiles({ "config.json": config, "model.safetensors": mutant })),
      },
      {
        name: `run: ${kind} config`,
        memory,
        mutant: (draw) => mutateJSON(config, draw),
        open: (mutant) => answers(memoryFiles({ "config.json": mutant, "model.safetensors": weights })),
      },
    ];
  }),
  {
    name: "run: weights quantized while they load",
    memory,
    mutant: (draw) => spoilWeights(small, small.length - 200, draw),
    open: (mutant) =>
      answers(memoryFiles({ "config.json": JSON.stringify(smallConfig), "model.safetensors": mutant }), 1, {
        quantization_config: {
          load_in_8bit: (mutant as Uint8Array).at(-1)! % 2 === 0,
          load_in_4bit: (mutant as Uint8Array).at(-1)! % 2 === 1,
          bnb_4bit_use_double_quant: true,
        },
      }),
  },
  {
    name: "adapter",
    memory,
    mutant: (draw) => mutateBytes(adapters[0].weights, headerOf(adapters[0].weights), draw),
    open: (mutant) => adapts(adapters[0].config, mutant as Uint8Array),
  },
  {
    name: "adapter's values",
    memory,
    mutant: (draw) => spoilWeights(adapters[1].weights, headerOf(adapters[1].weights), draw),
    open: (mutant) => adapts(adapters[1].config, mutant as Uint8Array),
  },
  {
    name: "adapter_config.json",
    memory,
    mutant: (draw) => mutateJSON(adapters[1].config, draw),
    open: (mutant) => adapts(mutant, adapters[1].weights),
  },
  {
    name: "cache",
    memory,
    mutant: (draw) => mutateBytes(file, 12 + header.length, draw),
    open: (mutant) => goesOn(mutant as Uint8Array),
  },
  {
    name: "cache's header",
    memory,
    mutant: (draw) => {
      const json = new TextEncoder().encode(mutateJSON(header, draw));
      const whole = Buffer.concat([file.subarray(0, 12), json, file.subarray(12 + header.length)]);
      whole.writeUInt32LE(json.length, 8);
      return new Uint8Array(whole);
    },
    open: (mutant) => goesOn(mutant as Uint8Array),
  },
];
