// Attention is computed in tiles, as flash attention is: no score matrix is stored. To look at the scores, ask for eager.
import { MixtralForCausalLM } from "tramontane";

await using tiled = await MixtralForCausalLM.from_pretrained("models/demo");
await using eager = await MixtralForCausalLM.from_pretrained("models/demo", { attn_implementation: "eager" });

const input_ids = [[1, 20, 300, 7]];
const { logits } = await tiled({ input_ids, use_cache: false });
const { attentions } = await eager({ input_ids, output_attentions: true, use_cache: false });
console.log(logits.dims, attentions?.length, attentions?.[0]?.dims); // [rows, heads, queries, keys] of each layer
