// A team's thread: takes its setup, then runs jobs until it is ended. It computes, converts or reads, as its setup says; one
// script serves for all, since whoever bundles it bundles one. Where there are no threads it runs within its host's.
import type { ConvertJob, ConvertResult, ConvertSetup } from "../convert/job.ts";
import { ConvertThread } from "../convert/thread.ts";
import { instantiator } from "../offload/device.ts";
import { Reader, type ReaderSetup } from "../paging/reader.ts";
import type { Foreign, HostPort, ThreadPlatform, Threads } from "../platform/platform.ts";
import { Barrier, WorkCounter } from "../threads/barrier.ts";
import type { Order, Reply } from "../threads/team.ts";
import { Turns } from "../threads/turns.ts";
import { Forward } from "./forward.ts";
import type { Job, JobResult, Notice, Setup } from "./step.ts";

type Answer = Reply<JobResult | ConvertResult>;
type AnyOrder = Order<Setup | ConvertSetup | ReaderSetup, Job | ConvertJob, Notice | "serve">;

/** Serves a team's host. */
export function serveThread(platform: Threads & ThreadPlatform & Foreign, port: HostPort): void {
  const thread = new TeamThread(platform);
  const send = (answer: Answer | undefined) => answer && port.post(answer);
  port.on_message((message) => {
    try {
      const answer = thread.obey(message as AnyOrder);
      if (!(answer instanceof Promise)) send(answer);
      else return answer.then(send, (error) => send(failure(error)));
    } catch (error) {
      send(failure(error));
    }
  });
  send({ type: "loaded" });
}

function failure(error: unknown): Answer {
  const { name, message, stack, code } = error as Error & { code?: string };
  return { type: "failed", error: { name, message, stack, code } };
}

class TeamThread {
  private readonly platform: Threads & ThreadPlatform & Foreign;
  private forward: Forward | undefined;
  private converter: ConvertThread | undefined;
  private reader: Reader | undefined;
  /** Whether this thread's results are wanted. */
  private answers = false;

  constructor(platform: Threads & ThreadPlatform & Foreign) {
    this.platform = platform;
  }

  /** Does what it is told to. @returns what is to be answered, if anything is */
  obey(order: AnyOrder): Answer | undefined | Promise<Answer | undefined> {
    if (order.type === "init") return this.init(order);
    if (order.type === "job") return this.run(order.job, order.work);
    if (order.notice === "serve") this.reader!.serve();
    else this.forward!.notice(order.notice);
    return undefined;
  }

  private async init({ control, thread, threads, setup }: Extract<AnyOrder, { type: "init" }>): Promise<Answer> {
    const { platform } = this;
    const turns = platform.alone === undefined ? undefined : new Turns(control, platform.next_turn);
    if (setup.type === "convert") this.converter = new ConvertThread(platform, setup, turns);
    else if (setup.type === "read") this.reader = new Reader(platform, setup);
    else {
      const barrier = turns ?? new Barrier(control, threads, platform.cores());
      const reader = setup.reader && new Reader(platform, setup.reader);
      const instantiate = await instantiator(platform, setup.kernels, setup.native);
      const counter = new WorkCounter(control, thread);
      this.forward = new Forward(setup, thread, threads, instantiate, barrier, counter, turns, reader);
    }
    this.answers = setup.type === "convert" || thread === 0 || (setup.type === "forward" && setup.profile);
    return { type: "ready" };
  }

  private run(job: number, work: Job | ConvertJob): Answer | undefined | Promise<Answer | undefined> {
    const done = (result: JobResult | ConvertResult): Answer | undefined =>
      this.answers ? { type: "done", job, result } : undefined;
    const result = work.type === "convert" ? this.converter!.run(work) : this.forward!.run(work);
    return result instanceof Promise ? result.then(done) : done(result);
  }
}
