// Errors in words: what the library says, and what can be done about it.

export interface Fault {
  readonly title: string;
  /** What the library, or the browser, says. */
  readonly message: string;
  readonly advice: string;
  /** Whether the model is lost with it, and has to be loaded again. */
  readonly fatal: boolean;
}

const known: Readonly<Record<string, readonly [title: string, advice: string, fatal: boolean]>> = {
  MEMORY: [
    "There is not enough memory",
    "Close other tabs, or take a smaller model, or a file of fewer bits (Q4_K_M, Q3_K_M).",
    false,
  ],
  ENGINE: ["The engine has stopped", "The conversation is kept. Start the model again to go on.", true],
  HUB: [
    "The model cannot be had",
    "Look at its name and at the connection. What was downloaded is kept, and gone on with.",
    false,
  ],
  CHECKPOINT: [
    "This cannot be read as a model",
    "A GGUF file of Mixtral or Mistral, or all files of a folder (config.json, tokenizer.json, *.safetensors), can.",
    false,
  ],
  TOKENIZER: [
    "The tokenizer refuses",
    "The model's files may be incomplete, or its chat template takes no such message.",
    false,
  ],
  CONFIG: ["A setting is not possible", "Look at the settings.", false],
  INPUT: ["That is not possible", "Look at the settings, or shorten the message.", false],
  WRITE: ["It cannot be stored", "Remove models that are not needed, under Models.", false],
};

/** Short of memory, as browsers tell it. */
const outOfMemory = (error: Error): boolean =>
  error instanceof RangeError && /memory|allocation|array length|out of bounds/i.test(error.message);

export function faultOf(thrown: unknown): Fault {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  let code = (error as { code?: unknown }).code;
  if (error.name === "QuotaExceededError") code = "WRITE";
  else if (outOfMemory(error)) code = "MEMORY";
  const [title, advice, fatal] = known[typeof code === "string" ? code : ""] ?? [
    "Something went wrong",
    "Try again; if it comes back, reload the page. Conversations are kept.",
    false,
  ];
  return { title, message: error.message, advice, fatal };
}

export const isAbort = (error: unknown, signal: AbortSignal): boolean =>
  signal.aborted || (error as Error)?.name === "AbortError" || (error as { code?: unknown })?.code === "ABORT";
