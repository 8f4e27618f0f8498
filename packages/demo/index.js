// Where the model's file is.
import { fileURLToPath } from "node:url";

export default fileURLToPath(new URL("./demo-Q8_0.gguf", import.meta.url));
