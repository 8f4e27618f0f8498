// Which experts the tokens of an answer chose, in each layer: what the heat map shows.
import type { ExpertChoices } from "../../../index.ts";
import type { ExpertShape } from "../engine.ts";

/** A trace as it is kept. */
export interface StoredTrace {
  /** The message's. */
  readonly id: string;
  readonly shape: ExpertShape;
  /** Each token as text. */
  readonly pieces: readonly string[];
  /** (tokens, layers, chosen) */
  readonly experts: Uint8Array;
  /** (tokens, layers, chosen) */
  readonly weights: Float32Array;
}

export class Trace {
  readonly id: string;
  readonly shape: ExpertShape;
  readonly pieces: string[] = [];
  /** (layers, experts): how many tokens chose each. */
  readonly counts: Uint32Array;
  private experts: Uint8Array;
  private weights: Float32Array;

  constructor(id: string, shape: ExpertShape) {
    this.id = id;
    this.shape = shape;
    this.counts = new Uint32Array(shape.layers * shape.experts);
    this.experts = new Uint8Array(64 * this.row);
    this.weights = new Float32Array(64 * this.row);
  }

  static from({ id, shape, pieces, experts, weights }: StoredTrace): Trace {
    const trace = new Trace(id, shape);
    const { row } = trace;
    pieces.forEach((piece, i) => {
      trace.push(piece, experts.subarray(i * row, (i + 1) * row), weights.subarray(i * row, (i + 1) * row));
    });
    return trace;
  }

  /** Values of one token. */
  private get row(): number {
    return this.shape.layers * this.shape.chosen;
  }

  get length(): number {
    return this.pieces.length;
  }

  add({ experts, weights }: ExpertChoices, piece: string): void {
    this.push(piece, experts, weights);
  }

  private push(piece: string, experts: ArrayLike<number>, weights: ArrayLike<number>): void {
    const { row, shape, length } = this;
    if ((length + 1) * row > this.experts.length) {
      const [before, shares] = [this.experts, this.weights];
      this.experts = new Uint8Array(2 * before.length);
      this.weights = new Float32Array(2 * before.length);
      this.experts.set(before);
      this.weights.set(shares);
    }
    this.experts.set(experts, length * row);
    this.weights.set(weights, length * row);
    for (let i = 0; i < row; i++) this.counts[Math.floor(i / shape.chosen) * shape.experts + experts[i]]++;
    this.pieces.push(piece);
  }

  /** What a token chose in a layer, the weightiest first. */
  chosen(token: number, layer: number): { expert: number; weight: number }[] {
    const { chosen } = this.shape;
    const from = token * this.row + layer * chosen;
    return Array.from({ length: chosen }, (_, i) => ({
      expert: this.experts[from + i],
      weight: this.weights[from + i],
    }));
  }

  /** What a token chose, in words. */
  words(token: number): string {
    const layers = Array.from({ length: this.shape.layers }, (_, layer) => {
      const all = this.chosen(token, layer).map(({ expert, weight }) => `${expert} (${Math.round(100 * weight)} %)`);
      return `layer ${layer}: ${all.join(", ")}`;
    });
    return `Token ${token + 1} of ${this.length}, “${shownPiece(this.pieces[token])}”. ${layers.join("; ")}`;
  }

  stored(): StoredTrace {
    const { id, shape, pieces, row, length } = this;
    return {
      ...{ id, shape, pieces: [...pieces] },
      experts: this.experts.slice(0, length * row),
      weights: this.weights.slice(0, length * row),
    };
  }
}

/** A token's text, where nothing of it is invisible. */
export const shownPiece = (piece: string): string =>
  piece.replace(/\n/g, "⏎").replace(/^ +$/g, (spaces) => "␣".repeat(spaces.length));
