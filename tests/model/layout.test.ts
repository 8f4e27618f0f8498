// Room for what a thread writes: each product's scratch is its own, whatever columns the model's matrices have.

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { KernelExports } from "../../src/kernels/abi.ts";
import { planRunState, STRIP, WORKSPACE_BYTES } from "../../src/memory/layout.ts";
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
  whole_rows: true,
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

test("regions have the rows of the last tile, and stand apart", () => {
  const kernels = new Kernels(builds[0]).fn as unknown as KernelExports;
  const layers = shape({ intermediate: 96, heads: 4, kv_heads: 2, head_dim: 16 });
  for (const [chunk_rows, head_rows] of [
    [64, 7],
    [13, 13],
    [6, 1],
  ]) {
    const odd = { ...sizes, chunk_rows, between_rows: 5, head_rows };
    const state = planRunState(layers, kernels, { vec: [1], tile: [4] }, odd);
    /** Every region of numbers: its beginning, and the bytes that whole tiles of 4 rows of it take. */
    const regions: [string, number, number][] = [];
    const tiles = (rows: number) => 4 * Math.ceil(rows / 4);
    for (const [i, lane] of state.lanes.entries()) {
      const rows = tiles(lane.rows);
      const add = (name: string, at: number, bytes: number) => regions.push([`lane ${i}: ${name}`, at, bytes]);
      add("logits", lane.logits, tiles(lane.head_rows) * state.logits_stride * 4);
      add("q", lane.q, rows * state.q_stride * 4);
      add("k", lane.k, rows * state.kv_stride * 4);
      add("v", lane.v, rows * state.kv_stride * 4);
      add("x", lane.x, lane.rows * 64 * 4);
      add("xn", lane.xn, lane.rows * 64 * 4);
      add("rotated", lane.rotated, lane.rows * state.q_stride * 4);
      add("rope", lane.rope, lane.rows * 16 * 4);
      add("gated", lane.gated, lane.rows * layers.layers[0].experts_per_token * 96 * 4);
    }
    for (const [i, own] of state.own.entries())
      for (const name of ["strip", "strip2"] as const)
        regions.push([`thread ${i}: ${name}`, own[name], tiles(chunk_rows) * STRIP * 4]);
    regions.push(["workspaces", state.workspaces, WORKSPACE_BYTES]);
    regions.sort((a, b) => a[1] - b[1]);
    for (let i = 1; i < regions.length; i++) {
      const [[name, at, bytes], [next, from]] = [regions[i - 1], regions[i]];
      assert.ok(at + bytes <= from, `${name} of ${bytes} bytes at ${at} reaches into ${next} at ${from}`);
    }
    // Nothing else stands within them.
    const others = state.lanes.flatMap((lane) => [lane.packed, lane.expert_h].map(({ address }) => address));
    for (const address of others)
      for (const [name, at, bytes] of regions)
        assert.not(address >= at && address < at + bytes, `packed rows at ${address} within ${name}`);
  }
});

test.run();
