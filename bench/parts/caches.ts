// What the formats of caches cost: logits against those of an f32 cache, and perplexity. Runs only when named.
import { basename } from "node:path";
import { runProgram } from "../child.ts";
import { type Part, subject } from "../part.ts";
import type { CacheResult, CachesRequest } from "../quality.ts";

export const caches: Part = {
  name: "caches",
  title: "What cache formats cost",
  async run(context) {
    const { facts, llama_cpp, ...text } = subject(context);
    const tables = [];
    for (const path of context.models) {
      context.log(path);
      const compared = context.quick ? 64 : 2048;
      const request: CachesRequest = { kind: "caches", path, threads: context.threads, compared, ...text };
      const found = await runProgram<CacheResult[]>("quality", [JSON.stringify(request)], context.runtime);
      const [{ perplexity: exact, spread }] = found;
      tables.push({
        columns: [
          basename(path),
          "bytes a position",
          "RMS error of logits",
          "largest",
          "other first choices",
          "perplexity",
          "against f32",
        ],
        rows: found.map((each) => [
          each.kv_dtype,
          String(each.position_bytes),
          `${each.rms.toExponential(1)} (${((100 * each.rms) / spread).toFixed(3)} % of their spread)`,
          each.largest.toExponential(1),
          `${each.other_choices} of ${each.compared}`,
          each.perplexity.toFixed(4),
          `${(100 * (each.perplexity / exact - 1)).toFixed(3)} %`,
        ]),
      });
    }
    return {
      notes: [
        `Errors are those of the logits of the first ${context.quick ? 64 : 2048} tokens of ${basename(text.text)}, against those with a cache in f32; perplexity is that of the whole text in windows of ${text.context} moved by ${text.stride}. A router that decides otherwise moves single logits far.`,
      ],
      tables,
      charts: [],
      targets: [],
    };
  },
};
