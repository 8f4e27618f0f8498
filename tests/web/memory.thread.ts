// The worker of memory.test.ts: loads a model, uses it and disposes of it, as it is told to, and says when that is done.
import { MixtralConfig, MixtralForCausalLM } from "../../src/index.ts";
import "./engine_here.ts";

/** 210 MB of weights. */
const config = new MixtralConfig({
  vocab_size: 2048,
  hidden_size: 512,
  intermediate_size: 1024,
  num_hidden_layers: 4,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  num_local_experts: 8,
  max_position_embeddings: 256,
});
let model: MixtralForCausalLM | undefined;

self.onmessage = async ({ data }: { data: "load" | "dispose" }) => {
  if (data === "load") {
    model = await MixtralForCausalLM.from_config(config, { threads: 2 });
    await model({ input_ids: [1, 2, 3] });
  } else {
    await model!.dispose();
    model = undefined;
  }
  self.postMessage({ bytes: model?.info().private_bytes });
};
