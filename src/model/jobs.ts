// The jobs that the team has been given and not yet answered, and how long each took.
import type { Job, JobResult } from "./step.ts";

export interface JobRunner {
  /** Runs a job after those before it. */
  run(job: Job): Promise<JobResult>;
}

export class Jobs {
  /** Jobs on their way. */
  posted = 0;
  /** When the job before ended: no later one began before that. */
  ended = 0;
  private readonly runner: JobRunner;

  constructor(runner: JobRunner) {
    this.runner = runner;
  }

  /** Runs a job; tells how many milliseconds it took from the end of the one before it on. */
  async run(job: Job): Promise<JobResult & { readonly ms: number }> {
    const given = performance.now();
    this.posted++;
    try {
      const result = await this.runner.run(job);
      const begun = Math.max(given, this.ended);
      this.ended = performance.now();
      return { ...result, ms: this.ended - begun };
    } finally {
      this.posted--;
    }
  }
}
