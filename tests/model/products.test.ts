// How products are divided into units: all rows once, and no unit's outputs larger than the strip they are written to.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { STRIP, TILE_FROM } from "../../src/memory/layout.ts";
import { Products } from "../../src/model/products.ts";
import type { Setup } from "../../src/model/step.ts";
import type { ThreadMemory } from "../../src/model/thread_memory.ts";

function products(threads: number, chunk_rows: number): Products {
  const setup = { packings: {}, state: { threads, lanes: [{ rows: chunk_rows }] }, choices: new Int32Array(64) };
  return new Products({} as ThreadMemory, setup as unknown as Setup, 1);
}

test("all rows of all matrices, in units that fit a strip", () => {
  for (const threads of [1, 2, 16])
    for (const chunk_rows of [1, 16, 512])
      for (const parts of [[14336, 14336], [32000], [7, 1, 300], [128]])
        for (const tokens of [1, 2, 3, 4, 64, 512].filter((n) => n <= chunk_rows))
          for (const multiple of [16, STRIP]) {
            const where = JSON.stringify({ threads, chunk_rows, parts, tokens, multiple });
            const made = products(threads, chunk_rows);
            const units = made.units(parts, tokens, multiple);
            const at = parts.map(() => 0);
            for (const unit of units) {
              const { part, from, to } = unit;
              assert.is(from, at[part], where);
              assert.ok(to > from && (to === parts[part] || (to - from) % multiple === 0), where);
              at[part] = to;
              assert.ok(made.stripStride(unit, tokens) >= to - from, where);
              // Tiles have room for three rows more, which are written, too.
              const rows = tokens >= TILE_FROM ? tokens + 3 : tokens;
              assert.ok(made.stripStride(unit, tokens) * rows <= (chunk_rows + 3) * STRIP, where);
            }
            assert.equal(at, parts, where);
            assert.is(made.units(parts, tokens, multiple), units, "remembered");
          }
});

test("one token's work is divided into several units for each thread, smaller ones last", () => {
  const units = products(4, 512).units([4096], 1, 1);
  const sizes = units.map(({ from, to }) => to - from);
  assert.ok(units.length >= 8 && sizes[0] > 2 * sizes.at(-1)!, sizes.join());
  for (let i = 2; i < sizes.length; i++) assert.ok(sizes[i] <= sizes[i - 1] + 1, sizes.join());
});

test.run();
