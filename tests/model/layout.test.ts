// Room for what a thread writes: each product's scratch is its own, whatever columns the model's matrices have.

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { KernelExports } from "../../src/kernels/abi.ts";
import { planRunState } from "../../src/memory/layout.ts";
import { builds, Kernels } from "../kernels/harness.ts";
import { shape } from "./shape.ts";

const sizes = {
  threads: 2,
  chunk_rows: 64,
  between_rows: 16,
  head_rows: 64,
  head_size: 100,
  pages: 8,
  logits_scratch: 0,
};

for (const build of builds)
  test(`${build}: the scratch of a product holds the panel of every matrix`, () => {
    const kernels = new Kernels(build).fn;
    for (const [hidden, intermediate] of [
      [2048, 7168], // 32 rows of 2,048 columns are more bytes than 8 of 7,168
      [4096, 14336],
      [7168, 2048],
    ]) {
      const wide = { ...shape({ intermediate, heads: 32, kv_heads: 8, head_dim: 64 }), hidden };
      const { own } = planRunState(wide, kernels as unknown as KernelExports, { vec: [1], tile: [4] }, sizes);
      for (const { scratch, ...others } of own) {
        const starts = Object.values(others).filter((each): each is number => typeof each === "number");
        const room = Math.min(...starts.filter((at) => at > scratch)) - scratch;
        for (const cols of [hidden, intermediate, 32 * 64])
          assert.ok(
            room >= kernels.matmul_scratch(cols),
            `${cols} columns need ${kernels.matmul_scratch(cols)}, have ${room}`,
          );
      }
    }
  });

test.run();
