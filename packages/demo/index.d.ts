/** Path of the demo model, a GGUF file. */
declare const path: string;
export default path;
