// The library's tools, which write models: a script of its own, that the engine's worker loads when one of them is called.
export { merge } from "../adapters/merge.ts";
export { convert } from "../folders/convert.ts";
// What the engine is made of is named here as well, so that bundlers cut nothing off it that the tools alone have in common
// with it: one script more would cost 8 KB.
export { serveThread } from "../model/thread.ts";
export { imatrix } from "../quantize/collect.ts";
export { quantize } from "../quantize/quantize.ts";
export { EngineServer } from "./server.ts";
export { LibraryService } from "./service.ts";
