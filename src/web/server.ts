// The engine's end of the connection: runs what the page calls, in the order of the calls, and keeps the objects that the page
// knows by their numbers.
import { EngineError, InputError } from "../errors.ts";
import type { Channel, Reply, Request } from "./messages.ts";
import { decodeValue, type Ends, encodeValue, handOver, type Tagged } from "./wire.ts";

/** Why a signal was aborted: the page knows, by its own signal. */
class AbortedThere {
  readonly signal: number;
  constructor(signal: number) {
    this.signal = signal;
  }
}

/** What a function of the page's has thrown: the page has it. */
class ThrownThere {
  readonly id: number;
  constructor(id: number) {
    this.id = id;
  }
}

/** What the library has of its own, which the connection knows nothing of. */
export interface Service {
  /** Runs a method. @param target - undefined where it is the library's own */
  run(target: object | undefined, method: string, args: readonly unknown[]): unknown;
  /** What kind of object it is, where the page is to know it by its number, and what the page is told when it gets it. */
  describe(value: object): { readonly kind: string; readonly [field: string]: unknown } | undefined;
  /** What changes about an object. */
  state(value: object): unknown;
  /** The page has forgotten it. */
  forgotten(value: object): void;
  /** What of the page's is made anew here; may take its time. */
  make(value: Tagged): unknown;
  /** Makes a function of the page's, which answers later, one that the library can call. */
  later(call: (...args: unknown[]) => Promise<unknown>): CallableFunction;
}

export class EngineServer {
  private readonly channel: Channel;
  private readonly service: Service;
  private readonly objects = new Map<number, object>();
  private readonly ids = new WeakMap<object, number>();
  private readonly signals = new Map<number, AbortController>();
  private readonly answers = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  /** What tells the objects of the page's that have a state. */
  private readonly stateful = new Map<number, (value: unknown) => void>();
  private tail: Promise<void> = Promise.resolve();
  private next = 2;

  constructor(channel: Channel, service: Service) {
    this.channel = channel;
    this.service = service;
    channel.onmessage = ({ data }) => this.receive(data as Request);
  }

  private newId(): number {
    this.next += 2;
    return this.next;
  }

  /** Has the page know an object by a number. */
  register(value: object, id = this.ids.get(value) ?? this.newId()): number {
    this.objects.set(id, value);
    this.ids.set(value, id);
    return id;
  }

  /** Has objects of the page's tell what becomes of them. */
  watch(id: number, listener: (value: unknown) => void): void {
    this.stateful.set(id, listener);
  }

  private receive(message: Request): void {
    // Answers belong to calls that are under way. All else is taken in the order in which it was said: a call may have to wait
    // for what it is given, and what is said of it afterwards waits with it.
    if (message.type === "answer") this.takeAnswer(message);
    else this.tail = this.tail.then(() => this.take(message));
  }

  private takeAnswer(message: Request & { type: "answer" }): void {
    const waiting = this.answers.get(message.answer);
    this.answers.delete(message.answer);
    if ("error" in message) waiting?.reject(new ThrownThere(message.error as number));
    else waiting?.resolve(decodeValue(message.value, this.ends()));
  }

  private take(message: Exclude<Request, { type: "answer" }>): Promise<void> | void {
    if (message.type === "call") return this.begin(message);
    if (message.type === "abort") this.signals.get(message.signal)?.abort(new AbortedThere(message.signal));
    else if (message.type === "state") this.stateful.get(message.id)?.(message.value);
    else for (const id of message.ids) this.drop(id);
  }

  private drop(id: number): void {
    const value = this.objects.get(id);
    this.objects.delete(id);
    this.stateful.delete(id);
    if (value) this.service.forgotten(value);
  }

  /** Starts a call; what comes of it is told when it is there. */
  private async begin(message: Request & { type: "call" }): Promise<void> {
    const { target, method, args } = message;
    const used = new Set<number>(target ? [target] : []);
    const signals: number[] = [];
    try {
      const object = target ? this.objects.get(target) : undefined;
      if (target && !object) throw new EngineError("the engine has no such object any more");
      const given = args.map((arg) => decodeValue(arg, this.ends(used, signals)));
      // Promises of what is made: nothing else in what a page sends is one that ends.
      const ready = await Promise.all(given.map((arg) => this.settled(arg)));
      const result = this.service.run(object, method, ready);
      // Not awaited: the next call is begun meanwhile.
      void Promise.resolve(result).then(
        (value) => this.end(message, used, signals, { value }),
        (error: unknown) => this.end(message, used, signals, { error }),
      );
    } catch (error) {
      this.end(message, used, signals, { error });
    }
  }

  /** The things that were being made in an argument, made. */
  private async settled(value: unknown): Promise<unknown> {
    if (value instanceof Making) return value.made;
    if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
    for (const [name, each] of Object.entries(value))
      if (each instanceof Making) (value as Record<string, unknown>)[name] = await each.made;
    return value;
  }

  private end(
    { call, target }: Request & { type: "call" },
    used: Set<number>,
    signals: readonly number[],
    outcome: { value: unknown } | { error: unknown },
  ): void {
    for (const id of signals) this.signals.delete(id);
    if (call === 0) {
      if ("error" in outcome && target)
        this.post({ type: "fault", id: target, error: this.encodeFault(outcome.error) });
      return;
    }
    const name = "error" in outcome ? "error" : "value";
    const encoded =
      "error" in outcome ? this.encodeFault(outcome.error, used) : encodeValue(outcome.value, this.ends(used));
    const states = [...used].flatMap((id) => {
      const object = this.objects.get(id);
      return object ? [[id, encodeValue(this.service.state(object), this.ends())] as const] : [];
    });
    this.post({ type: "result", call, [name]: encoded, states }, [...handOver(encoded)]);
  }

  private encodeFault(error: unknown, used?: Set<number>): unknown {
    return encodeValue(this.thrown(error), this.ends(used));
  }

  private post(message: Reply, transfer: Transferable[] = []): void {
    this.channel.postMessage(message, transfer);
  }

  /** An error as the page is to be told of it. */
  private thrown(error: unknown): unknown {
    const { cause, partial } = Object(error) as { cause?: unknown; partial?: unknown };
    if (cause instanceof AbortedThere) return new Told({ $: "aborted", id: cause.signal }, partial);
    if (error instanceof AbortedThere) return new Told({ $: "aborted", id: error.signal });
    if (error instanceof ThrownThere) return new Told({ $: "thrown", id: error.id });
    return error ?? new EngineError(`a call failed without an error: ${String(error)}`);
  }

  private ends(used?: Set<number>, signals?: number[]): Ends {
    return {
      encode: (value, encode) => this.encode(value, encode, used),
      function() {
        throw new InputError("functions of the engine's stay with it");
      },
      decode: (value) => this.decode(value, used, signals),
    };
  }

  private encode(
    value: object,
    encode: (value: unknown) => unknown,
    used: Set<number> | undefined,
  ): Tagged | undefined {
    if (value instanceof Told)
      return value.partial === undefined ? value.tagged : { ...value.tagged, partial: encode(value.partial) };
    const description = this.service.describe(value);
    if (!description) return undefined;
    const id = this.register(value);
    used?.add(id);
    const fields = Object.entries(description).map(([name, each]) => [name, encode(each)]);
    return { $: "remote", id, ...Object.fromEntries(fields), state: encode(this.service.state(value)) };
  }

  private decode(value: Tagged, used: Set<number> | undefined, signals: number[] | undefined): unknown {
    const id = value.id as number;
    switch (value.$) {
      case "remote": {
        used?.add(id);
        const object = this.objects.get(id);
        if (!object) throw new EngineError("the engine has no such object any more");
        return object;
      }
      case "function":
        return this.stub(id, value.name as string);
      case "signal": {
        const controller = new AbortController();
        this.signals.set(id, controller);
        signals?.push(id);
        if (value.aborted) controller.abort(new AbortedThere(id));
        return controller.signal;
      }
      default: {
        const made = this.service.make(value);
        return made instanceof Promise ? new Making(made) : made;
      }
    }
  }

  /** A function of the page's. */
  private stub(id: number, name: string): CallableFunction {
    const call = (...args: unknown[]) =>
      new Promise<unknown>((resolve, reject) => {
        const answer = this.newId();
        this.answers.set(answer, { resolve, reject });
        const encoded = args.map((arg) => encodeValue(arg, this.ends()));
        this.post({ type: "callback", id, answer, args: encoded });
      });
    return Object.defineProperty(this.service.later(call), "name", { value: name });
  }
}

/** What the page knows better, in place of an error. */
class Told {
  readonly tagged: Tagged;
  readonly partial: unknown;
  constructor(tagged: Tagged, partial?: unknown) {
    this.tagged = tagged;
    this.partial = partial;
  }
}

/** A thing that is being made of what the page sent. */
class Making {
  readonly made: Promise<unknown>;
  constructor(made: Promise<unknown>) {
    this.made = made;
  }
}
