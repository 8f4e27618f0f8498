// The error classes. Every error that a caller can meet is one of these, or an abort signal's reason, or what a function
// of the caller's has thrown.
// A message names the thing, what was expected, what was found, and where.

/** Base of every error of this library. `code` is stable and meant for programs; `message` is for people. */
export class TramontaneError extends Error {
  /** A stable identifier such as `CHECKPOINT` or `MEMORY`. */
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/** A file, tensor or metadata entry of a checkpoint is missing, damaged, or not what its config promises. */
export class CheckpointError extends TramontaneError {
  constructor(message: string, options?: ErrorOptions) {
    super("CHECKPOINT", message, options);
  }
}

/** A config (model or generation) has a field of the wrong type, out of range, or at odds with another. */
export class ConfigError extends TramontaneError {
  constructor(message: string, options?: ErrorOptions) {
    super("CONFIG", message, options);
  }
}

/** A tokenizer file or a chat template is damaged, or a call asks what the tokenizer cannot do. */
export class TokenizerError extends TramontaneError {
  constructor(message: string, options?: ErrorOptions) {
    super("TOKENIZER", message, options);
  }
}

/** There is not enough memory; both figures are in bytes, `available` is undefined where it is not known. */
export class MemoryError extends TramontaneError {
  readonly needed: number;
  readonly available: number | undefined;
  constructor(message: string, needed: number, available?: number, options?: ErrorOptions) {
    super("MEMORY", message, options);
    this.needed = needed;
    this.available = available;
  }
}

/** A file cannot be written: no permission, no room. What stood under its name stands there still. */
export class WriteError extends TramontaneError {
  constructor(message: string, options?: ErrorOptions) {
    super("WRITE", message, options);
  }
}

/** A model cannot be had from a hub or a URL: what the server says, or that it cannot be reached. */
export class HubError extends TramontaneError {
  /** The HTTP status, where there was an answer. */
  readonly status: number | undefined;
  constructor(message: string, status?: number, options?: ErrorOptions) {
    super("HUB", message, options);
    this.status = status;
  }
}

/** The caller passed something that the call cannot take. */
export class InputError extends TramontaneError {
  constructor(message: string, options?: ErrorOptions) {
    super("INPUT", message, options);
  }
}

/** The engine itself failed: a worker died (`cause`), or it was disposed while a call was pending. */
export class EngineError extends TramontaneError {
  constructor(message: string, options?: ErrorOptions) {
    super("ENGINE", message, options);
  }
}

/** A generation was aborted for a reason that is no Error: `cause` is the reason. Reasons that are Errors keep their class. */
export class AbortError extends TramontaneError {
  /** What was generated so far. */
  declare partial: unknown;
  constructor(message: string, options?: ErrorOptions) {
    super("ABORT", message, options);
  }
}

// By their own names also where a bundler has given classes shorter ones: programs tell errors by `name`, too.
for (const [name, value] of Object.entries({
  AbortError,
  CheckpointError,
  ConfigError,
  EngineError,
  HubError,
  InputError,
  MemoryError,
  TokenizerError,
  TramontaneError,
  WriteError,
}))
  Object.defineProperty(value, "name", { value: name });
