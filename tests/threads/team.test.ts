// The team with threads that the test plays: how it starts, what of an end it waits for, whom a failure reaches.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { EngineError } from "../../src/errors.ts";
import type { TeamWorker, Threads } from "../../src/platform/platform.ts";
import { Team } from "../../src/threads/team.ts";
import { failure } from "../failure.ts";

const turn = () => new Promise<void>((resolve) => setTimeout(resolve));

/** A thread that says what the test has it say. */
class Played implements TeamWorker {
  readonly orders: { type: string; job?: number }[] = [];
  referred = true;
  terminated = false;
  say: (reply: object) => void = () => {};
  fail: (cause: unknown) => void = () => {};
  end: () => void = () => {};

  post = (order: unknown) => void this.orders.push(order as { type: string });
  on_message = (listener: (message: unknown) => void) => void (this.say = listener);
  on_failure = (listener: (cause: unknown) => void) => void (this.fail = listener);
  ref = () => void (this.referred = true);
  unref = () => void (this.referred = false);
  terminate(): Promise<void> {
    this.terminated = true;
    return new Promise((resolve) => (this.end = resolve));
  }
}

function played(threads: number, options: { cores?: number; all_answer?: boolean; signal?: AbortSignal } = {}) {
  const workers: Played[] = [];
  const platform = {
    cores: () => options.cores ?? 8,
    spawn: () => {
      workers.push(new Played());
      return workers.at(-1)!;
    },
  } as unknown as Threads;
  const { all_answer = false, signal } = options;
  const starting = Team.start<string, string, string, number>(platform, threads, "setup", all_answer, signal);
  starting.catch(() => {});
  return { workers, starting };
}

async function started(threads: number, options = {}) {
  const { workers, starting } = played(threads, options);
  for (const worker of workers) worker.say({ type: "loaded" });
  for (const worker of workers) worker.say({ type: "ready" });
  return { workers, team: await starting };
}

test("threads start two at a time for each core; the setup follows when their code is there", async () => {
  const { workers, starting } = played(5, { cores: 1 });
  assert.is(workers.length, 2);
  workers[0].say({ type: "loaded" });
  assert.is(workers.length, 3);
  assert.equal(
    workers[0].orders.map(({ type }) => type),
    ["init"],
  );
  assert.equal(workers[1].orders, []);
  for (let i = 1; i < 5; i++) workers[i].say({ type: "loaded" });
  assert.is(workers.length, 5);
  let ready = false;
  void starting.then(() => (ready = true));
  for (let i = 0; i < 4; i++) workers[i].say({ type: "ready" });
  await turn();
  assert.not(ready);
  workers[4].say({ type: "ready" });
  const team = await starting;
  assert.ok(team.idle);
  assert.ok(workers.every(({ referred }) => !referred));
});

test("a job is over when the threads that answer have; the process waits for it, and for nothing else", async () => {
  for (const all_answer of [false, true]) {
    const { workers, team } = await started(2, { all_answer });
    const first = team.run("one");
    const second = team.run("two");
    assert.not(team.idle);
    assert.ok(workers.every(({ referred }) => referred));
    assert.equal(
      workers[1].orders.slice(1).map(({ type, job }) => `${type} ${job}`),
      ["job 1", "job 2"],
    );
    workers[0].say({ type: "done", job: 1, result: 10 });
    workers[0].say({ type: "done", job: 2, result: 20 });
    if (all_answer) {
      assert.not(team.idle);
      workers[1].say({ type: "done", job: 2, result: 21 });
      workers[1].say({ type: "done", job: 1, result: 11 });
    }
    assert.equal(await first, all_answer ? [10, 11] : [10]);
    assert.equal(await second, all_answer ? [20, 21] : [20]);
    assert.ok(team.idle && workers.every(({ referred }) => !referred));
  }
});

test("dispose waits until every thread has ended, and refuses what comes later", async () => {
  const { workers, team } = await started(3);
  const pending = team.run("never answered");
  let ended = false;
  const disposal = team.dispose().then(() => (ended = true));
  assert.match((await failure(pending)).message, /the model was disposed during a step/);
  assert.match((await failure(team.run("late"))).message, /the model was disposed/);
  assert.ok(workers.every(({ terminated, referred }) => terminated && referred));
  for (const worker of workers) {
    assert.not(ended);
    worker.end();
    await turn();
  }
  await disposal;
  await team.dispose();
});

test("a thread that fails fails every job, with its cause, and all later ones", async () => {
  const { workers, team } = await started(2);
  const jobs = [team.run("one"), team.run("two")];
  workers[1].say({ type: "failed", error: { name: "RangeError", message: "broken", code: "X" } });
  workers[0].say({ type: "failed", error: { name: "EngineError", message: "because of the other" } });
  for (const job of [...jobs, team.run("three")]) {
    const error = await failure(job);
    assert.instance(error, EngineError);
    assert.match(error.message, /thread 1 of the team failed: broken/);
    const { name, message, code } = error.cause as { name: string; message: string; code: string };
    assert.equal([name, message, code], ["RangeError", "broken", "X"]);
  }
  assert.not(team.idle);
});

test("where a thread cannot start, all are ended before that is told; a process waits for it", async () => {
  const { workers, starting } = played(2);
  let told = false;
  const failing = failure(starting).then((error) => {
    told = true;
    return error;
  });
  workers[0].fail(new Error("no such module"));
  await turn();
  // The other has not loaded its code, and is ended when it has.
  assert.ok(workers[1].referred && !workers[1].terminated && !told);
  workers[1].say({ type: "loaded" });
  await turn();
  assert.equal(
    workers.map(({ terminated }) => terminated),
    [true, true],
  );
  assert.equal(workers[1].orders, [], "no setup for who is ended");
  for (const worker of workers) worker.end();
  assert.match((await failing).message, /thread 0 of the team failed: no such module/);
});

test("who aborts a start does not wait for the threads' end", async () => {
  const controller = new AbortController();
  const { workers, starting } = played(2, { signal: controller.signal });
  workers[0].say({ type: "loaded" });
  const reason = new Error("enough");
  controller.abort(reason);
  assert.is(await failure(starting), reason as never);
  await turn();
  assert.ok(workers[0].terminated);
});

test.run();
