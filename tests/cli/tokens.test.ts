// tramontane tokenize and logits: ids, tokens and texts of a text.
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AutoModelForCausalLM, AutoTokenizer } from "../../src/index.ts";
import { demo, fixture } from "../fixtures.ts";
import { tramontane } from "./command.ts";

const model = ["-m", "models/demo"];
const tokenizer = await AutoTokenizer.from_pretrained(demo);
const text = "Ketchup is </s> red.";
const ids = tokenizer.encode(text);

test("tokenize: a line for each token; ids alone; JSON; and back", async () => {
  const lines = await tramontane(["tokenize", ...model, text]);
  assert.equal([lines.status, lines.stderr], [0, ""]);
  assert.equal(
    lines.stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.trim().split("  ")),
    ids.map((id) => [`${id}`, JSON.stringify(tokenizer.convert_ids_to_tokens(id))]),
  );
  assert.is((await tramontane(["tokenize", ...model, "--ids", "-"], text)).stdout, `${ids.join(",")}\n`);
  const { stdout } = await tramontane(["tokenize", ...model, "--json"], text);
  assert.equal(JSON.parse(stdout), { ids, tokens: tokenizer.convert_ids_to_tokens(ids) });
  const back = await tramontane(["tokenize", ...model, "--decode", ids.join(",")]);
  assert.is(back.stdout, `${tokenizer.decode(ids)}\n`);
});

test("tokenize: without special tokens, and with their texts as text", async () => {
  const plain = await tramontane(["tokenize", ...model, "--ids", "--no-add-special-tokens", text]);
  assert.is(plain.stdout, `${tokenizer.encode(text, { add_special_tokens: false }).join(",")}\n`);
  const split = await tramontane(["tokenize", ...model, "--ids", "--split-special-tokens", text]);
  assert.is(split.stdout, `${tokenizer.encode(text, { split_special_tokens: true }).join(",")}\n`);
});

test("logits: of a text as of its ids, with each token and its probability", async () => {
  const [by_text, by_ids] = [
    await tramontane(["logits", ...model, text, "--top", "2"]),
    await tramontane(["logits", ...model, "--ids", ids.join(","), "--top", "2"]),
  ];
  assert.equal([by_text.status, by_text.stdout], [0, by_ids.stdout]);
  await using loaded = await AutoModelForCausalLM.from_pretrained(demo);
  const { logits } = await loaded({ input_ids: ids });
  const row: number[] = logits[0][1].tolist();
  const best = row.indexOf(Math.max(...row));
  const share = 1 / row.reduce((sum, value) => sum + Math.exp(value - row[best]), 0);
  const named = (id: number) => `${id} ${JSON.stringify(tokenizer.convert_ids_to_tokens(id))}`;
  const line = by_text.stdout.split("\n")[1];
  assert.is(
    line.split(", ")[0],
    `1 ${named(ids[1])}: ${named(best)} ${row[best].toFixed(4)} ${(100 * share).toFixed(1)} %`,
  );
  assert.is(line.split(", ").length, 2);
});

test("logits: ids need no tokenizer", async () => {
  const { status, stdout, stderr } = await tramontane(["logits", "-m", fixture("fixtures/hf/base"), "--ids", "1,5"]);
  assert.equal([status, stderr], [0, ""]);
  assert.match(stdout, /^0 1: \d+ -?[\d.]+ [\d.]+ %, .*\n1 5: .*\n$/);
  const { status: failed, stderr: why } = await tramontane(["logits", "-m", join(demo, "config.json"), "text"]);
  assert.is(failed, 1);
  assert.match(why, /config\.json/);
});

test.run();
