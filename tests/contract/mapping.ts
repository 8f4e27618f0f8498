// What every mapper must do: lay pages of files over pages of memories, and take them away again.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MemoryError } from "../../src/errors.ts";
import type { Files, Mapping } from "../../src/platform/platform.ts";
import { content, type Disk, failure, sharedMemory } from "./disk.ts";

/** @param can_map - whether this system and these permissions let it map files */
export async function mappingContract(platform: Mapping & Files, can_map: boolean, disk: Disk): Promise<void> {
  const mapper = await platform.mapper();
  test("mapping is there, or a reason", async () => {
    assert.is("page_size" in mapper, can_map, JSON.stringify(mapper));
    if ("reason" in mapper) assert.ok(mapper.reason.length > 10);
    assert.is(await platform.mapper(), mapper, "decided once");
  });
  if ("reason" in mapper) return;
  const { page_size } = mapper;
  const path = await disk.make("mapped", content);

  test("files are mapped over shared memory, from any page, and stay when the file is closed", async () => {
    const memory = sharedMemory(8);
    const bytes = new Uint8Array(memory.buffer);
    bytes.fill(9);
    const file = await platform.open(path);
    mapper.map(memory, 2 * page_size, file, page_size, 2 * page_size);
    await file.close();
    const mapped = bytes.slice(2 * page_size, 4 * page_size);
    assert.equal(mapped, content.slice(page_size, 3 * page_size));
    assert.is(bytes[2 * page_size - 1], 9);
    assert.is(bytes[4 * page_size], 9);
    mapper.unmap(memory, 2 * page_size, 2 * page_size);
    assert.ok(
      bytes.slice(2 * page_size, 4 * page_size).every((byte) => byte === 0),
      "unmapped pages are zero",
    );
    bytes[2 * page_size] = 1; // and can be written
  });

  test("the end of a file is followed by zeros", async () => {
    const memory = sharedMemory(8);
    const file = await platform.open(path);
    const start = Math.floor(content.length / page_size) * page_size;
    mapper.map(memory, 0, file, start, content.length - start);
    const bytes = new Uint8Array(memory.buffer).slice(0, page_size);
    const rest = content.length - start;
    assert.equal(bytes.slice(0, rest), content.slice(start));
    assert.ok(bytes.slice(rest).every((byte) => byte === 0));
    mapper.unmap(memory, 0, page_size);
    await file.close();
  });

  test("mapping is private: a write does not reach the file", async () => {
    const memory = sharedMemory(8);
    const file = await platform.open(path);
    mapper.map(memory, 0, file, 0, page_size);
    new Uint8Array(memory.buffer, 0, 100).fill(255);
    assert.equal(await disk.bytes(path), content);
    mapper.release(memory, 0, page_size);
    assert.equal(new Uint8Array(memory.buffer).slice(0, 100), content.slice(0, 100), "a mapped page reads as the file");
    mapper.unmap(memory, 0, page_size);
    await file.close();
  });

  test("released pages of a memory's own read as zero", () => {
    const memory = sharedMemory(4);
    const bytes = new Uint8Array(memory.buffer);
    bytes.fill(7);
    mapper.release(memory, page_size, page_size);
    assert.equal([bytes[page_size - 1], bytes[page_size], bytes[2 * page_size]], [7, 0, 7]);
  });

  test("what is no whole page, or beyond the memory, is refused", async () => {
    const memory = sharedMemory(4);
    const file = await platform.open(path);
    for (const [address, offset, length] of [
      [1, 0, page_size],
      [0, 1, page_size],
      [memory.buffer.byteLength, 0, page_size],
      [0, 0, memory.buffer.byteLength + page_size],
    ])
      await failure(() => mapper.map(memory, address, file, offset, length), MemoryError, path);
    await file.close();
  });
}
