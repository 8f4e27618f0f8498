// Rings in cache banks: what is taken comes back, and eager attention's score matrices stand beside the layers that use them.
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ModelShape } from "../../src/config/shape.ts";
import { CacheStore, layerBytes } from "../../src/model/cache_store.ts";

const shape = { layers: 2, kv_heads: 2, head_dim: 64, window: 0 } as unknown as ModelShape;
const threads = 2;
const bytes = (slots: number) => slots * 4096;

/** A store with score matrices, and the sizes of the banks that it has made. */
function eagerStore(): { store: CacheStore; sizes: number[] } {
  const sizes: number[] = [];
  const announce = (_: number, memory: WebAssembly.Memory) => void sizes.push(memory.buffer.byteLength);
  return { store: new CacheStore(shape, 65536, 0, announce, { threads, bytes }), sizes };
}

test("a bank with room for a layer but not for its score matrices is passed over", () => {
  const { store, sizes } = eagerStore();
  const small = store.create(1024, "f32");
  // Leaves 57 MB of 67: enough for a layer of 7 MB, not for 52 MB of matrices beside it.
  const large = store.create(6400, "f32");
  assert.equal(
    [small.banks, large.banks],
    [
      [0, 0],
      [1, 1],
    ],
  );
  const taken = [small, large].flatMap(({ banks, addresses, matrices, slots }) => [
    ...addresses.map((address, layer) => [banks[layer], address, address + layerBytes(shape, slots, "f32")]),
    [banks[0], matrices!.addresses[0], matrices!.addresses[0] + threads * bytes(slots)],
  ]);
  for (const [bank, from, to] of taken) {
    assert.ok(from >= 65536 && to <= sizes[bank], `bank ${bank}: ${from} to ${to}`);
    const crossing = taken.filter(([other, start, end]) => other === bank && start < to && from < end);
    assert.is(crossing.length, 1, "ranges are apart");
  }
});

test("what is freed can be taken again", () => {
  const { store, sizes } = eagerStore();
  for (let i = 0; i < 20; i++) {
    const rings = [1024, 6144, 64].map((positions) => store.create(positions, "f16"));
    for (const ring of rings) store.free(ring);
    assert.is(store.bytes, 0);
  }
  assert.is(sizes.length, 1, `banks of ${sizes} bytes`);
});

test.run();
