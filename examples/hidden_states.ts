// Hidden states, and one vector for each text.
import { AutoModel, pipeline } from "tramontane";

await using model = await AutoModel.from_pretrained("models/demo");
const { last_hidden_state } = await model({ input_ids: [[1, 20, 300]], use_cache: false });
console.log(last_hidden_state.dims); // [rows, tokens, hidden]

await using extract = await pipeline("feature-extraction", "models/demo");
const vectors = await extract(["Mustard is sharp.", "Honey is sweet."], { pooling: "mean", normalize: true });
console.log(vectors.dims); // [texts, hidden]
