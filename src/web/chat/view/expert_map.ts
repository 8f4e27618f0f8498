// Draws the map of experts: only the columns that are in sight, so that an answer of any length costs the same.
import type { ExpertShape } from "../engine.ts";
import type { Trace } from "../state/trace.ts";

export class ExpertMap {
  /** Width of a token, in pixels. */
  static readonly column = 10;
  private readonly canvas: HTMLCanvasElement;
  private readonly context: CanvasRenderingContext2D;
  private readonly shape: ExpertShape;
  private width = 0;

  constructor(canvas: HTMLCanvasElement, shape: ExpertShape) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d")!;
    this.shape = shape;
  }

  /** Height of an expert's row, and the room between layers, in pixels. */
  static sizes({ layers, experts }: ExpertShape): { cell: number; gap: number; layer: number } {
    const cell = layers * experts <= 96 ? 5 : 3;
    const gap = layers <= 12 ? 4 : 2;
    return { cell, gap, layer: experts * cell + gap };
  }

  get height(): number {
    const { gap, layer } = ExpertMap.sizes(this.shape);
    return this.shape.layers * layer - gap;
  }

  resize(width: number): void {
    const { canvas, context, height } = this;
    const scale = devicePixelRatio;
    this.width = width;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    context.setTransform(scale, 0, 0, scale, 0, 0);
  }

  /**
   * @param left - how far it is scrolled
   * @param marked - the token that is looked at
   */
  draw(trace: Trace, left: number, marked: number | undefined): void {
    const { context, width, height, shape } = this;
    const { cell, layer: layerHeight } = ExpertMap.sizes(shape);
    const { column } = ExpertMap;
    const style = getComputedStyle(this.canvas);
    const [ink, ground, mark] = ["--map-ink", "--map-ground", "--map-mark"].map((name) => style.getPropertyValue(name));
    context.clearRect(0, 0, width, height);
    const first = Math.floor(left / column);
    const last = Math.min(trace.length, Math.ceil((left + width) / column));
    for (let token = first; token < last; token++) {
      const x = token * column - left;
      for (let layer = 0; layer < shape.layers; layer++) {
        const top = layer * layerHeight;
        context.globalAlpha = 1;
        context.fillStyle = token === marked ? mark : ground;
        context.fillRect(x, top, column - 1, shape.experts * cell);
        context.fillStyle = ink;
        for (const { expert, weight } of trace.chosen(token, layer)) {
          context.globalAlpha = 0.25 + 0.75 * Math.min(1, weight);
          context.fillRect(x, top + expert * cell, column - 1, cell);
        }
      }
    }
  }
}
