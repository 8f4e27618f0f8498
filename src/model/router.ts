// A layer's router: which experts each row goes to, and with what weights.
import type { ModelShape } from "../config/shape.ts";
import type { Linear } from "../memory/linear.ts";
import type { BankedLayer } from "../memory/plan.ts";
import type { Lora } from "./lora.ts";
import type { Norm } from "./norm.ts";
import type { Phases } from "./phases.ts";
import type { Products } from "./products.ts";
import type { StepView } from "./step_view.ts";
import type { BankView, ThreadMemory } from "./thread_memory.ts";

export class Router {
  private readonly memory: ThreadMemory;
  private readonly products: Products;
  private readonly phases: Phases;
  private readonly norm: Norm;
  private readonly lora: Lora;
  private readonly hidden: number;

  constructor(memory: ThreadMemory, products: Products, phases: Phases, norm: Norm, lora: Lora, shape: ModelShape) {
    this.memory = memory;
    this.products = products;
    this.phases = phases;
    this.norm = norm;
    this.lora = lora;
    this.hidden = shape.hidden;
  }

  /** xn = RMSNorm(x), and what the router picks for each row. */
  *run(view: StepView, layer: BankedLayer, index: number): Generator<void, void, void> {
    const { home, buffers } = view;
    const { hidden } = this;
    const { experts, experts_per_token: k } = layer.shape;
    yield* this.phases.rows(view, "router", index, (from, to) => {
      this.norm.into(view, home, layer.post_attention_layernorm, from, to);
      if (layer.router === null) {
        // The one expert counts as it is.
        home.u32.fill(0, buffers.picked / 4 + from, buffers.picked / 4 + to);
        home.f32.fill(1, buffers.weights / 4 + from, buffers.weights / 4 + to);
        return;
      }
      for (let r = from; r < to; r++) {
        const logits = buffers.router_logits + r * experts * 4;
        const x = buffers.xn + r * hidden * 4;
        if (typeof layer.router === "number") home.kernels.router_logits(x, layer.router, hidden, experts, logits);
        else this.multiply(home, layer.router, x, logits);
        if (view.adapters.length > 0) this.adapt(view, index, experts, r);
        home.kernels.select_experts(logits, experts, k, buffers.picked + r * k * 4, buffers.weights + r * k * 4);
      }
      this.capture(view, index, experts);
      this.capturePicked(view, index, k);
    });
  }

  /** One row's logits by weights in a format of their own, packed where the thread packs few rows: those are done with. */
  private multiply(home: BankView, router: Linear, x: number, logits: number): void {
    const { products, hidden, memory } = this;
    const { rows: experts } = router.weights;
    const packed = { region: memory.own.few.packed, tile: 0, tokens: 1, cols: hidden };
    products.pack(home, [router], 0, packed, x, hidden, 0, 1);
    products.multiply(router, 0, packed, 0, experts, { address: logits, stride: experts });
  }

  /** Adds what adapters give to the logits of a row. */
  private adapt({ adapters, home, buffers }: StepView, index: number, experts: number, row: number): void {
    const { hidden } = this;
    for (const group of adapters) {
      const { gate } = group.adapter.layers[index];
      if (!gate || !group.has[row]) continue;
      const input = { bank: home, address: buffers.xn + row * hidden * 4, stride: hidden };
      const out = { bank: home, address: buffers.router_logits + row * experts * 4, stride: experts };
      this.lora.row(group, gate, input, hidden, out, experts);
    }
  }

  /** The same of what was picked. */
  private capturePicked(view: StepView, index: number, k: number): void {
    const { home, buffers, rows, few } = view;
    view.capture(
      this.phases.own(rows, few),
      ({ picked }) => picked?.[index],
      (row) => {
        const [picks, weights] = [buffers.picked / 4 + row * k, buffers.weights / 4 + row * k];
        return Float32Array.of(...home.u32.subarray(picks, picks + k), ...home.f32.subarray(weights, weights + k));
      },
    );
  }

  /** Copies the thread's share of the logits to where they are wanted. */
  private capture(view: StepView, index: number, experts: number): void {
    view.capture(
      this.phases.own(view.rows, view.few),
      ({ router_logits }) => router_logits?.[index],
      (row) => this.memory.floats(view.home, view.buffers.router_logits + row * experts * 4, experts),
    );
  }
}
