// What every weight format costs and saves: size, perplexity, facts that are still right, and speed, of one model in several
// files. Runs only when named: npm run bench -- formats DIR
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { runProgram } from "../child.ts";
import { type Part, subject } from "../part.ts";
import type { FormatRequest, FormatResult } from "../quality.ts";
import { type Cell, figure, target } from "../report.ts";

export const formats: Part = {
  name: "formats",
  title: "What weight formats cost",
  async run(context) {
    const { facts, llama_cpp, ...text } = subject(context);
    const models = context.models.flatMap(modelsIn);
    const rows: { bytes: number; cells: Cell[] }[] = [];
    const targets = [];
    for (const path of models) {
      context.log(path);
      const [prompt, tokens, rounds] = context.quick ? [8, 4, 1] : [256, 128, 3];
      const request: FormatRequest = {
        kind: "format",
        path,
        threads: context.threads,
        facts,
        prompt,
        tokens,
        rounds,
        ...text,
      };
      const found = await runProgram<FormatResult>("quality", [JSON.stringify(request)], context.runtime);
      const name = basename(path).replace(/(-00001-of-\d+)?\.gguf$/, "");
      const bytes = sizeOf(path);
      const right = facts.length - found.wrong.length;
      for (const wrong of found.wrong) context.log(`${name}: wrong: ${wrong}`);
      rows.push({
        bytes,
        cells: [
          name,
          Object.entries(found.formats)
            .toSorted(([, a], [, b]) => b - a)
            .map(([format]) => format)
            .join(", "),
          `${(bytes / 1e6).toFixed(1)} MB`,
          found.bits_per_weight.toFixed(2),
          found.perplexity.toFixed(4),
          facts.length ? `${right} of ${facts.length}` : null,
          figure(`${name} prompt`, "tok/s", found.prompt_rates),
          figure(`${name} generated`, "tok/s", found.rates),
        ],
      });
      const theirs = llama_cpp[name.split("-").at(-1)!.toUpperCase()];
      if (theirs !== undefined && facts.length > 0 && !context.quick)
        targets.push(target(`${name}: facts, of ${facts.length}`, right, { least: theirs }, ""));
    }
    return {
      notes: [
        `Bits a weight are those of the matrices, perplexity is that of ${basename(text.text)} in windows of ${text.context} moved by ${text.stride}${facts.length ? "; facts are the demo model's, asked in its chat form and answered greedily, right where the answer begins with a right one" : ""}. Speed: a prompt of 256 tokens, answered with 128, ${context.threads} threads.`,
      ],
      tables: [
        {
          columns: ["model", "formats", "size", "bits a weight", "perplexity", "facts right", "prompt", "generated"],
          rows: rows.toSorted((a, b) => b.bytes - a.bytes).map(({ cells }) => cells),
        },
      ],
      charts: [],
      targets,
    };
  },
};

/** A model as it is, or all models of a folder. */
function modelsIn(path: string): string[] {
  if (!statSync(path).isDirectory() || existsSync(join(path, "config.json"))) return [path];
  return readdirSync(path)
    .filter((name) =>
      name.endsWith(".gguf")
        ? !/-of-\d+\.gguf$/.test(name) || /-00001-of-/.test(name)
        : existsSync(join(path, name, "config.json")),
    )
    .sort()
    .map((name) => join(path, name));
}

/** Bytes of a model's weights on the disk. */
function sizeOf(path: string): number {
  if (statSync(path).isDirectory())
    return readdirSync(path)
      .filter((name) => name.endsWith(".safetensors"))
      .reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
  const [, stem, count] = /^(.*)-00001-of-(\d+)\.gguf$/.exec(path) ?? [];
  const parts = Array.from(
    { length: Number(count ?? 0) },
    (_, i) => `${stem}-${String(i + 1).padStart(5, "0")}-of-${count}.gguf`,
  );
  return (stem === undefined ? [path] : parts).reduce((sum, part) => sum + statSync(part).size, 0);
}
