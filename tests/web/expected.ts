// What Node computes, for suites to be compared with: of each checkpoint its files on the harness's server and the hash of its
// logits, and a sampled answer of the demo model. Made once, when a suite asks for it.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { AutoTokenizer, type LoadOptions, MixtralForCausalLM } from "../../src/index.ts";
import { demo, fixturesFrom, root } from "../fixtures.ts";
import { checkpoints } from "../runtimes/checkpoints.ts";
import { hashOf, sampledAnswer } from "../runtimes/logits.ts";

export interface ExpectedCheckpoint {
  readonly name: string;
  readonly files: readonly string[];
  readonly options: LoadOptions;
  readonly hash: string;
}

export interface Expected {
  readonly checkpoints: readonly ExpectedCheckpoint[];
  readonly demo: { readonly files: readonly string[]; readonly answer: string };
}

/** Paths by their URLs on the server. */
const served = new Map<string, string>();

/** The file of a URL, where it is one of a checkpoint's. */
export const checkpointFile = (url: string): string | undefined => served.get(url);

/** Puts a checkpoint's files on the server. @returns their URLs */
function serve(name: string, path: string): string[] {
  const inside = () => readdirSync(path).map((file) => join(path, file));
  const files = statSync(path).isDirectory() ? inside().filter((file) => statSync(file).isFile()) : [path];
  return files.map((file) => {
    const url = `/checkpoint/${encodeURIComponent(name)}/${basename(file)}`;
    served.set(decodeURIComponent(url), file);
    return url;
  });
}

let made: Promise<Expected> | undefined;

/** @throws where Node's hashes are not those that are recorded */
export function expected(): Promise<Expected> {
  made ??= make();
  return made;
}

async function make(): Promise<Expected> {
  const recorded = JSON.parse(readFileSync(join(root, "tests", "runtimes", "hashes.json"), "utf8"));
  const list: ExpectedCheckpoint[] = [];
  for (const [name, path, options = {}] of await checkpoints()) {
    await using model = await MixtralForCausalLM.from_pretrained(path, { ...options, threads: 2 });
    const hash = await hashOf(model);
    if (fixturesFrom === "../shared" && recorded[name] && recorded[name] !== hash)
      throw new Error(`${name}: expected ${recorded[name]}, found ${hash}`);
    list.push({ name, files: serve(name, path), options, hash });
  }
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
  const answer = await sampledAnswer(model, await AutoTokenizer.from_pretrained(demo));
  return { checkpoints: list, demo: { files: serve("demo", demo), answer } };
}
