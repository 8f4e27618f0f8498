// Where the time goes: phases of all steps, summed up by operation or layer, and as a trace that a browser's performance
// panel opens (Chrome's trace event format).
import { type PhaseName, type PhaseRecord, phaseNames } from "./phases.ts";
import type { Job, JobResult, Step } from "./step.ts";

/** A sum over phases. Bytes and multiplications are of all threads; times are means over the threads. */
export interface ProfileRow {
  readonly name: string;
  readonly count: number;
  readonly busy_ms: number;
  /** At barriers, waiting for threads whose share took longer. */
  readonly waited_ms: number;
  /** Weight bytes a second, in GB (10⁹), of the phases' whole time. */
  readonly gb_per_s: number;
  /** Multiply-accumulates a second, in 10⁹. */
  readonly gmac_per_s: number;
}

interface Sum {
  count: number;
  busy: number;
  waited: number;
  bytes: number;
  macs: number;
}

/** A step of few rows is bound by bandwidth, one of many by arithmetic: they are summed apart. */
export type StepKind = "decode" | "prefill";

interface ProfiledStep {
  readonly kind: StepKind;
  readonly rows: number;
  /** (thread) the phases in order. */
  readonly threads: readonly (readonly PhaseRecord[])[];
}

/** Steps that are kept for the trace at most: a trace of more is no help to anyone. */
const TRACED_STEPS = 200;

/** What every step of a model took, phase by phase, where it was loaded with `profile: true`. */
export class Profile {
  readonly threads: number;
  private readonly steps: ProfiledStep[] = [];
  /** The step of lane 0, which may come in several parts. */
  private chunk: Step | undefined;
  private readonly sums: Record<
    StepKind,
    { phases: Map<PhaseName, Sum>; layers: Map<number, Sum>; steps: number; rows: number }
  > = {
    decode: { phases: new Map(), layers: new Map(), steps: 0, rows: 0 },
    prefill: { phases: new Map(), layers: new Map(), steps: 0, rows: 0 },
  };

  /** @internal */
  constructor(threads: number) {
    this.threads = threads;
  }

  /** @internal Adds what a step took, or a part of the one of lane 0. @param results - of all threads */
  add(job: Job & { type: "step" | "resume" }, results: readonly JobResult[]): void {
    const step = job.type === "step" ? job.step : this.chunk!;
    if (step.lane === 0) this.chunk = step;
    const threads = results.map(({ phases }) => phases ?? []);
    const kind = step.rows > step.sequences.length ? "prefill" : "decode";
    const sums = this.sums[kind];
    if (job.type === "step") {
      sums.steps++;
      sums.rows += step.rows;
    }
    for (const [thread, records] of threads.entries()) {
      for (const record of records) {
        addTo(sums.phases, record.phase, record, thread === 0);
        addTo(sums.layers, record.layer, record, thread === 0);
      }
    }
    if (this.steps.length < TRACED_STEPS) this.steps.push({ kind, rows: step.rows, threads });
  }

  /** Steps and rows so far. */
  count(kind: StepKind): { steps: number; rows: number } {
    const { steps, rows } = this.sums[kind];
    return { steps, rows };
  }

  /** By operation, in the order of the forward pass. */
  byPhase(kind: StepKind): ProfileRow[] {
    const { phases } = this.sums[kind];
    return phaseNames.filter((name) => phases.has(name)).map((name) => this.row(name, phases.get(name)!));
  }

  /** By layer; what is outside the layers is the row `rest`. */
  byLayer(kind: StepKind): ProfileRow[] {
    const layers = [...this.sums[kind].layers].sort(([a], [b]) => a - b);
    return layers.map(([layer, sum]) => this.row(layer < 0 ? "rest" : `layer ${layer}`, sum));
  }

  private row(name: string, { count, busy, waited, bytes, macs }: Sum): ProfileRow {
    const seconds = (busy + waited) / this.threads / 1000;
    return {
      name,
      count,
      busy_ms: busy / this.threads,
      waited_ms: waited / this.threads,
      gb_per_s: bytes / seconds / 1e9,
      gmac_per_s: macs / seconds / 1e9,
    };
  }

  /** The first steps as trace events: load the JSON in a browser's performance panel. */
  trace(): object {
    const events: object[] = [];
    const start = Math.min(...this.steps.flatMap(({ threads }) => threads.map((records) => records[0].start)));
    for (const { kind, rows, threads } of this.steps) {
      for (const [thread, records] of threads.entries()) {
        for (const { phase, layer, start: at, busy, waited, bytes, macs } of records) {
          const base = { ph: "X", pid: 1, tid: thread, cat: kind };
          const ts = (at - start) * 1000;
          events.push({ ...base, name: phase, ts, dur: busy * 1000, args: { layer, rows, bytes, macs } });
          events.push({ ...base, name: "wait", ts: ts + busy * 1000, dur: waited * 1000 });
        }
      }
    }
    return { traceEvents: events, displayTimeUnit: "ms" };
  }
}

function addTo<K>(sums: Map<K, Sum>, key: K, { busy, waited, bytes, macs }: PhaseRecord, first: boolean): void {
  let sum = sums.get(key);
  if (!sum) {
    sum = { count: 0, busy: 0, waited: 0, bytes: 0, macs: 0 };
    sums.set(key, sum);
  }
  if (first) sum.count++;
  sum.busy += busy;
  sum.waited += waited;
  sum.bytes += bytes;
  sum.macs += macs;
}
