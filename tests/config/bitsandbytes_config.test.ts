// BitsAndBytesConfig: transformers' fields and defaults, and what it refuses.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { BitsAndBytesConfig } from "../../src/config/bitsandbytes_config.ts";
import { ConfigError, InputError } from "../../src/errors.ts";
import { fixturesFrom, json } from "../fixtures.ts";

(fixturesFrom === "../shared" ? test : test.skip)("to_dict is what transformers writes into config.json", () => {
  const options = {
    nf4: { load_in_4bit: true, bnb_4bit_quant_type: "nf4" },
    nf4_double: { load_in_4bit: true, bnb_4bit_quant_type: "nf4", bnb_4bit_use_double_quant: true },
    nf4_gate_kept: { load_in_4bit: true, bnb_4bit_quant_type: "nf4", llm_int8_skip_modules: ["lm_head", "gate"] },
    fp4: { load_in_4bit: true },
    int8: { load_in_8bit: true },
  };
  for (const [folder, given] of Object.entries(options)) {
    const { quantization_config } = json(`fixtures/bnb/${folder}/config.json`);
    const config = new BitsAndBytesConfig(given);
    assert.equal(config.to_dict(), quantization_config, folder);
    assert.equal(JSON.parse(JSON.stringify(config)), quantization_config, folder);
    assert.equal(BitsAndBytesConfig.from_dict(quantization_config), config, folder);
    // What to_dict gives can be given again.
    assert.equal(new BitsAndBytesConfig(config.to_dict()), config, folder);
    const method = folder === "int8" ? "llm_int8" : folder === "fp4" ? "fp4" : "nf4";
    assert.is(config.quantization_method(), method);
  }
  assert.is(new BitsAndBytesConfig().quantization_method(), null);
  assert.is(new BitsAndBytesConfig().is_quantizable(), false);
});

test("dtypes are given with or without torch's name", () => {
  for (const name of ["float16", "torch.float16"] as const)
    assert.is(new BitsAndBytesConfig({ bnb_4bit_compute_dtype: name }).bnb_4bit_compute_dtype, "float16");
  assert.is(new BitsAndBytesConfig({ bnb_4bit_compute_dtype: null }).bnb_4bit_compute_dtype, "float32");
});

test("wrong fields are refused by name", () => {
  for (const [given, message, kind] of [
    [{ load_in_4bit: 1 }, /load_in_4bit: expected true or false, found 1/, ConfigError],
    [{ load_in_4bit: true, load_in_8bit: true }, /load_in_4bit and load_in_8bit are both true/, ConfigError],
    [{ bnb_4bit_quant_type: "int4" }, /bnb_4bit_quant_type: expected "fp4" or "nf4", found "int4"/, ConfigError],
    [{ bnb_4bit_compute_dtype: "half" }, /bnb_4bit_compute_dtype: expected .*, found "half"/, ConfigError],
    [{ llm_int8_threshold: -1 }, /llm_int8_threshold: expected a number of at least 0/, ConfigError],
    [{ llm_int8_threshold: "6" }, /llm_int8_threshold/, ConfigError],
    [{ llm_int8_skip_modules: "lm_head" }, /llm_int8_skip_modules: expected a list/, ConfigError],
    [{ quant_method: "awq" }, /quant_method: expected "bitsandbytes", found "awq"/, ConfigError],
    [{ bnb_4bit_use_double_quantization: true }, /did you mean bnb_4bit_use_double_quant\?$/, InputError],
    [[], /expected an object of fields/, ConfigError],
  ] as const) {
    try {
      new BitsAndBytesConfig(given as object);
    } catch (error) {
      assert.match((error as Error).message, message);
      assert.instance(error, kind);
      continue;
    }
    assert.unreachable(JSON.stringify(given));
  }
  const file = { quant_method: "bitsandbytes", load_in_4bit: true, later: 1 };
  assert.is(BitsAndBytesConfig.from_dict(file, "config.json").load_in_4bit, true);
  assert.throws(
    () => BitsAndBytesConfig.from_dict({ ...file, llm_int8_threshold: null, bnb_4bit_quant_type: 4 }, "config.json"),
    /bnb_4bit_quant_type: .* found 4 in config.json/,
  );
});

test.run();
