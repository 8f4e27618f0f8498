// What a test tells the double of the page's engine (chat/double.ts), and what the double tells the test: `double` on the window.

export interface Failure {
  readonly code?: string;
  readonly message: string;
}

export interface Double {
  /** Milliseconds that loading takes, a piece of an answer, a download. */
  load_ms: number;
  piece_ms: number;
  download_ms: number;
  /** What loading, the next answer (after so many pieces) and a download fail with. */
  load_fails?: Failure | undefined;
  answer_fails?: (Failure & { readonly after: number }) | undefined;
  download_fails?: Failure | undefined;
  /** Answers to messages; others are answered by the message itself. */
  answers: Record<string, string>;
  /** What it was asked. */
  readonly turns: {
    before: { role: string; content: string }[];
    content: string;
    seed: number;
    sampling: Record<string, number | null>;
  }[];
  /** The experts that it told, (4 layers, 2 of 8). */
  readonly told: { row: number; position: number; token: number; experts: Int32Array; weights: Float32Array }[];
  loads: string[];
  models: { name: string; bytes: number; complete: boolean }[];
}
