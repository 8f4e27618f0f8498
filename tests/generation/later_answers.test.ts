// Functions whose answers come later: every way of generating gives what it gives with functions that answer at once, other
// calls go on meanwhile, and a call that ends while it waits leaves nothing behind.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { laterAnswer } from "../../src/callbacks.ts";
import type { GenerateInputs } from "../../src/generation/generate_inputs.ts";
import { EngineError, InputError, MixtralForCausalLM, StoppingCriteriaList, type Tensor } from "../../src/index.ts";
import { failure } from "../failure.ts";
import { fixture } from "../fixtures.ts";
import { sameBits } from "../model/compare.ts";

type WithDict = GenerateInputs & { return_dict_in_generate: true };
const load = (name = "base") => MixtralForCausalLM.from_pretrained(fixture(`fixtures/hf/${name}`), { threads: 2 });
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const prompt = Array.from({ length: 12 }, (_, i) => ((i % 4) * 31 + 5) % 150);
const rows = [prompt, prompt.map((id) => (id * 7) % 150)];
const settings = { max_new_tokens: 14, eos_token_id: [7, 11], pad_token_id: 2, repetition_penalty: 1.3 };

let answers = 0;
/** The same functions, whose answers come after a while. */
const later = <Given extends unknown[], T>(ask: (...given: Given) => T) =>
  laterAnswer(async (...given: Given): Promise<T> => {
    await (++answers % 3 === 0 ? pause(1) : undefined);
    return ask(...given);
  });

/** Of which the order matters: one changes what it is given, the next gives back others. */
const raise = (ids: number[][], scores: Tensor) => {
  for (const [row, of] of ids.entries()) scores.row(row).data[(of.length * 13) % 150] += 3;
};
const halve = (_: number[][], scores: Tensor) => (scores.data as Float32Array).map((score) => score / 2 - 0.25);
const ends = (ids: number[][], scores: Tensor | undefined) =>
  ids.map(
    (row, i) =>
      row.length > 18 && (scores!.row(i % scores!.dims[0]).data as Float32Array)[row[3]] < 1 && row.at(-1)! % 3 === 0,
  );
const odd = (batch: number, ids: number[]) =>
  Array.from({ length: 160 }, (_, id) => id).filter((id) => (id + batch + ids.length) % 5 !== 0);

const functions: Record<string, (as: typeof later) => Partial<GenerateInputs>> = {
  processors: (as) => ({ logits_processor: [as(raise), as(halve)] }),
  "a processor behind one that answers at once": (as) => ({ logits_processor: [raise, as(halve)] }),
  criteria: (as) => ({ stopping_criteria: new StoppingCriteriaList([new StoppingCriteriaList([as(ends)])]) }),
  "a prefix function": (as) => ({ prefix_allowed_tokens_fn: as(odd) }),
  all: (as) => ({ logits_processor: as(raise), stopping_criteria: as(ends), prefix_allowed_tokens_fn: as(odd) }),
};
const atOnce = (<Ask>(ask: Ask) => ask) as unknown as typeof later;

const ways: Record<string, Partial<GenerateInputs>> = {
  greedy: {},
  sampling: { do_sample: true, seed: 3, num_return_sequences: 2, temperature: 1.4 },
  guidance: { guidance_scale: 1.7 },
  beams: { num_beams: 3, num_return_sequences: 2 },
  "drawn beams": { num_beams: 2, do_sample: true, seed: 8 },
  assisted: { input_ids: [prompt], prompt_lookup_num_tokens: 4, num_assistant_tokens_schedule: "constant" },
};

for (const [name, way] of Object.entries(ways)) {
  test(`${name}: tokens, scores and reasons are those of functions that answer at once`, async () => {
    await using model = await load();
    const tell = { return_dict_in_generate: true, output_scores: true, output_logits: true, use_cache: false };
    for (const [what, make] of Object.entries(functions)) {
      const run = (as: typeof later) =>
        model.generate({ input_ids: rows, ...settings, ...way, ...make(as), ...tell } as WithDict);
      const before = answers;
      const [expected, found] = [await run(atOnce), await run(later)];
      assert.ok(answers >= before + (expected.sequences.dims[1] - 12), `${what}: ${answers - before} answers`);
      assert.equal(found.sequences.tolist(), expected.sequences.tolist(), what);
      assert.equal(found.finish_reasons, expected.finish_reasons, what);
      for (const kind of ["scores", "logits"] as const) {
        assert.is(found[kind]!.length, expected[kind]!.length);
        for (const [i, { data }] of found[kind]!.entries())
          assert.ok(sameBits(data as Float32Array, expected[kind]![i].data as Float32Array), `${what}: ${kind} ${i}`);
      }
    }
    assert.is(model.info().cache_bytes, 0);
  });
}

test("a cache holds afterwards what it holds with a criterion that answers at once", async () => {
  for (const name of ["base", "window_8"]) {
    await using model = await load(name);
    const held = async (as: typeof later) => {
      const cache = model.create_cache(1);
      const first = await model.generate({
        ...settings,
        input_ids: [prompt],
        past_key_values: cache,
        stopping_criteria: as(ends),
      });
      const length = cache.get_seq_length();
      const next = await model.generate({ ...settings, input_ids: first, past_key_values: cache });
      cache.dispose();
      assert.ok(length > 18 && length < 25, `ended by its criterion: ${length}`);
      return { first: first.tolist(), length, next: next.tolist() };
    };
    // Others keep the scheduler busy, so that the row's next step may begin before the answer is there.
    const busy = model.generate({ input_ids: [1, 2, 3], max_new_tokens: 60, eos_token_id: null });
    busy.catch(() => {});
    assert.equal(await held(later), await held(atOnce));
    await busy;
  }
});

/** A call that waits for an answer, which `answer` gives. */
async function held(model: MixtralForCausalLM, kind: string, more: Partial<GenerateInputs> = {}) {
  let [answer, reject] = [(_: unknown) => {}, (_: Error) => {}];
  let asked = 0;
  let waiting = () => {};
  const waits = new Promise<void>((resolve) => (waiting = resolve));
  const stub = laterAnswer(
    () =>
      new Promise<unknown>((...settle) => {
        [answer, reject] = settle;
        asked++;
        waiting();
      }),
  );
  const call = model.generate({ input_ids: rows, ...settings, eos_token_id: null, ...more, [kind]: stub });
  call.catch(() => {});
  await Promise.race([waits, call]);
  return {
    call,
    answer: (given?: unknown) => answer(given),
    reject: (error: Error) => reject(error),
    asked: () => asked,
  };
}

const kinds: Record<string, unknown> = {
  logits_processor: undefined,
  stopping_criteria: false,
  prefix_allowed_tokens_fn: Array.from({ length: 160 }, (_, id) => id),
};
const strategies = [
  {},
  { do_sample: true, seed: 1 },
  { num_beams: 2 },
  { prompt_lookup_num_tokens: 3, input_ids: [prompt] },
];

test("other calls come to their end while one waits", async () => {
  await using model = await load();
  const other = { input_ids: [3, 4, 5], max_new_tokens: 20, eos_token_id: null };
  const expected = (await model.generate(other)).tolist();
  for (const [kind, nothing] of Object.entries(kinds)) {
    const alone = (await model.generate({ input_ids: [prompt], ...settings, eos_token_id: null })).tolist();
    const first = await held(model, kind, { input_ids: [prompt] });
    assert.equal((await model.generate(other)).tolist(), expected);
    assert.equal((await model.generate({ ...other, logits_processor: later(() => {}) })).tolist(), expected);
    assert.is(first.asked(), 1, "it is asked once");
    let ended = false;
    void first.call.then(() => (ended = true));
    for (let i = 0; !ended && i < 1000; i++) {
      first.answer(nothing);
      await pause(0);
    }
    assert.equal((await first.call).tolist(), alone, kind);
    assert.is(first.asked(), 14);
  }
});

test("a rejection, and an answer that is wrong, fail the call alone", async () => {
  await using model = await load();
  const { available } = model.engine.logits.regions;
  for (const way of strategies) {
    for (const kind of Object.keys(kinds)) {
      const error = new Error("no answer");
      const [one, other] = [await held(model, kind, way), await held(model, kind, way)];
      one.reject(error);
      assert.is(await failure(one.call), error);
      other.answer(["wrong"]);
      const wrong = await failure(other.call);
      assert.match(wrong.message, new RegExp(`^${kind}: expected `));
    }
  }
  const throws = () => {
    throw new RangeError("at once");
  };
  const call = model.generate({ input_ids: [1], ...settings, logits_processor: laterAnswer(throws) });
  assert.instance(await failure(call), RangeError);
  const refused = model.generate({ input_ids: [1], ...settings, logits_processor: async () => {} });
  assert.instance(await failure(refused), InputError);
  assert.is(model.engine.logits.regions.available, available);
  assert.is(model.info().cache_bytes, 0);
});

test("a call that is aborted while it waits ends at once, and an answer that comes then is nobody's", async () => {
  await using model = await load();
  const { available } = model.engine.logits.regions;
  for (const way of strategies) {
    for (const [kind, nothing] of Object.entries(kinds)) {
      const controller = new AbortController();
      const reason = new Error("enough");
      const waiting = await held(model, kind, { ...way, signal: controller.signal });
      controller.abort(reason);
      const error = (await failure(waiting.call)) as unknown as Error & { partial: Tensor };
      assert.is(error.cause, reason);
      const shown = kind === "stopping_criteria" && way.num_beams === undefined ? 1 : 0;
      assert.is(error.partial.dims[1], 12 + shown);
      assert.is(model.engine.logits.regions.available, available, "its memory is given back");
      assert.is(model.info().cache_bytes, 0);
      // What others have of it by now stays as it is.
      const { regions, memory } = model.engine.logits;
      const at = regions.take(available)!;
      const words = new Float32Array(memory.buffer, at, available / 4).fill(7);
      waiting.answer(nothing);
      await pause(1);
      assert.ok(words.every((word) => word === 7));
      regions.give(at, available);
      assert.is(waiting.asked(), 1);
    }
  }
});

test("a model that is disposed while a call waits fails the call", async () => {
  for (const way of strategies) {
    const model = await load();
    const calls = await Promise.all(Object.keys(kinds).map((kind) => held(model, kind, way)));
    await model.dispose();
    for (const { call, answer, asked } of calls) {
      assert.instance(await failure(call), EngineError);
      answer();
      await pause(0);
      assert.is(asked(), 1);
    }
  }
});

test.run();
