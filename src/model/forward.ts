// The forward pass, as every thread of the team runs it: the same steps in the same order, each thread on its share.
//
//   h += o_proj · attention(RMSNorm(h));  h += experts(RMSNorm(h))   for each layer;   logits = lm_head · RMSNorm(h)
import type { Instantiate } from "../kernels/abi.ts";
import { stackRowBytes } from "../memory/plan.ts";
import { Pager } from "../paging/pager.ts";
import type { Reader } from "../paging/reader.ts";
import type { Barrier, WorkCounter } from "../threads/barrier.ts";
import type { Turns } from "../threads/turns.ts";
import { Attention } from "./attention.ts";
import { Experts } from "./experts.ts";
import { Head } from "./head.ts";
import { Lora } from "./lora.ts";
import { Norm } from "./norm.ts";
import { Phases } from "./phases.ts";
import { Products } from "./products.ts";
import { Router } from "./router.ts";
import { slotOf, slotWords } from "./sampling.ts";
import { Squares } from "./squares.ts";
import type { Job, JobResult, Notice, Setup, Step } from "./step.ts";
import { StepView } from "./step_view.ts";
import { ThreadMemory } from "./thread_memory.ts";

export class Forward {
  readonly products: Products;
  private readonly memory: ThreadMemory;
  private readonly setup: Setup;
  private readonly phases: Phases;
  private readonly barrier: Barrier;
  private readonly attention: Attention;
  private readonly router: Router;
  private readonly experts: Experts;
  private readonly head: Head;
  private readonly lora: Lora;
  private readonly turns: Turns | undefined;
  /** The chunk that paused. */
  private paused: Generator<void, void, void> | undefined;

  /**
   * @param instantiate - makes kernels on a memory, in this thread
   * @param turns - the barrier, where this is no thread of its own
   * @param reader - reads experts that are wanted, where no others do
   */
  constructor(
    setup: Setup,
    thread: number,
    threads: number,
    instantiate: Instantiate,
    barrier: Barrier,
    work: WorkCounter,
    turns?: Turns,
    reader?: Reader,
  ) {
    this.setup = setup;
    this.turns = turns;
    this.memory = new ThreadMemory(setup, thread, instantiate);
    this.products = new Products(this.memory, setup, thread);
    this.barrier = barrier;
    this.phases = new Phases(thread, threads, barrier, work, this.products.counter, setup.profile);
    const { memory, products, phases } = this;
    const norm = new Norm(memory, setup.shape.hidden, setup.shape.eps, thread);
    const lora = new Lora(memory, products, phases, setup);
    this.lora = lora;
    const squares = new Squares(phases, setup.shape);
    this.attention = new Attention(memory, products, phases, norm, lora, squares, setup);
    this.router = new Router(memory, products, phases, norm, lora, setup.shape);
    const { layers } = setup.model;
    const pager = setup.paging && new Pager(setup.paging, layers, thread, () => barrier.check(), reader);
    this.experts = new Experts(memory, products, phases, norm, lora, squares, pager, setup.shape);
    this.head = new Head(memory, products, phases, lora, setup);
  }

  notice(notice: Notice): void {
    if (notice.type === "dot") this.products.dot = notice.dot;
    else if (notice.type === "sampler") this.head.samplers.set(notice.sampler.id, notice.sampler);
    else if (notice.type === "forget_sampler") this.head.samplers.delete(notice.id);
    else if (notice.type === "adapter") this.lora.add(notice.adapter, notice.memory);
    else this.lora.forget(notice.id, notice.gone_bank);
  }

  /** Runs a job. @returns a promise only where this thread takes turns with its host */
  run(job: Job): JobResult | Promise<JobResult> {
    if (job.type === "step") return this.start(job.step);
    return job.type === "resume" ? this.resume() : this.drop();
  }

  private start(step: Step): JobResult | Promise<JobResult> {
    if (this.isOver(step)) {
      // The slots may be another's as soon as the host hears of it: not before all have looked.
      this.phases.meetAll();
      return { complete: true };
    }
    return this.goOn(this.pass(step));
  }

  /** Goes on with the chunk that paused, if it is still there. */
  private resume(): JobResult | Promise<JobResult> {
    return this.paused ? this.goOn(this.paused) : { complete: true };
  }

  private drop(): JobResult {
    this.paused = undefined;
    return { complete: true };
  }

  private goOn(pass: Generator<void, void, void>): JobResult | Promise<JobResult> {
    const { turns } = this;
    turns?.begin();
    const { done } = pass.next();
    if (turns && !done && !turns.paused) return turns.rest().then(() => this.goOn(pass));
    // A step between two parts of the chunk leaves it where it is.
    if (!done) this.paused = pass;
    else if (this.paused === pass) this.paused = undefined;
    return { complete: !!done, phases: this.phases.take() };
  }

  /** Whether a step that was posted before its tokens were drawn has nothing to do: each was the end of its sequence. */
  private isOver({ tokens, rows }: Step): boolean {
    const { i32 } = this.memory.banks[0];
    for (let r = 0; r < rows; r++) {
      if (tokens[r] >= 0 || !i32[slotOf(tokens[r]) / 4 + slotWords.ended]) return false;
    }
    return true;
  }

  private *pass(step: Step): Generator<void, void, void> {
    const { memory, setup } = this;
    const { layers } = setup.model;
    const adapters = this.lora.rowsOf(step);
    const view = new StepView(step, setup.state, memory.own, adapters, memory.banks[layers[0].bank]);
    yield* this.phases.shared(view, "embed", -1, () => {
      this.copyPages(step.copies);
      this.embed(view);
    });
    const tell = step.lane === 0 && this.phases.thread === 0 ? (done: number) => this.barrier.passed(done) : undefined;
    for (const [i, layer] of layers.entries()) {
      tell?.(i);
      this.capture(view, i);
      yield* this.attention.run(view, layer, i);
      yield* this.router.run(view, layer, i);
      yield* this.experts.run(view, layer, i);
    }
    yield* this.head.run(view);
    tell?.(0);
  }

  /** Copies whole pages, layer by layer, each thread some layers. */
  private copyPages(copies: Uint32Array): void {
    const { banks, bases, page_bytes } = this.setup.kv;
    for (let layer = this.phases.thread; layer < bases.length; layer += this.phases.threads) {
      const { u8 } = this.memory.banks[banks[layer]];
      for (let i = 0; i < copies.length; i += 2) {
        const from = bases[layer] + copies[i] * page_bytes[layer];
        u8.copyWithin(bases[layer] + copies[i + 1] * page_bytes[layer], from, from + page_bytes[layer]);
      }
    }
  }

  /** Embeddings into x, and the tables of rotation into every bank that has pages. */
  private embed(view: StepView): void {
    const { memory, setup } = this;
    const { hidden } = setup.shape;
    const { weights } = setup.model.embed_tokens;
    const { step, lane, home } = view;
    const source = this.products.bankOf(weights, 0);
    const { dequantize } = source.kernels.format(weights.formats[0]);
    const row_bytes = stackRowBytes(weights, 0);
    const [from, to] = this.phases.own(view.rows, view.few);
    for (let r = from; r < to; r++) {
      const x = lane.x + r * hidden * 4;
      dequantize(weights.addresses[0] + this.tokenOf(step.tokens[r]) * row_bytes, x, hidden);
      memory.copyToBank(source, home, x, hidden);
    }
    this.adapt(view, from, to);
    for (const { row, data } of step.embeds) {
      const end = row + data.length / hidden;
      for (let r = Math.max(row, from); r < Math.min(end, to); r++)
        home.f32.set(data.subarray((r - row) * hidden, (r - row + 1) * hidden), lane.x / 4 + r * hidden);
    }
    this.rotations(view, from, to);
  }

  /** Embeddings of rows [from, to) as adapters have them: whole ones first, then what is added. */
  private adapt({ adapters, step, lane, home }: StepView, from: number, to: number): void {
    const { hidden } = this.setup.shape;
    for (const change of ["embedWhole", "embed"] as const) {
      for (const group of adapters) {
        for (let r = from; r < to; r++) {
          const out = { bank: home, address: lane.x + r * hidden * 4, stride: hidden };
          if (group.has[r]) this.lora[change](group, this.tokenOf(step.tokens[r]), out, hidden);
        }
      }
    }
  }

  private rotations({ step, lane }: StepView, from: number, to: number): void {
    const { memory, setup } = this;
    const { rope_dim } = setup.shape;
    const [first, ...others] = [...new Set(setup.kv.banks)].map((bank) => memory.banks[bank]);
    const table = lane.rope + from * rope_dim * 4;
    const rotate = (start: number, end: number, inv_freq: number) => {
      for (let r = start; r < end; r++) {
        const at = lane.rope + r * rope_dim * 4;
        first.kernels.rope_table(step.positions[r], inv_freq, rope_dim / 2, setup.rope_scale, at);
      }
    };
    rotate(from, to, setup.state.inv_freq);
    for (const { row, rows, inv_freq } of step.frequencies) {
      const { inv_freq: own } = memory.own;
      first.f32.set(inv_freq, own / 4);
      rotate(Math.max(row, from), Math.min(row + rows, to), own);
    }
    for (const bank of others) memory.copyToBank(first, bank, table, (to - from) * rope_dim);
  }

  /** A token's id, whether it is given or was drawn. Nothing drawn, which the host has yet to notice, is taken as 0. */
  private tokenOf(token: number): number {
    if (token >= 0) return token;
    return Math.max(0, this.memory.banks[0].i32[slotOf(token) / 4 + slotWords.last]);
  }

  /** Copies the thread's share of x to where it is wanted as hidden states `index`. */
  private capture(view: StepView, index: number): void {
    const { hidden } = this.setup.shape;
    view.capture(
      this.phases.own(view.rows, view.few),
      ({ hidden_states }) => hidden_states?.[index],
      (row) => this.memory.floats(view.home, view.lane.x + row * hidden * 4, hidden),
    );
  }
}
