// Names of options: what a wrong one was meant to be, and what other libraries' pages pass that means nothing here.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { knownOptions, meant } from "../../src/config/option_names.ts";
import { InputError } from "../../src/errors.ts";
import { loadOptionNames } from "../../src/model/options.ts";

const known = ["context", "max_new_tokens", "stop_strings", "threads", "top_k", "top_p"];

test("a wrong name is known by its style, by another library's, or by its letters", () => {
  for (const [name, wanted] of [
    ["topP", "top_p"],
    ["top-k", "top_k"],
    ["maxNewTokens", "max_new_tokens"],
    ["contextSize", "context"],
    ["n_ctx", "context"],
    ["max_tokens", "max_new_tokens"],
    ["maxTokens", "max_new_tokens"],
    ["n_predict", "max_new_tokens"],
    ["stop", "stop_strings"],
    ["customStopTriggers", "stop_strings"],
    ["nThreads", "threads"],
    ["thread", "threads"],
    ["max_new_token", "max_new_tokens"],
    // One that is named as a member of every object.
    ["constructor", "context"],
  ])
    assert.is(meant(name, known), wanted, name);
});

test("what means nothing here is left out, and only with values that mean nothing", () => {
  const load = (options: object) => knownOptions(options, "from_pretrained", loadOptionNames);
  const copied = { device_map: "auto", torch_dtype: "auto", low_cpu_mem_usage: true, trust_remote_code: false };
  assert.equal(load({ ...copied, threads: 2, local_files_only: true }), { threads: 2, local_files_only: true });
  const refused = (options: object, message: string) =>
    assert.throws(
      () => load(options),
      (error: unknown) => error instanceof InputError && error.message === `from_pretrained: unknown option ${message}`,
    );
  refused({ device_map: "cuda" }, "device_map: did you mean device?");
  refused({ torch_dtype: "float16" }, "torch_dtype: did you mean dtype?");
  refused({ gpuLayers: 10 }, "gpuLayers: did you mean device?");
  refused({ progressCallback() {} }, "progressCallback: did you mean progress_callback?");
  refused({ load_in_4bit: true }, "load_in_4bit: did you mean quantization_config?");
  refused({ load_in_8bit: true }, "load_in_8bit: did you mean quantization_config?");
  refused({ ["__proto__\n"]: 1 }, String.raw`"__proto__\u{a}": did you mean profile?`);
});

test("what transformers has and this version has not is named as that", () => {
  assert.throws(
    () => knownOptions({ penalty_alpha: 0.6 }, "generate", known),
    /^generate: penalty_alpha: there is no contrastive search here$/,
  );
  // As transformers' files of settings have it, where nobody asks for it.
  assert.equal(knownOptions({ penalty_alpha: 0, num_beam_groups: 1, top_k: 5 }, "generate", known), { top_k: 5 });
});

test.run();
