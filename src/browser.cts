// What a bundler for browsers gets in place of the library: one clear error. In CommonJS, so that whatever name is imported
// from here bundles, and the program says why it cannot run.
throw new Error(
  "Tramontane runs in Node, Deno and Bun; this program was bundled for a browser. Import it in code that runs on a server.",
);
