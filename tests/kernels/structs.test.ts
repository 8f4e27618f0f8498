// The structs that kernels take: src/kernels lists the fields that cpp/kernels.h declares, in the same order.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import * as abi from "../../src/kernels/abi.ts";
import { type FieldType, type Struct, struct, writeStruct } from "../../src/kernels/structs.ts";
import { root } from "../fixtures.ts";

/** (struct) its fields in order, as the header declares them. */
function declared(): Map<string, [name: string, type: FieldType][]> {
  const header = readFileSync(join(root, "cpp", "kernels.h"), "utf8").replace(/\/\/.*$/gm, "");
  const found = [...header.matchAll(/struct (\w+) \{([^}]*)\};/g)];
  return new Map(
    found.map(([, name, body]) => {
      const fields = body.split(";").flatMap((declaration): [string, FieldType][] => {
        const words = declaration.trim();
        if (words === "") return [];
        const [, type, names] = /^((?:const )?\w+(?: ?\*)?) ?(.*)$/s.exec(words)!;
        return names.split(",").map((each) => {
          const pointer = type.includes("*") || each.includes("*");
          assert.ok(pointer || ["uint32_t", "float"].includes(type), `${name}: a field of type ${type}`);
          return [each.replace("*", "").trim(), pointer || type === "uint32_t" ? "u32" : "f32"];
        });
      });
      return [name, fields];
    }),
  );
}

test("every struct has the fields of its twin, in order", () => {
  const header = declared();
  const structs = Object.entries(abi as Record<string, unknown>).flatMap(([name, value]) => {
    const is_struct = typeof value === "object" && value !== null && "word" in value && "fields" in value;
    return is_struct ? [[name, value as Struct<Record<string, FieldType>>] as const] : [];
  });
  assert.equal(
    structs.map(([name]) => name[0].toUpperCase() + name.slice(1)).sort(),
    [...header.keys()].sort(),
    "the header's structs, in lower camel case",
  );
  for (const [name, { fields, bytes }] of structs) {
    const twin = header.get(name[0].toUpperCase() + name.slice(1))!;
    assert.equal(Object.entries(fields), twin, name);
    assert.is(bytes, twin.length * 4);
  }
});

test("writing sets the named fields and leaves the others", () => {
  const pair = struct({ address: "u32", factor: "f32", count: "u32" });
  const buffer = new ArrayBuffer(32);
  const views = { u32: new Uint32Array(buffer), f32: new Float32Array(buffer) };
  writeStruct(views, 8, pair, { address: 4_000_000_000, factor: 0.5, count: 7 });
  writeStruct(views, 8, pair, { count: 9 });
  assert.equal([...views.u32.slice(2)], [4_000_000_000, 0x3f000000, 9, 0, 0, 0]);
  assert.is(pair.bytes, 12);
});

test.run();
