// The page's end of the connection: calls of the engine's worker, functions of the page that the engine calls, signals, and
// which object here stands for which over there.
import { abortedWith, onAbort } from "../abort.ts";
import { isPromise } from "../callbacks.ts";
import { show } from "../config/show.ts";
import { EngineError } from "../errors.ts";
import type { Channel, Reply, Request } from "./messages.ts";
import { decodeValue, type Ends, encodeValue, type Tagged } from "./wire.ts";

/** An object here that stands for one of the engine's. */
export interface Remote {
  /** @internal The engine's number of it. */
  readonly id: number;
  /** @internal Takes what the engine tells of it. */
  update(state: unknown): void;
  /** @internal What a call that nobody waited for has failed with; thrown by the next. */
  fault: { readonly error: unknown } | undefined;
}

/** Makes what stands here for an object that the engine has given. */
export type Maker = (client: EngineClient, id: number, tagged: Tagged) => object;

/** A call under way: what of the page belongs to it. */
interface Call {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  readonly callbacks: number[];
  readonly forget: (() => void)[];
}

interface Callback {
  readonly call: CallableFunction;
  readonly receiver: unknown;
}

export class EngineClient {
  private readonly channel: Channel;
  private readonly make: Maker;
  private readonly own: (value: object) => Tagged | undefined;
  private readonly idle: () => void;
  private readonly calls = new Map<number, Call>();
  private readonly callbacks = new Map<number, Callback>();
  private readonly signals = new Map<number, AbortSignal>();
  /** What functions of the page's have thrown, which the engine knows by numbers. */
  private readonly thrown = new Map<number, unknown>();
  /** By the engine's numbers; what nobody here refers to any more is forgotten over there. */
  private readonly remotes = new Map<number, WeakRef<Remote>>();
  private readonly forgotten = new FinalizationRegistry<number>((id) => this.forget(id));
  private next = 1;
  private failure: EngineError | undefined;

  /**
   * @param make - makes objects that stand for the engine's
   * @param own - what of a page's objects the engine has a counterpart of that is no `Remote`
   * @param idle - is told when no call is under way any more
   */
  constructor(channel: Channel, make: Maker, own: (value: object) => Tagged | undefined, idle: () => void) {
    this.channel = channel;
    this.make = make;
    this.own = own;
    this.idle = idle;
    channel.onmessage = ({ data }) => this.receive(data as Reply);
  }

  /** Odd numbers are the page's, even ones the engine's. */
  newId(): number {
    this.next += 2;
    return this.next;
  }

  /** Calls under way. */
  get busy(): boolean {
    return this.calls.size > 0;
  }

  /** Ends all calls, and refuses those to come: the worker is gone. */
  fail(error: EngineError): void {
    this.failure ??= error;
    for (const [id, call] of [...this.calls]) {
      this.finish(id);
      call.reject(error);
    }
  }

  register(remote: Remote): void {
    this.remotes.set(remote.id, new WeakRef(remote));
    this.follow(remote, remote.id);
  }

  /** Has the engine forget what it has by a number once nobody on the page refers to an object any more. */
  follow(object: object, id: number): void {
    this.forgotten.register(object, id);
  }

  /** What stands for an object of the engine's, as long as somebody refers to it. */
  find(id: number): Remote | undefined {
    return this.remotes.get(id)?.deref();
  }

  private forget(id: number): void {
    this.remotes.delete(id);
    if (!this.failure) this.send({ type: "forget", ids: [id] });
  }

  /**
   * Calls a method of the engine's.
   * @param target - an object's number, or 0 for the library
   * @throws what it threw over there; what a function of the page's has thrown, itself; a signal's own reason
   */
  call<T>(target: number, method: string, args: readonly unknown[]): Promise<T> {
    if (this.failure) return Promise.reject(this.failure);
    const call = this.newId();
    return new Promise<T>((resolve, reject) => {
      const entry: Call = { resolve: resolve as (value: unknown) => void, reject, callbacks: [], forget: [] };
      const encoded = args.map((arg) => encodeValue(arg, this.ends(entry)));
      this.calls.set(call, entry);
      try {
        this.send({ type: "call", call, target, method, args: encoded });
      } catch (error) {
        this.finish(call);
        throw error;
      }
    });
  }

  /** The same, for what nobody waits for: it comes before all that is called later. Where it fails, the object is told. */
  cast(target: number, method: string, args: readonly unknown[]): void {
    if (this.failure) return;
    this.send({ type: "call", call: 0, target, method, args: args.map((arg) => encodeValue(arg, this.ends())) });
  }

  /** Tells the engine what an object of the page's says of itself. */
  tell(id: number, value: unknown): void {
    if (!this.failure) this.send({ type: "state", id, value });
  }

  private send(message: Request): void {
    this.channel.postMessage(message, []);
  }

  private ends(call?: Call): Ends {
    return {
      encode: (value) => this.encode(value, call),
      function: (value, receiver) => {
        const id = this.newId();
        this.callbacks.set(id, { call: value, receiver });
        call?.callbacks.push(id);
        return { $: "function", id, name: value.name };
      },
      decode: (value, decode) => this.decode(value, decode),
    };
  }

  private encode(value: object, call: Call | undefined): Tagged | undefined {
    const { id } = value as Partial<Remote>;
    if (id !== undefined && this.remotes.get(id)?.deref() === value) return { $: "remote", id };
    if (value instanceof AbortSignal) return this.encodeSignal(value, call);
    return this.own(value);
  }

  private encodeSignal(signal: AbortSignal, call: Call | undefined): Tagged {
    const id = this.newId();
    this.signals.set(id, signal);
    call?.forget.push(
      onAbort(signal, () => {
        if (!this.failure) this.send({ type: "abort", signal: id });
      }),
      () => this.signals.delete(id),
    );
    return { $: "signal", id, aborted: signal.aborted };
  }

  private decode(value: Tagged, decode: (value: unknown) => unknown): unknown {
    const id = value.id as number;
    switch (value.$) {
      case "remote": {
        const known = this.remotes.get(id)?.deref();
        if (known) known.update(value.state);
        const described = Object.entries(value).map(([name, field]) => [name, decode(field)]);
        return known ?? this.make(this, id, Object.fromEntries(described));
      }
      case "aborted": {
        const reason = this.signals.get(id)?.reason;
        return "partial" in value ? abortedWith(reason, decode(value.partial)) : reason;
      }
      case "thrown":
        return this.thrown.get(id);
      default:
        throw new EngineError(`the engine sent ${value.$}, which the page does not know`);
    }
  }

  private receive(message: Reply): void {
    if (message.type === "callback") void this.callback(message);
    else if (message.type === "fault") {
      const remote = this.remotes.get(message.id)?.deref();
      if (remote) remote.fault ??= { error: decodeValue(message.error, this.ends()) };
    } else {
      const call = this.calls.get(message.call);
      for (const [id, state] of message.states) this.remotes.get(id)?.deref()?.update(state);
      if (!call) return;
      const failed = "error" in message;
      let value: unknown;
      try {
        value = decodeValue(failed ? message.error : message.value, this.ends());
      } catch (error) {
        this.finish(message.call);
        call.reject(error);
        return;
      }
      this.finish(message.call);
      if (failed) call.reject(value);
      else call.resolve(value);
    }
  }

  private finish(id: number): void {
    const call = this.calls.get(id);
    this.calls.delete(id);
    for (const callback of call?.callbacks ?? []) this.callbacks.delete(callback);
    for (const forget of call?.forget ?? []) forget();
    if (this.calls.size > 0) return;
    this.thrown.clear();
    this.idle();
  }

  /** Calls a function of the page's, and tells what it answered, or by which number what it threw is known here. */
  private async callback({ id, answer, args }: Reply & { type: "callback" }): Promise<void> {
    const callback = this.callbacks.get(id);
    // Its call is over.
    if (!callback) return this.send({ type: "answer", answer });
    try {
      const given = args.map((arg) => decodeValue(arg, this.ends()));
      const returned: unknown = Reflect.apply(callback.call, callback.receiver, given);
      // Not awaited where there is nothing to wait for: answers keep the order of the calls.
      const value = isPromise(returned) ? await returned : returned;
      this.send({ type: "answer", answer, value: encodeValue(value, this.ends()) });
    } catch (error) {
      const number = this.newId();
      this.thrown.set(number, error);
      this.send({ type: "answer", answer, error: number });
    }
  }
}

/** What a worker that died says. */
export const workerFailure = (cause: unknown): EngineError =>
  new EngineError(`the engine's worker ended: ${cause instanceof Error ? cause.message : show(cause)}`, { cause });
