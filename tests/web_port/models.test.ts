// Models and caches as a page has them: the same results and the same errors as of the library itself.
import { test } from "uvu";
import * as assert from "uvu/assert";
import * as library from "../../src/index.ts";
import * as web from "../../src/web/index.ts";
import { failure } from "../failure.ts";
import { demo, fixture } from "../fixtures.ts";
import { collectUntil } from "../garbage.ts";
import "./connect.ts";
import { die, engines } from "./connect.ts";
import { both, bothFail, plain, sides } from "./sides.ts";

type Library = typeof library;
const ids = Array.from({ length: 20 }, (_, i) => (i * 37 + 5) % 1000);

test("every name of the library, and what only pages ask", () => {
  assert.equal(Object.keys(web).sort(), [...Object.keys(library), "request_persistence"].sort());
});

test("forward: values, shapes, what else was asked for", async () => {
  await both(async (side) => {
    await using model = await side.AutoModelForCausalLM.from_pretrained(demo, { threads: 2 });
    const options = { output_hidden_states: true, output_router_logits: true, labels: [ids] };
    const { logits, loss, aux_loss, hidden_states, router_logits, past_key_values } = await model({
      input_ids: [ids],
      ...options,
    });
    assert.instance(logits, side.Tensor);
    const lists = [hidden_states!, router_logits!].map((list) => list.map(plain));
    return [plain(logits), loss, aux_loss, ...lists, past_key_values === undefined];
  });
});

test("every class of models, by its own name and by the Auto class", async () => {
  for (const [name, auto, path] of [
    ["MixtralModel", "AutoModel", demo],
    ["MixtralForCausalLM", "AutoModelForCausalLM", demo],
  ] as const)
    await both(async (side) => {
      const results = [];
      for (const Class of [side[name], side[auto]] as unknown as Library["MixtralModel"][]) {
        await using model = await Class.from_pretrained(path);
        assert.is(model.constructor.name, name);
        assert.instance(model, side[name]);
        assert.instance(model, side.PreTrainedModel);
        assert.instance(model.config, side.MixtralConfig);
        const output = await model({ input_ids: ids });
        results.push(Object.keys(output), model.config.to_dict(), model.context);
      }
      return results;
    });
});

test("from_config, with seeds", async () => {
  const shape = {
    ...{ vocab_size: 64, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2 },
    ...{ num_attention_heads: 4, num_key_value_heads: 2, num_labels: 3, pad_token_id: 0 },
  };
  await both(async (side) => {
    const found = [];
    for (const name of [
      "MixtralForSequenceClassification",
      "MixtralForTokenClassification",
      "MixtralForQuestionAnswering",
    ] as const) {
      await using model = await (side[name] as Library["MixtralForTokenClassification"]).from_config(
        new side.MixtralConfig(shape),
        { seed: 7n, threads: 1 },
      );
      const output = (await model({
        input_ids: [
          [5, 6, 7],
          [8, 9, 0],
        ],
      })) as unknown as Record<string, library.Tensor>;
      found.push(Object.entries(output).map(([key, value]) => [key, value.data && plain(value)]));
    }
    return found;
  });
});

test("generate: greedy, sampled with a seed, beams, with scores, with a cache", async () => {
  await both(async (side) => {
    await using model = await side.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
    const found: unknown[] = [];
    for (const options of [
      {},
      { do_sample: true, temperature: 0.8, seed: 5 },
      { num_beams: 3, num_return_sequences: 2 },
      { generation_config: new side.GenerationConfig({ max_new_tokens: 3 }) },
      { prompt_lookup_num_tokens: 3 },
    ])
      found.push(plain((await model.generate({ input_ids: ids, max_new_tokens: 6, ...options })) as library.Tensor));
    const output = await model.generate({
      ...{ input_ids: [ids], max_new_tokens: 4, return_dict_in_generate: true, output_scores: true, top_logprobs: 2 },
    });
    const { sequences, scores, logprobs, finish_reasons, past_key_values } = output;
    found.push(plain(sequences), scores!.map(plain), logprobs, finish_reasons, past_key_values!.get_seq_length());
    assert.instance(past_key_values, side.KeyValueCache);
    found.push(plain(model.compute_transition_scores(sequences, scores!, null, true)));
    past_key_values!.crop(21);
    const fork = past_key_values!.fork();
    fork.crop(-1);
    found.push(past_key_values!.get_seq_length(), fork.get_seq_length());
    for (const cache of [past_key_values!, fork]) {
      const prompt = [...sequences[0].tolist().slice(0, cache.get_seq_length()), 44];
      found.push(plain(await model.generate({ input_ids: prompt, max_new_tokens: 3, past_key_values: cache })));
      found.push(cache.get_seq_length());
      cache.dispose();
    }
    return found;
  });
});

test("streams, and what is told while they go on", async () => {
  await both(async (side) => {
    await using model = await side.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
    const found: unknown[] = [];
    for await (const id of model.stream({ input_ids: ids, max_new_tokens: 5 })) found.push(id);
    for await (const id of model.stream({ input_ids: ids, max_new_tokens: 50 })) {
      found.push(id);
      if (found.length > 7) break;
    }
    class Recorder extends side.BaseStreamer {
      put(value: readonly ArrayLike<number>[]): void {
        found.push(Array.from(value[0]));
      }
      end(): void {
        found.push("end");
      }
    }
    const progress: number[] = [];
    await model.generate({
      ...{ input_ids: ids, max_new_tokens: 3, streamer: new Recorder() },
      progress_callback: ({ loaded }) => void progress.push(loaded),
    });
    found.push(progress.at(-1));
    return found;
  });
});

test("processors, criteria and the prefix function are called here, with what they get there", async () => {
  await both(async (side) => {
    await using model = await side.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
    const found: unknown[] = [];
    const generate = async (options: library.GenerateInputs) =>
      found.push(plain((await model.generate({ input_ids: [ids], max_new_tokens: 8, ...options })) as library.Tensor));
    class Never extends side.LogitsProcessor {
      _call(input_ids: number[][], scores: library.Tensor): void {
        found.push(input_ids[0].length, scores.dims);
        for (const row of scores) row.data[13] = Number.NEGATIVE_INFINITY;
        for (const row of scores) row.data[200] += 3;
      }
    }
    await generate({ logits_processor: new Never() });
    await generate({ logits_processor: [(_ids, scores) => scores, new Never()] });
    await generate({ logits_processor: new side.LogitsProcessorList([new Never()]), do_sample: true, seed: 3 });
    await generate({ stopping_criteria: (rows) => rows[0].length >= 24 });
    await generate({
      stopping_criteria: new side.StoppingCriteriaList([
        new side.MaxLengthCriteria(23),
        { _call: (rows) => rows.map(() => false) },
      ]),
    });
    await generate({ prefix_allowed_tokens_fn: (_row, sent) => [100 + sent.length, 7] });
    const output = await model.generate({
      ...{ input_ids: ids, max_new_tokens: 9, return_dict_in_generate: true },
      stopping_criteria: new side.MaxLengthCriteria(22),
    });
    found.push(output.finish_reasons);
    return found;
  });
});

test("what a function throws is what the caller catches", async () => {
  for (const [, side] of sides) {
    await using model = await side.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
    const own = new RangeError("mine");
    const throws = () => {
      throw own;
    };
    const fails = async (options: library.GenerateInputs) =>
      assert.is(
        await failure(model.generate({ input_ids: ids, max_new_tokens: 4, ...options }) as Promise<unknown>),
        own,
      );
    await fails({ logits_processor: throws });
    await fails({ stopping_criteria: throws });
    await fails({ prefix_allowed_tokens_fn: throws });
    await fails({ streamer: { put: throws, end() {} } });
    await fails({ streamer: { put: () => Promise.reject(own), end() {} } });
    await fails({ progress_callback: throws });
  }
  await bothFail(async (side) => {
    await using model = await side.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
    await model.generate({ input_ids: ids, logits_processor: async () => {} });
  });
});

test("aborts: the caller's own reason, with what was generated so far", async () => {
  for (const [name, side] of sides) {
    await using model = await side.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
    const controller = new AbortController();
    const reason = new TypeError("enough");
    let tokens = 0;
    const streamer = {
      put() {
        if (++tokens === 4) controller.abort(reason);
      },
      end() {},
    };
    const error = (await failure(
      model.generate({ input_ids: ids, max_new_tokens: 200, eos_token_id: -1, streamer, signal: controller.signal }),
    )) as unknown as Error & { partial: library.Tensor };
    assert.is(error.cause, reason, name);
    assert.instance(error, TypeError);
    assert.ok(error.partial.dims[1] >= 23, `${name}: ${error.partial.dims}`);
    const before = AbortSignal.abort("too late");
    assert.is(await failure(model.generate({ input_ids: ids, signal: before })), "too late", name);
    assert.is(await failure(side.AutoModel.from_pretrained(demo, { signal: before })), "too late", name);
  }
});

test("an abort reaches a call that waits for its turn, as one before it does for what it was given", async () => {
  const tokenizer = await web.AutoTokenizer.from_pretrained(demo);
  // Ends the engine: the next one does not know the tokenizer, and makes it of data first.
  await (await web.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 })).dispose();
  await using model = await web.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
  const long = { input_ids: ids, max_new_tokens: 200, eos_token_id: -1 };
  const first = model.generate({ input_ids: ids, max_new_tokens: 2, tokenizer, stop_strings: "zzz" });
  const controller = new AbortController();
  const second = failure(model.generate({ ...long, signal: controller.signal }));
  controller.abort("at once");
  assert.is(((await second) as Error).cause, "at once");
  assert.instance(await first, web.Tensor);
});

test("errors: class, code, message and figures", async () => {
  await bothFail((side) => side.AutoModel.from_pretrained("no/such/folder/at/all"));
  await bothFail((side) => side.AutoModel.from_pretrained(5 as never));
  await bothFail((side) => side.AutoModel.from_pretrained(demo, { thread: 2 } as never));
  await bothFail((side) => side.AutoModel.from_pretrained(demo, { signal: 5 } as never));
  await bothFail((side) => side.AutoModelForSequenceClassification.from_pretrained(demo));
  await bothFail((side) => side.MixtralForCausalLM.from_config({ vocab_size: -1 }));
  await bothFail((side) => side.AutoConfig.from_pretrained(`${fixture("fixtures/gguf/blocks")}/none`));
  await bothFail((side) => side.AutoTokenizer.from_pretrained("models/nothing.json"));
  await bothFail((side) => side.models.remove("nobody/nothing"));
  await bothFail((side) => side.quantize("models/none", "out.gguf", { type: "Q4_0" }));
  const memory = await bothFail(async (side) => {
    await using model = await side.AutoModelForCausalLM.from_pretrained(demo, { threads: 1, kv_bytes: 5_000_000 });
    const all = { return_dict_in_generate: true as const, max_new_tokens: 100 };
    await model.generate({ input_ids: Array(64).fill(ids), ...all });
  });
  assert.instance(memory, web.MemoryError);
  const { needed, available } = memory as library.MemoryError;
  assert.ok(needed > available!);
  for (const inputs of [
    undefined,
    "text",
    [1, 2],
    { input_id: ids },
    { input_ids: [[-1]] },
    { input_ids: ids, streamer: 5 },
  ])
    await bothFail(async (side) => {
      await using model = await side.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
      await model.generate(inputs as never);
    });
});

test("caches: whose they are, what they refuse, and when", async () => {
  await both(async (side) => {
    await using model = await side.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
    await using other = await side.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
    const said: string[] = [];
    const says = async (call: () => unknown) => {
      const error = await failure((async () => call())());
      said.push(`${(error as Error).name}: ${(error as Error).message}`);
    };
    const { past_key_values: cache } = await model({ input_ids: ids, use_cache: true });
    await says(() => other({ input_ids: [[4]], past_key_values: cache }));
    await says(() => cache.crop(-30));
    await says(() => cache.crop(1.5));
    cache.crop(100);
    said.push(`${cache.get_seq_length()}`);
    const extending = model({ input_ids: [[4, 5, 6]], past_key_values: cache });
    await says(() => cache.fork());
    await says(() => model({ input_ids: [[4]], past_key_values: cache }));
    await extending;
    said.push(`${cache.get_seq_length()}`);
    cache.dispose();
    cache.dispose();
    await says(() => cache.crop(2));
    await says(() => model({ input_ids: [[4]], past_key_values: cache }));
    for (const rows of [0, 1.5, 1e9]) await says(() => model.create_cache(rows));
    // Behind the demo model's window of 256.
    const long = Array.from({ length: 700 }, (_, i) => (i * 31 + 7) % 1000);
    const { past_key_values: windowed } = await model({ input_ids: [long], use_cache: true });
    await says(() => windowed.crop(100));
    windowed.crop(-100);
    said.push(`${windowed.get_seq_length()}`);
    await says(() => windowed.crop(-300));
    const kept = model.create_cache(1);
    await model({ input_ids: [ids], past_key_values: kept });
    said.push(`${kept.get_seq_length()}`);
    await model.dispose();
    await says(() => kept.fork());
    await says(() => model({ input_ids: ids }));
    await says(() => model.create_cache(1));
    return said;
  });
});

test("adapters", async () => {
  await both(async (side) => {
    await using model = await side.AutoModelForCausalLM.from_pretrained(fixture("fixtures/lora/base"), { threads: 1 });
    const found: unknown[] = [];
    const look = async (options = {}) =>
      found.push(plain((await model({ input_ids: [[1, 2, 3]], ...options })).logits));
    await look();
    await model.load_adapter(fixture("fixtures/lora/experts_fused"), { adapter_name: "a" });
    found.push(model.active_adapters(), model.info().adapters.length);
    await look();
    await look({ adapter: null });
    model.disable_adapters();
    await look();
    model.enable_adapters();
    await look();
    model.set_adapter("a");
    found.push(model.active_adapters());
    const unknown = await failure(
      (async () => {
        model.set_adapter("zzz");
        await model({ input_ids: [[1, 2, 3]] });
      })(),
    );
    found.push((unknown as Error).message, model.active_adapters());
    await model.delete_adapter("a");
    found.push(model.info().adapters.length);
    await look();
    return found;
  });
});

test("settings of a model that were changed count", async () => {
  await both(async (side) => {
    await using model = await side.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
    model.generation_config.max_new_tokens = 2;
    (model.config as library.MixtralConfig).output_router_logits = true;
    const { router_logits } = await model({ input_ids: ids });
    return [plain((await model.generate({ input_ids: ids })) as library.Tensor), router_logits!.length];
  });
});

test("two calls at once, and one that is disposed in its midst", async () => {
  await both(async (side) => {
    const model = await side.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
    const results = await Promise.all([
      model.generate({ input_ids: ids, max_new_tokens: 12 }),
      model.generate({ input_ids: ids.slice(3), max_new_tokens: 5, do_sample: true, seed: 2 }),
    ]);
    const cut = failure(model.generate({ input_ids: ids, max_new_tokens: 200, eos_token_id: -1 }) as Promise<unknown>);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await model.dispose();
    const error = (await cut) as Error;
    assert.match(error.message, /the model was disposed/);
    return [results.map((tensor) => plain(tensor as library.Tensor)), error.name];
  });
});

test("the engine ends with its last model, and begins again", async () => {
  const { started, ended } = engines;
  const one = await web.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
  const two = await web.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
  await one.dispose();
  assert.is(engines.ended, ended);
  assert.ok((await two.generate({ input_ids: ids, max_new_tokens: 1 })) instanceof web.Tensor);
  await two.dispose();
  assert.is(engines.ended, ended + 1);
  assert.ok(engines.started <= started + 1);
  assert.instance(await failure(two.generate({ input_ids: ids })), web.EngineError);
});

test("the engine ends when its last model was disposed and another's call has ended, and when it was forgotten", async () => {
  const { ended } = engines;
  const one = await web.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
  const under_way = web.AutoConfig.from_pretrained(demo);
  await Promise.all([one.dispose(), under_way]);
  await web.models.usage({ cache_dir: "none" });
  assert.is(engines.ended, ended + 1);
  await (async () => void (await web.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 })))();
  await collectUntil(() => engines.ended > ended + 1);
  assert.is(engines.ended, ended + 2);
});

test("an engine that dies fails what waits for it, and what is called of it later; the next model has another", async () => {
  const model = await web.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
  const call = failure(model.generate({ input_ids: ids, max_new_tokens: 200, eos_token_id: -1 }) as Promise<unknown>);
  await new Promise((resolve) => setTimeout(resolve, 30));
  die(new Error("out of luck"));
  for (const error of [await call, await failure(model({ input_ids: ids }))] as Error[]) {
    assert.instance(error, web.EngineError);
    assert.match(error.message, /^the engine's worker ended: out of luck$/);
  }
  await using next = await web.AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
  assert.ok((await next.generate({ input_ids: ids, max_new_tokens: 1 })) instanceof web.Tensor);
});

test.run();
