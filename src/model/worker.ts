// The entry of a team's thread: takes its setup, then runs steps until it is ended.
import { currentPlatform } from "../platform/index.ts";
import { Barrier, Turns } from "../threads/barrier.ts";
import type { Order, Reply } from "../threads/team.ts";
import { Forward } from "./forward.ts";
import type { BankAdded, DotChosen, Setup, Step } from "./step.ts";

const platform = await currentPlatform();
const port = platform.host_port();
const reply = (message: Reply) => port.post(message);

let forward: Forward | undefined;

port.on_message((message) => {
  const order = message as Order;
  try {
    if (order.type === "init") {
      const barrier = new Barrier(order.control, order.threads, platform.cores());
      forward = new Forward(
        order.setup as Setup,
        order.thread,
        order.threads,
        barrier,
        new Turns(order.control, order.thread),
      );
      reply({ type: "ready" });
    } else if (order.type === "tell") forward!.tell(order.message as BankAdded | DotChosen);
    else {
      const result = forward!.run(order.work as Step);
      reply({ type: "done", step: order.step, result });
    }
  } catch (error) {
    const { name, message, stack } = error as Error;
    reply({ type: "failed", error: { name, message, stack } });
  }
});

reply({ type: "loaded" });
