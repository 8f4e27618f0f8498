// "auto": which models have all their experts in memory, and where the system's free memory is too little for that, how
// much of it they get; what Linux says is free; reads past the system's cache.
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ModelShape } from "../../src/config/shape.ts";
import { InputError, type LoadOptions, MixtralForCausalLM, type ModelInfo } from "../../src/index.ts";
import { choosePaging, type PagingOptions } from "../../src/paging/choose.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { linuxMemory } from "../../src/platform/node_memory.ts";
import type { MixtralWeights } from "../../src/weights/weights.ts";
import { failure } from "../failure.ts";
import { demo } from "../fixtures.ts";
import { sameBits } from "../model/compare.ts";

const ids = Array.from({ length: 40 }, (_, i) => (i * 37 + 5) % 100);

/** Loads the demo model and computes, on a system that says it has `free` bytes. */
async function withFree(
  free: number | undefined,
  options: LoadOptions = {},
  tokens = 40,
): Promise<{ info: ModelInfo; logits: Float32Array }> {
  const platform = await currentPlatform();
  const { available_memory } = platform;
  platform.available_memory = () => free;
  try {
    await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, ...options });
    const { logits } = await model({ input_ids: ids.slice(0, tokens) });
    return { info: model.info(), logits: logits.data as Float32Array };
  } finally {
    platform.available_memory = available_memory;
  }
}

/** Two layers of four experts of 3 GB, as if they lay in a file; nothing is read. */
const [layers, picks] = [2, 2];
const matrix = (index: number) => ({ file: {}, offset: index * 1e9, bytes: 1e9, name: `matrix ${index}` });
const large = {
  layers: Array.from({ length: layers }, (_, layer) => ({
    experts: Array.from({ length: 4 }, (_, expert) => {
      const first = (layer * 4 + expert) * 3;
      return { w1: matrix(first), w3: matrix(first + 1), w2: matrix(first + 2) };
    }),
  })),
} as unknown as MixtralWeights;
const shape = { layers: Array.from({ length: layers }, () => ({ experts_per_token: picks })) } as unknown as ModelShape;
const experts_bytes = layers * 4 * 3e9;
/** Other weights of 1 GB, and 2 GB that the engine takes beside. */
const choose = (free: number | undefined, options: Partial<PagingOptions> = {}) => {
  const given = { mapped: true, on_disk: true, free, weight_bytes: experts_bytes + 1e9, beside: 2e9, ...options };
  return choosePaging(shape, large, given);
};

test("all experts have places where all weights are free memory's to hold, mapped or read", () => {
  for (const mapped of [true, false]) {
    assert.equal(choose(undefined, { mapped }), {}, "nothing is known of memory");
    assert.equal(choose(29e9, { mapped }), {});
  }
  // Mapped weights need no place beside what is free: the system's own cache is counted as free.
  assert.equal(choose(25e9), {});
  const { paging, reason } = choose(25e9, { mapped: false });
  assert.is(paging!.budget_bytes, 25e9 * 0.95 - 3e9);
  assert.is(
    reason,
    "experts take 24000000000 bytes, of 25000000000 bytes of free memory 20750000000 are left for them",
  );
});

test("where they do not fit, experts come and go, mapped though they could be", () => {
  for (const free of [24.9e9, 20e9, 12e9]) {
    const { paging } = choose(free);
    assert.is(paging!.budget_bytes, Math.floor(free * 0.95 - 3e9), `${free}`);
    // The system's cache would hold nothing that the slots do not.
    assert.is(paging!.uncached, true);
  }
});

test("weights that are mapped by word, made, in no file, or of whose experts not even two fit", () => {
  assert.equal(choose(12e9, { mmap: true }), {});
  assert.equal(choose(12e9, { on_disk: false }), {});
  const made = structuredClone(large) as unknown as { layers: { experts: { w2: { recipe?: object } }[] }[] };
  made.layers[1].experts[2].w2.recipe = {};
  const options = { mapped: true, on_disk: true, free: 12e9, weight_bytes: 25e9, beside: 2e9 };
  assert.equal(choosePaging(shape, made as unknown as MixtralWeights, options), {});
  assert.equal(choose(5e9), {}, "the system has to see to it");
  assert.throws(() => choose(5e9, { mapped: false }), /^memory_budget: 1750000000 bytes hold 0 experts/);
});

test("experts have what free memory leaves them beside all that the engine takes", async () => {
  const read = { mmap: false, kv_bytes: 4e6 };
  const base = await withFree(undefined, read);
  assert.is(base.info.experts, undefined, "nothing is known of memory");
  // The least free memory that has room for all.
  let [few, enough] = [0, 2 ** 30];
  while (enough - few > 2 ** 12) {
    const middle = Math.floor((few + enough) / 2);
    const fits = await withFree(middle, read, 1).then(
      ({ info }) => info.experts === undefined,
      () => false,
    );
    if (fits) enough = middle;
    else few = middle;
  }
  // Six threads, what steps work in, caches: whatever it is, it is more than the weights alone.
  assert.ok(enough > base.info.weight_bytes + 50e6, `${enough}`);
  const all = 48 * 3 * 256 * 256 * 2;
  for (const share of [0.85, 0.6, 0.4]) {
    const free = Math.floor(enough - ((1 - share) * all) / 0.95);
    const { info, logits } = await withFree(free, read);
    assert.ok(Math.abs(info.experts!.budget_bytes - share * all) < 2 ** 13, `${share}: ${info.experts!.budget_bytes}`);
    assert.not.ok(info.mapped);
    assert.match(info.reason!, /^experts take \d+ bytes, of \d+ bytes of free memory \d+ are left for them$/);
    assert.ok(sameBits(logits, base.logits), `${share}: other bits`);
    assert.ok(info.experts!.misses > 0 && info.experts!.read_bytes > 0);
  }
});

test("what is said wins over what is free", async () => {
  const { info } = await withFree(undefined);
  const free = Math.floor(info.weight_bytes * 0.6);
  assert.is((await withFree(free, { memory_budget: 1 })).info.experts, undefined);
  const platform = await currentPlatform();
  if ("reason" in (await platform.mapper())) {
    assert.instance(await failure(withFree(free, { mmap: true })), InputError);
  } else {
    const mapped = await withFree(free, { mmap: true });
    assert.ok(mapped.info.mapped);
    assert.is(mapped.info.experts, undefined);
  }
});

test("whole sectors past the system's cache, or through it, give the same bits", async () => {
  const base = await withFree(undefined);
  for (const memory_budget of [0.8, 0.3]) {
    // With little free beside the slots the cache would hold nothing that they do not.
    for (const free of [base.info.weight_bytes * (memory_budget + 0.2), 100 * base.info.weight_bytes]) {
      const { info, logits } = await withFree(Math.floor(free), { memory_budget });
      assert.ok(info.experts);
      assert.ok(sameBits(logits, base.logits), `${memory_budget} of ${free}`);
    }
  }
});

const meminfo = "MemTotal:       16000000 kB\nMemFree:          200000 kB\nMemAvailable:    8000000 kB\n";
const available = 8000000 * 1024;
const reading = (files: Record<string, string>) => (path: string) => files[path];

test("Linux: what the system has, without control groups", () => {
  assert.is(linuxMemory(reading({})), undefined);
  assert.is(linuxMemory(reading({ "/proc/meminfo": "MemTotal: 16000000 kB\n" })), undefined);
  assert.is(linuxMemory(reading({ "/proc/meminfo": meminfo })), available);
  assert.is(linuxMemory(reading({ "/proc/meminfo": meminfo, "/proc/self/cgroup": "0::/\n" })), available);
});

test("Linux: control groups of version 2, the narrowest of all around the process", () => {
  const group = (limit: string, used: number, files: [number, number]) => ({
    "memory.max": `${limit}\n`,
    "memory.current": `${used}\n`,
    "memory.stat": `anon ${used}\nfile 77\ninactive_file ${files[0]}\nactive_file ${files[1]}\n`,
  });
  const tree = (groups: Record<string, Record<string, string>>) =>
    Object.fromEntries(
      Object.entries(groups).flatMap(([folder, files]) =>
        Object.entries(files).map(([name, text]) => [`/sys/fs/cgroup${folder}/${name}`, text]),
      ),
    );
  const at = { "/proc/meminfo": meminfo, "/proc/self/cgroup": "0::/user.slice/app.service\n" };
  const app = "/user.slice/app.service";
  const of = (groups: Parameters<typeof tree>[0]) => linuxMemory(reading({ ...at, ...tree(groups) }));
  assert.is(of({ [app]: group("max", 5e9, [1, 2]) }), available, "no limit");
  assert.is(of({ [app]: group("4000000000", 3e9, [5e8, 1e8]) }), 1.6e9, "its files can go");
  assert.is(of({ "/user.slice": group("2000000000", 1.5e9, [0, 0]), [app]: group("4000000000", 1e9, [0, 0]) }), 5e8);
  assert.is(of({ [app]: group("1000000000", 2e9, [0, 0]) }), 0, "more is used than the limit of now");
  // A container sees its own group as the root, and its name as it is outside.
  assert.is(of({ "": group("3000000000", 1e9, [0, 0]) }), 2e9);
});

test("Linux: control groups of version 1", () => {
  const files = {
    "/proc/meminfo": meminfo,
    "/proc/self/cgroup": "5:devices:/\n4:cpu,memory:/docker/abc\n0::/\n",
    "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "2147483648\n",
    "/sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes": "1147483648\n",
    "/sys/fs/cgroup/memory/docker/abc/memory.stat":
      "inactive_file 9\ntotal_inactive_file 100000000\ntotal_active_file 50000000\n",
  };
  assert.is(linuxMemory(reading(files)), 1_150_000_000);
});

test("the platform's own figure is not above the system's", async () => {
  const platform = await currentPlatform();
  const [told, linux] = [platform.available_memory(), linuxMemory()];
  if (linux === undefined) return;
  assert.ok(told !== undefined && Math.abs(told - linux) < 0.2 * linux + 5e8, `${told} and ${linux}`);
});

test.run();
