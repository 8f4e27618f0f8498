// Weights that are read in pieces stand in memory as if they had been repacked at once, whatever lies between them.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { instantiate, stackTop } from "../../src/kernels/abi.ts";
import { loadKernels } from "../../src/kernels/load.ts";
import { createMemory } from "../../src/kernels/memory.ts";
import { loadSegments } from "../../src/memory/load.ts";
import type { PlacedMatrix, WeightPlan } from "../../src/memory/plan.ts";
import { memoryFormat } from "../../src/memory/repack.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import type { SourceFile } from "../../src/platform/platform.ts";
import { type FormatName, formats, rowBytes } from "../../src/quant/formats.ts";
import type { StoredMatrix } from "../../src/weights/weights.ts";
import { random } from "../kernels/twin.ts";

const [BASE, SCRATCH] = [1 << 20, 48 << 20];

test("matrices of several reads, with gaps between, in every format that is repacked", async () => {
  const next = random(3);
  const shapes: [FormatName, number, number][] = [
    ["Q4_0", 96, 4160], // 32.5 groups: stays as it is
    ["Q4_0", 2500, 4096], // 5.8 MB: more than one read
    ["Q8_0", 40, 256],
    ["Q4_K", 2500, 4096],
    ["Q4_K", 3, 256],
    ["Q6_K", 5, 256],
  ];
  let end = 64;
  const matrices = shapes.map(([name, rows, cols]): StoredMatrix => {
    const offset = end;
    const bytes = rows * rowBytes(formats[name], cols);
    end += Math.ceil(bytes / 32) * 32 + 32;
    return { name, file: undefined as unknown as SourceFile, offset, bytes, format: formats[name], rows, cols };
  });
  const content = new Uint8Array(end).map(() => next());
  let reads = 0;
  const file = {
    read: async (offset: number, target: Uint8Array) => {
      reads++;
      target.set(content.subarray(offset, offset + target.length));
    },
  } as unknown as SourceFile;
  const { module } = await loadKernels(await currentPlatform(), undefined);
  const memory = createMemory(1024, "the test's memory");
  const kernels = instantiate(module, memory, stackTop(0));
  const placed = matrices.map(
    (ref): PlacedMatrix<StoredMatrix> => ({
      bank: 0,
      address: BASE + ref.offset,
      from: { ...ref, file },
      format: memoryFormat(ref, false),
    }),
  );
  assert.equal(
    placed.map(({ format }) => format.name),
    ["Q4_0", "Q4_0_R", "Q8_0", "Q4_K_R", "Q4_K_R", "Q6_K"],
  );
  const told: number[] = [];
  const segment = { bank: 0, address: BASE, file, offset: 0, bytes: end, matrices: placed };
  const plan = { segments: [segment] } as unknown as WeightPlan;
  await loadSegments(plan, [memory], [kernels], { mapper: undefined, reason: "" }, undefined, (n) => told.push(n));
  assert.ok(reads >= matrices.length + 2, `${reads} reads`);
  assert.is(
    told.at(-1),
    matrices.reduce((sum, { bytes }) => sum + bytes, 0),
  );
  for (const { address, from, format } of placed) {
    const whole = new Uint8Array(memory.buffer, SCRATCH, from.bytes);
    whole.set(content.subarray(from.offset, from.offset + from.bytes));
    if (format.name === "Q4_0_R") kernels.repack_q4_0(SCRATCH, from.bytes);
    if (format.name === "Q4_K_R") kernels.repack_q4_k(SCRATCH, from.bytes);
    const there = new Uint8Array(memory.buffer, address, from.bytes);
    assert.is(Buffer.compare(there, whole), 0, `${from.name} of ${from.rows} rows of ${from.cols}`);
    assert.is(
      format === from.format,
      Buffer.compare(there, content.subarray(from.offset, from.offset + from.bytes)) === 0,
    );
  }
});

test("mapped, every matrix has its file's format", () => {
  for (const format of Object.values(formats))
    assert.is(memoryFormat({ format, cols: 512 } as StoredMatrix, true), format);
});

test.run();
