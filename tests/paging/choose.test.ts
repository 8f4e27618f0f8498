// "auto": which models have all their experts in memory, and where the system's free memory is too little for that, how
// much of it they get; what Linux says is free; reads past the system's cache.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InputError, type LoadOptions, MixtralForCausalLM, type ModelInfo } from "../../src/index.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { linuxMemory } from "../../src/platform/node_memory.ts";
import { failure } from "../failure.ts";
import { demo } from "../fixtures.ts";
import { sameBits } from "../model/compare.ts";

const ids = Array.from({ length: 40 }, (_, i) => (i * 37 + 5) % 100);

/** Loads the demo model and computes, on a system that says it has `free` bytes. */
async function withFree(
  free: number | undefined,
  options: LoadOptions = {},
): Promise<{ info: ModelInfo; logits: Float32Array }> {
  const platform = await currentPlatform();
  const { available_memory } = platform;
  platform.available_memory = () => free;
  try {
    await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, ...options });
    const { logits } = await model({ input_ids: ids });
    return { info: model.info(), logits: logits.data as Float32Array };
  } finally {
    platform.available_memory = available_memory;
  }
}

test("experts come when they are needed where memory is too small for all", async () => {
  const base = await withFree(undefined);
  assert.is(base.info.experts, undefined, "nothing is known of memory");
  const { weight_bytes } = base.info;
  const large = await withFree(10 * weight_bytes);
  assert.is(large.info.experts, undefined);
  assert.is(large.info.mapped, base.info.mapped);
  // A little more than is free the system maps as well as anybody could.
  const nearly = await withFree(Math.ceil(weight_bytes / 1.08));
  assert.is(nearly.info.experts === undefined, base.info.mapped);
  assert.ok(sameBits(nearly.logits, base.logits));
  for (const share of [0.85, 0.6, 0.4]) {
    const free = Math.floor(weight_bytes * share);
    const { info, logits } = await withFree(free);
    assert.ok(info.experts, `${share}: all experts have places`);
    assert.not.ok(info.mapped);
    // What the other weights, the caches and the system are left.
    assert.ok(info.experts.budget_bytes < 0.95 * free && info.experts.budget_bytes > 0.3 * free, `${share}`);
    assert.match(info.reason!, /^experts take \d+ bytes, of \d+ bytes of free memory \d+ are left for them$/);
    assert.ok(sameBits(logits, base.logits), `${share}: other bits`);
    assert.ok(info.experts.misses > 0 && info.experts.read_bytes > 0);
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
    // Not even two experts fit: the system has to see to it.
    assert.ok((await withFree(Math.floor(info.weight_bytes * 0.05))).info.mapped);
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
