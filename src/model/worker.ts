// The entry of a team's thread: takes its setup, then runs jobs until it is ended. There is one script for all threads,
// those that compute, those that convert and those that read, since whoever bundles it bundles one.
import type { ConvertJob, ConvertResult, ConvertSetup } from "../convert/job.ts";
import { ConvertThread } from "../convert/thread.ts";
import { Reader, type ReaderSetup } from "../paging/reader.ts";
import { currentPlatform } from "../platform/index.ts";
import { Barrier, WorkCounter } from "../threads/barrier.ts";
import type { Order, Reply } from "../threads/team.ts";
import { Forward } from "./forward.ts";
import type { Job, JobResult, Notice, Setup } from "./step.ts";

const platform = await currentPlatform();
const port = platform.host_port();
const reply = (message: Reply<JobResult | ConvertResult>) => port.post(message);

let forward: Forward | undefined;
let converter: ConvertThread | undefined;
let reader: Reader | undefined;
/** Whether this thread's results are wanted. */
let answers = false;

port.on_message((message) => {
  const order = message as Order<Setup | ConvertSetup | ReaderSetup, Job | ConvertJob, Notice | "serve">;
  try {
    if (order.type === "init") {
      const { control, thread, threads, setup } = order;
      if (setup.type === "convert") converter = new ConvertThread(platform, setup);
      else if (setup.type === "read") reader = new Reader(platform, setup);
      else {
        const barrier = new Barrier(control, threads, platform.cores());
        forward = new Forward(setup, thread, threads, barrier, new WorkCounter(control, thread));
      }
      answers = setup.type === "convert" || thread === 0 || (setup.type === "forward" && setup.profile);
      reply({ type: "ready" });
    } else if (order.type === "notice") {
      if (order.notice === "serve") reader!.serve();
      else forward!.notice(order.notice);
    } else {
      const result = order.work.type === "convert" ? converter!.run(order.work) : run(forward!, order.work);
      if (answers) reply({ type: "done", job: order.job, result });
    }
  } catch (error) {
    const { name, message, stack, code } = error as Error & { code?: string };
    reply({ type: "failed", error: { name, message, stack, code } });
  }
});

function run(forward: Forward, job: Job): JobResult {
  if (job.type === "step") return forward.start(job.step);
  return job.type === "resume" ? forward.resume() : forward.drop();
}

reply({ type: "loaded" });
