// Native kernels: that the package knows which sources they must be of, and that they touch nothing beyond their memory. Their
// values are compared in tests/kernels, where every build is; whole models in tests/model.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { addRowsArgs, attentionArgs, packArgs, productArgs } from "../../src/kernels/abi.ts";
import type { FieldType, Struct } from "../../src/kernels/structs.ts";
import { NATIVE_SOURCES } from "../../src/offload/sources.ts";
import { formats } from "../../src/quant/formats.ts";
import { root } from "../fixtures.ts";
import { builds, Kernels } from "../kernels/harness.ts";

test("the package expects kernels of the sources that are here: npm run build kernels says which", async () => {
  const { nativeSources } = await import(pathToFileURL(join(root, "scripts", "native.mjs")).href);
  assert.is(NATIVE_SOURCES, Number(nativeSources()));
});

const natives = builds.filter((build) => build.startsWith("native "));
if (natives.length === 0) console.log("# no native kernels were built: npm run build:native");

for (const build of natives) {
  const k = new Kernels(build, 64);
  const size = k.memory.buffer.byteLength;
  const refuses = (what: string, call: () => unknown) => {
    const before = createHash("sha256").update(k.u8(0, size)).digest("hex");
    assert.throws(call, /native kernels were to touch what is not in their memory/, `${build}: ${what}`);
    assert.is(createHash("sha256").update(k.u8(0, size)).digest("hex"), before, `${build}: ${what} wrote something`);
  };
  /** Writes a struct of arguments. @returns what calls a kernel with it */
  const calls = <Fields extends Record<string, FieldType>>(
    of: Struct<Fields>,
    name: string,
    values: { readonly [Name in keyof Fields]: number },
  ) => {
    const args = k.struct(of, values);
    return () => k.fn[name](args);
  };

  test(`${build}: products refuse what reaches beyond the memory`, () => {
    k.reset();
    const cols = 256;
    const place = k.alloc(1 << 20);
    const good = { w: place, x: place + 65536, out: place + 131072, cols, rows: 8, tokens: 4, out_stride: 8 };
    const rest = { scratch: place + 262144, dot: 0, read_ahead: 0 };
    for (const form of ["matvec", "matmul"])
      for (const { name } of Object.values(formats)) {
        const call = (values: Partial<typeof good & typeof rest>) =>
          calls(productArgs, `${form}_${name.toLowerCase()}`, { ...good, ...rest, ...values });
        call({})();
        refuses(`${form}, weights`, call({ w: size - 100 }));
        refuses(`${form}, rows`, call({ rows: 2 ** 32 - 1 }));
        refuses(`${form}, activations`, call({ x: size - 64 }));
        refuses(`${form}, outputs`, call({ out: size - 8 }));
        refuses(`${form}, their stride`, call({ out_stride: 2 ** 31 }));
        refuses(`${form}, columns`, call({ cols: 2 ** 31 }));
        if (form === "matmul") refuses("matmul, scratch", call({ scratch: size - 4096 }));
      }
    refuses("its own arguments", () => k.fn.matvec_q4_0(size - 8));
  });

  test(`${build}: packing, norms, gates and the router refuse it, too`, () => {
    k.reset();
    const place = k.alloc(1 << 20);
    const kind = k.fn.vec_kind(formats.Q4_0.id);
    const pack = { kind, x: place, stride: 256, tokens: 4, dst: place + 65536, cols: 256 };
    const ranges = { col0: 0, col1: 256, from: 0, to: 4, threshold: 0, order: 0 };
    for (const values of [
      { x: size - 100 },
      { dst: size - 100 },
      { stride: 2 ** 31 },
      { to: 5 },
      { col1: 512 },
      { tokens: 2 ** 30, to: 2 ** 30 },
    ])
      refuses(`pack ${JSON.stringify(values)}`, calls(packArgs, "pack", { ...pack, ...ranges, ...values }));
    const order = k.put(new Uint32Array(256).fill(256));
    refuses("pack, an order", calls(packArgs, "pack", { ...pack, ...ranges, order }));

    refuses("rms_norm, x", () => k.fn.rms_norm(size - 16, place, place, 1, 256, 1e-5));
    refuses("rms_norm, rows", () => k.fn.rms_norm(place, place, place, 2 ** 31, 256, 1e-5));
    const index = k.put(new Uint32Array([0, 2 ** 31]));
    const rows = { dst: place, dst_stride: 256, index, src: place, src_stride: 256, scale: 0, tokens: 2, cols: 256 };
    refuses("add_rows, an index", calls(addRowsArgs, "add_rows", rows));
    refuses("silu_mul", () => k.fn.silu_mul(place, size - 4, 1, 256, 256));
    refuses("gelu_mul", () => k.fn.gelu_mul(size - 4, place, 1, 256, 256));
    refuses("rope_inv_freq", () => k.fn.rope_inv_freq(1e4, 2 ** 31, place));
    refuses("rope_table", () => k.fn.rope_table(1, place, 64, 1, size - 256));
    refuses("router_logits", () => k.fn.router_logits(place, size - 256, 256, 8, place));
    refuses("select_experts", () => k.fn.select_experts(place, 8, 9, place, place));
    refuses("repack_q4_0", () => k.fn.repack_q4_0(size - 72, 144));
    refuses("repack_q4_0, a part of a group", () => k.fn.repack_q4_0(place, 71));
    refuses("dequantize", () => k.fn.dequantize_q4_0(size - 18, place, 64));
  });

  test(`${build}: attention refuses pages, rows and places that are not there`, () => {
    k.reset();
    const place = k.alloc(1 << 20);
    const pages = k.put(new Uint32Array([0, 1]));
    const page_bytes = 2 * 64 * k.fn.kv_row_bytes(64, 0);
    const good = {
      ...{ q: place, k: place, v: place, table: place, rotated: place + 65536, out: place + 65536 },
      ...{
        keys: place + 131072,
        values: place + 131072 + page_bytes / 2,
        pages,
        page_bytes,
        first_block: 0,
        hidden: 0,
      },
      ...{ q_stride: 128, kv_stride: 64, group: 2, head_dim: 64, interleaved: 0, first: 60, row0: 0, row1: 8 },
      ...{ window: 0, type: 0, scale: 0.125, scratch: place + 262144, matrix: place + 524288 },
    };
    for (const name of ["attention_store", "attention", "attention_eager"]) {
      const call = (values: Partial<typeof good>) => calls(attentionArgs, name, { ...good, ...values });
      call({})();
      refuses(`${name}, keys`, call({ keys: size - 4096 }));
      refuses(`${name}, values`, call({ values: size - 4096 }));
      refuses(`${name}, a page`, call({ pages: k.put(new Uint32Array([0, 2 ** 31])) }));
      refuses(`${name}, the list of pages`, call({ pages: size - 4 }));
      refuses(`${name}, scratch`, call({ scratch: size - 64 }));
      refuses(`${name}, rows`, call({ row1: 2 ** 31 }));
      refuses(`${name}, a block that is not listed`, call({ first_block: 1 }));
      refuses(`${name}, the rotated queries`, call({ rotated: size - 64 }));
      refuses(`${name}, dims`, call({ head_dim: 2 ** 30 }));
      refuses(`${name}, a type`, call({ type: 7 }));
    }
    refuses("keys as projected", calls(attentionArgs, "attention_store", { ...good, k: size - 64 }));
    refuses("the outputs", calls(attentionArgs, "attention", { ...good, out: size - 64 }));
    refuses("the matrix", calls(attentionArgs, "attention_eager", { ...good, matrix: size - 64 }));
  });
}

test.run();
