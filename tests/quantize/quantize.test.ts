// quantize beside llama-quantize: the same types, metadata and order for each type and option; files whole or not at all,
// gone on with after a cut; and the models that come of it.
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readGGUF } from "../../src/checkpoint/gguf.ts";
import { readImatrix } from "../../src/checkpoint/imatrix.ts";
import { InputError, TramontaneError, WriteError } from "../../src/errors.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import type { QuantizeOptions } from "../../src/quantize/options.ts";
import { quantize } from "../../src/quantize/quantize.ts";
import { AutoTokenizer } from "../../src/text/load_tokenizer.ts";
import { tramontane } from "../cli/command.ts";
import { failure } from "../failure.ts";
import { demo, fixture, hasFixture, json } from "../fixtures.ts";

const truth = hasFixture("fixtures/quantize");
if (!truth) console.log("# fixtures/quantize is not there: options and mixes are not compared");
const at = (name: string) => fixture(`fixtures/quantize/${name}`);

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-quantize-"));
  try {
    await run(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function headerOf(path: string) {
  const file = await (await currentPlatform()).open(path);
  const header = await readGGUF(file);
  await file.close();
  return header;
}

type Types = Record<string, string | Record<string, number[]>>;

/** The formats of a result as the fixtures have them: by kind, F32 left out, layers where they differ. */
function typesOf({ tensors }: { tensors: readonly { name: string; to: string }[] }): Types {
  const kinds: Record<string, Record<string, number[]>> = {};
  for (const { name, to } of tensors) {
    if (to === "F32") continue;
    const [, layer, kind] = /^(?:blk\.(\d+)\.)?(.*)\.weight$/.exec(name)!;
    kinds[kind] ??= {};
    kinds[kind][to] ??= [];
    kinds[kind][to].push(Number(layer ?? 0));
  }
  return Object.fromEntries(
    Object.entries(kinds).map(([kind, types]) => {
      const names = Object.keys(types);
      return [kind, names.length === 1 ? names[0] : types];
    }),
  );
}

/** llama-quantize's arguments as ours. @param at - where a file of that name is */
function optionsOf(args: readonly string[], at: (name: string) => string) {
  const options: Record<string, unknown> = {};
  const rest: string[] = [];
  const add = (name: string, value: unknown) => ((options[name] ??= []) as unknown[]).push(value);
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === "--imatrix") options.imatrix = at(args[++i]);
    else if (arg === "--include-weights") add("include_weights", args[++i]);
    else if (arg === "--exclude-weights") add("exclude_weights", args[++i]);
    else if (arg === "--tensor-type-file") i++;
    else if (arg === "--tensor-type") add("tensor_types", args[++i].split("="));
    else if (arg === "--output-tensor-type") options.output_tensor_type = args[++i];
    else if (arg === "--token-embedding-type") options.token_embedding_type = args[++i];
    else if (arg === "--override-kv") {
      const [, key, kind, value] = /^(.*?)=(int|str):(.*)$/.exec(args[++i])!;
      add("override_kv", kind === "int" ? [key, "u32", Number(value)] : [key, "string", value]);
    } else if (arg === "--prune-layers") options.prune_layers = args[++i].split(",").map(Number);
    else if (arg.startsWith("--")) options[arg.slice(2).replaceAll("-", "_")] = true;
    else rest.push(arg);
  }
  const [source, out, type] = rest;
  return { source, out, options: { ...options, type } as QuantizeOptions };
}

/** What llama-quantize takes, too, though it does not look at the names: ours tells. */
const warned = ["tensor_type_router", "tensor_type_of_f16_file", "tensor_type_matches_nothing"];

if (truth) {
  test("each option makes the file that llama-quantize makes, or none where that refuses", () =>
    inFolder(async (folder) => {
      const path = (name: string) => join(folder, name);
      for (const name of ["source.gguf", "odd.gguf"]) copyFileSync(at(name), path(name));
      copyFileSync(at("odd.gguf"), path("same.gguf"));
      copyFileSync(at("imatrix/source.gguf"), path("source-imatrix.gguf"));
      cpSync(at("split"), path("split"), { recursive: true });
      writeFileSync(path("types.txt"), "attn_q=q5_k\nffn_down_exps=q6_k attn_v=q8_0\n");
      await quantize(path("source.gguf"), path("q8.gguf"), { type: "Q8_0" });
      const before = readdirSync(folder).sort();
      const cases = Object.entries(json("fixtures/quantize/options.json")) as [string, any][];
      let seen = 0;
      for (const [name, expected] of cases) {
        if (name === "options_that_exist") continue;
        seen++;
        const { source, out, options } = optionsOf(expected.arguments, path);
        if (name === "tensor_type_file") {
          const args = [
            "quantize",
            path(source),
            path(out),
            "--type",
            options.type,
            "--tensor-type-file",
            path("types.txt"),
          ];
          const { status, stderr } = await tramontane([...args, "--quiet"]);
          assert.is(status, 0, stderr);
        } else {
          const run = quantize(path(source), path(out), options);
          if (expected.status !== 0) {
            assert.instance(await failure(run), TramontaneError, name);
            assert.equal(readdirSync(folder).sort(), before, name);
            continue;
          }
          const { warnings } = await run;
          assert.is(
            warnings.some((text) => text.includes("matches no tensor")),
            warned.includes(name),
            name,
          );
        }
        const files = readdirSync(folder)
          .filter((file) => !before.includes(file))
          .sort();
        const ends = (names: readonly string[]) => names.map((file) => file.replace(/^[^.-]*/, ""));
        assert.equal(ends(files), ends(expected.files ?? ["OUT.gguf"]), name);
        const headers = await Promise.all(files.map((file) => headerOf(path(file))));
        const tensors = headers
          .flatMap(({ tensors }) => tensors)
          .map(({ name, format }) => ({ name, to: format.name }));
        const { metadata } = headers[0];
        const types =
          expected.types === "as without the options"
            ? typesOf(
                await quantize(path(source), "never", {
                  type: options.type,
                  imatrix: options.imatrix,
                  prune_layers: options.prune_layers,
                  allow_requantize: options.allow_requantize,
                  dry_run: true,
                }),
              )
            : expected.types;
        assert.equal(typesOf({ tensors }), types, name);
        assert.is(metadata.get("general.file_type"), expected.file_type, name);
        for (const [key, value] of Object.entries(expected.metadata ?? {}))
          assert.is(metadata.get(key), value, `${name}: ${key}`);
        if (!expected.files)
          assert.not.ok(
            [...metadata.keys()].some((key) => key.startsWith("split.")),
            name,
          );
        for (const file of files) rmSync(path(file));
      }
      assert.is(seen, 57);
    }));

  for (const source of ["source", "demo"]) {
    test(`every file type of ${source}`, async () => {
      const path = source === "demo" ? demo : at("source.gguf");
      let seen = 0;
      for (const [type, ways] of Object.entries(json("fixtures/quantize/files.json")[source]) as [string, any][]) {
        for (const way of ["none", "imatrix"] as const) {
          const expected = ways[way];
          if (!expected) continue;
          const imatrix = way === "imatrix" ? at(`imatrix/${source}.gguf`) : undefined;
          const result = await quantize(path, "never", { type, imatrix, dry_run: true });
          const types = expected.types === "as without" ? ways.none.types : expected.types;
          assert.equal(typesOf(result), types, `${type}, ${way}`);
          seen++;
        }
      }
      assert.ok(seen > 50, `${seen}`);
    });
  }

  test("metadata keep their order, new ones come last; tensors come by layer and name", async () => {
    const files = json("fixtures/quantize/files.json");
    await inFolder(async (folder) => {
      for (const [way, imatrix] of [
        ["none", undefined],
        ["imatrix", at("imatrix/source.gguf")],
      ] as const) {
        const out = join(folder, `${way}.gguf`);
        await quantize(at("source.gguf"), out, { type: "Q4_K_M", imatrix });
        const { metadata, tensors } = await headerOf(out);
        const expected = files[`metadata_${way}`];
        assert.equal([...metadata.keys()], expected.keys);
        assert.equal(
          tensors.map(({ name }) => name),
          expected.order_of_tensors,
        );
        for (const [key, value] of Object.entries(expected.added))
          assert.equal(metadata.get(key), key === "quantize.imatrix.file" ? "source.gguf" : value, key);
        assert.is(statSync(out).size, files.source.Q4_K_M[way].bytes);
      }
    });
  });

  test("importance matrices of both forms are one, and damaged ones are refused by name", async () => {
    const platform = await currentPlatform();
    const [gguf, lists] = [
      await readImatrix(platform, at("imatrix/demo.gguf")),
      await readImatrix(platform, at("imatrix/demo.dat")),
    ];
    assert.equal([...gguf.entries.keys()].sort(), [...lists.entries.keys()].sort());
    assert.equal([gguf.chunk_count, gguf.datasets, lists.datasets], [16, ["text.txt"], ["text.txt"]]);
    for (const [name, { values }] of gguf.entries)
      for (const [i, value] of lists.entries.get(name)!.values.entries())
        assert.ok(Math.abs(value - values[i]) <= 1e-5 * Math.abs(values[i]), name);
    const bad = json("fixtures/quantize/imatrix/bad/bad.json");
    for (const [name, { must, words }] of Object.entries(bad) as [string, any][]) {
      const run = quantize(at("source.gguf"), "never", {
        type: "Q4_K_M",
        imatrix: at(`imatrix/bad/${name}`),
        dry_run: true,
      });
      const error = await run.then(
        () => undefined,
        (error: Error) => error,
      );
      if (must === "be read") assert.is(error, undefined, `${name}: ${error?.message}`);
      if (error) assert.instance(error, TramontaneError, name);
      if (must === "be refused")
        assert.ok(
          words.some((word: string) => error?.message.toLowerCase().includes(word.toLowerCase())),
          `${name}: ${error?.message}`,
        );
    }
  });
}

test("general.file_type is what was made: what was asked for, unless options have made most of it another", () =>
  inFolder(async (folder) => {
    const out = join(folder, "out.gguf");
    for (const [options, id] of [
      [{ type: "Q4_K_M" }, 15],
      [{ type: "Q4_K_M", pure: true }, 15],
      [{ type: "Q4_K_M", output_tensor_type: "f16", token_embedding_type: "f16" }, 15],
      [{ type: "Q4_K_M", tensor_types: [["attn", "q8_0"]] }, 15],
      [{ type: "Q4_K_M", tensor_types: [["ffn_.*_exps", "q8_0"]] }, 7],
      [{ type: "Q8_0", tensor_types: [[".", "q4_k"]] }, 14],
      [{ type: "Q8_0", tensor_types: [[".", "iq3_s"]] }, 26],
      [{ type: "Q8_0", tensor_types: [[".", "mxfp4"]] }, 38],
      [{ type: "Q8_0", tensor_types: [["exps", "f16"]] }, 1],
    ] as const) {
      await quantize(demo, out, { ...options, overwrite: true } as QuantizeOptions);
      const { metadata } = await headerOf(out);
      assert.is(metadata.get("general.file_type"), id, JSON.stringify(options));
    }
  }));

test("quantized again is refused by name, but to the same type, or where it is allowed", () =>
  inFolder(async (folder) => {
    const [q8, out] = [join(folder, "q8.gguf"), join(folder, "out.gguf")];
    await quantize(demo, q8, { type: "Q8_0" });
    for (const type of ["Q4_K_M", "F16", "F32"]) {
      const error = await failure(quantize(q8, out, { type }));
      assert.instance(error, InputError);
      assert.match(error.message, /^output\.weight: it is Q8_0 already/);
    }
    assert.equal(readdirSync(folder), ["q8.gguf"]);
    await quantize(q8, out, { type: "Q8_0" });
    assert.is(Buffer.compare(readFileSync(out), readFileSync(q8)), 0);
    const { tensors } = await quantize(q8, out, { type: "Q4_0", allow_requantize: true, dry_run: true });
    assert.ok(tensors.some(({ to }) => to === "Q4_0"));
    const copied = await quantize(q8, out, { type: "copy", overwrite: true });
    assert.is(copied.bytes, statSync(q8).size);
  }));

test("a folder and the GGUF made of it give the same bytes, by any number of threads", () =>
  inFolder(async (folder) => {
    const path = (name: string) => join(folder, name);
    await quantize(demo, path("f32.gguf"), { type: "F32" });
    const [one, three] = [path("one.gguf"), path("three.gguf")];
    await quantize(demo, one, { type: "Q4_0", threads: 1 });
    await quantize(path("f32.gguf"), three, { type: "Q4_0", threads: 3 });
    assert.is(Buffer.compare(readFileSync(one), readFileSync(three)), 0);
  }));

test("the vocabulary of a folder and of its GGUF give the same ids and texts", () =>
  inFolder(async (folder) => {
    const out = join(folder, "demo.gguf");
    await quantize(demo, out, { type: "Q8_0" });
    const [ours, theirs] = [await AutoTokenizer.from_pretrained(out), await AutoTokenizer.from_pretrained(demo)];
    const { cases } = json("tokenizers/mixtral/cases.json");
    const texts: string[] = [
      ...cases.map(({ text }: { text: string }) => text),
      "What is pesto made of?",
      "  two  spaces\n\ttab",
      "🦙 é",
    ];
    for (const text of texts) {
      const ids = theirs.encode(text);
      assert.equal(ours.encode(text), ids, JSON.stringify(text));
      assert.is(ours.decode(ids), theirs.decode(ids));
    }
    const messages = [{ role: "user", content: "What is pesto made of?" }];
    assert.equal(
      ours.apply_chat_template(messages, { tokenize: false }),
      theirs.apply_chat_template(messages, { tokenize: false }),
    );
    assert.equal(
      [ours.bos_token_id, ours.eos_token_id, ours.unk_token_id],
      [theirs.bos_token_id, theirs.eos_token_id, theirs.unk_token_id],
    );
  }));

test("a run that was cut is gone on with, and comes to the same bytes; another's beginning is not used", () =>
  inFolder(async (folder) => {
    const [whole, out] = [join(folder, "whole.gguf"), join(folder, "out.gguf")];
    await quantize(demo, whole, { type: "Q8_0" });
    const controller = new AbortController();
    const { signal } = controller;
    const stop = new Error("enough");
    let seen = 0;
    const cut = quantize(demo, out, {
      type: "Q8_0",
      signal,
      progress_callback: ({ loaded, total }) => {
        seen++;
        if (loaded > total / 2) controller.abort(stop);
      },
    });
    assert.is(await failure(cut), stop);
    assert.ok(seen > 5);
    assert.equal(readdirSync(folder).sort(), ["out.gguf.partial", "out.gguf.partial.json", "whole.gguf"]);
    const kept = JSON.parse(readFileSync(`${out}.partial.json`, "utf8")).bytes;
    assert.ok(kept > statSync(whole).size / 3 && kept < statSync(whole).size, `${kept}`);
    // Bytes behind what was safe may be anything.
    writeFileSync(
      `${out}.partial`,
      Buffer.concat([readFileSync(`${out}.partial`).subarray(0, kept), Buffer.alloc(999, 7)]),
    );
    const first: number[] = [];
    await quantize(demo, out, { type: "Q8_0", progress_callback: ({ loaded, total }) => first.push(loaded / total) });
    assert.ok(first[0] > 0.3, `${first[0]}`);
    assert.is(Math.max(...first), 1);
    assert.is(Buffer.compare(readFileSync(out), readFileSync(whole)), 0);
    assert.equal(readdirSync(folder).sort(), ["out.gguf", "whole.gguf"]);

    const other = join(folder, "other.gguf");
    writeFileSync(`${other}.partial`, readFileSync(whole).subarray(0, kept));
    writeFileSync(`${other}.partial.json`, JSON.stringify({ identity: "another", bytes: kept }));
    await quantize(demo, other, { type: "Q8_0" });
    assert.is(Buffer.compare(readFileSync(other), readFileSync(whole)), 0);
  }));

test("what is there stays: it is refused to write over it, over the source, or where nothing can be written", () =>
  inFolder(async (folder) => {
    const out = join(folder, "out.gguf");
    writeFileSync(out, "mine");
    const there = await failure(quantize(demo, out, { type: "Q8_0" }));
    assert.instance(there, InputError);
    assert.match(there.message, /it is there already/);
    assert.is(readFileSync(out, "utf8"), "mine");
    await quantize(demo, out, { type: "Q8_0", overwrite: true });
    const same = await failure(quantize(out, out, { type: "Q8_0", overwrite: true }));
    assert.match(same.message, /expected another file than the source/);
    const nowhere = await failure(quantize(demo, join(folder, "no", "such.gguf"), { type: "Q8_0" }));
    assert.instance(nowhere, WriteError);
    assert.match((await failure(quantize(demo, folder, { type: "Q8_0" }))).message, /found a folder/);
    assert.equal(readdirSync(folder), ["out.gguf"]);
  }));

test("options are checked by name before anything is opened", async () => {
  for (const [options, message] of [
    [{}, /^type: expected one of F32, .*found nothing/],
    [{ type: "Q4_X" }, /^type: expected one of .*Q4_K_M.*found "Q4_X"/],
    [{ type: "Q8_0", imatirx: "x" }, /^quantize: unknown option imatirx: did you mean imatrix\?/],
    [
      { type: "Q8_0", tensor_types: [["(", "q8_0"]] },
      /^tensor_types: expected a regular expression whose groups are closed, found "\("/,
    ],
    [{ type: "Q8_0", tensor_types: [["a", "q9_0"]] }, /^tensor_types: "a": expected one of/],
    [{ type: "Q8_0", threads: 0 }, /^threads/],
    [{ type: "Q8_0", include_weights: ["a"], exclude_weights: ["b"] }, /expected one of them, found both/],
    [{ type: "Q8_0", signal: {} }, /^signal/],
    [{ type: "Q8_0", pure: "yes" }, /^pure/],
  ] as const) {
    const error = await failure(quantize("nowhere", "out", options as never));
    assert.instance(error, InputError);
    assert.match(error.message, message);
  }
  assert.ok(!existsSync("out"));
});

test.run();
