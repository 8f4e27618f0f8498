// What a peer is asked for, and what it tells. Each runs in a process of its own, like the engine itself.

export interface PeerRequest {
  path: string;
  threads: number;
  /** Tokens of a prompt, and tokens generated after it. */
  prompt: number;
  tokens: number;
}

export interface PeerRun {
  /** From the start of loading until a prompt can be given. */
  load_ms: number;
  prompt_rate: number; // tokens a second
  generated_rate: number; // tokens a second
  /** Bytes that its processes cannot share or drop, at most. */
  private: number;
}
