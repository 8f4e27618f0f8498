// Regions beside a twin that knows of each grain whether it is taken: first fit, whole grains, neighbours merged.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Regions } from "../../src/memory/regions.ts";
import { random } from "../kernels/twin.ts";

const [START, GRAIN, GRAINS] = [640, 64, 50];

test("what is taken and given back, in any order", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const next = random(seed);
    const regions = new Regions(START, START + GRAIN * GRAINS, GRAIN);
    const taken = new Array<boolean>(GRAINS).fill(false);
    const held: { address: number; bytes: number }[] = [];
    let refused = 0;
    for (let i = 0; i < 200; i++) {
      if (held.length > 0 && next() % 5 < 2) {
        const [{ address, bytes }] = held.splice(next() % held.length, 1);
        regions.give(address, bytes);
        taken.fill(false, (address - START) / GRAIN, (address - START) / GRAIN + Math.ceil(bytes / GRAIN));
      } else {
        const bytes = 1 + (next() % (8 * GRAIN));
        const grains = Math.ceil(bytes / GRAIN);
        const at = taken.findIndex(
          (_, from) => from + grains <= GRAINS && !taken.slice(from, from + grains).includes(true),
        );
        const address = regions.take(bytes);
        assert.is(address, at < 0 ? undefined : START + GRAIN * at, `seed ${seed}, ${i}: ${bytes} bytes`);
        if (address === undefined) refused++;
        else {
          held.push({ address, bytes });
          taken.fill(true, at, at + grains);
        }
      }
      assert.is(regions.available, GRAIN * taken.filter((is) => !is).length);
    }
    assert.ok(refused > 0);
    for (const { address, bytes } of held) regions.give(address, bytes);
    assert.is(regions.take(GRAIN * GRAINS), START, "all of it in one piece again");
    assert.is(regions.take(1), undefined);
  }
  assert.is(new Regions(64, 64, 64).take(1), undefined);
  assert.is(new Regions(64, 64, 64).available, 0);
});

test.run();
