// tramontane chat: a conversation on the terminal, or over a pipe.
import process from "node:process";
import { type Command as Caller, Command } from "commander";
import { InputError } from "../errors.ts";
import type { GenerateInputs } from "../generation/generate_inputs.ts";
import { ChatSession, type ChatSessionOptions } from "../generation/session.ts";
import { turnEnds } from "../generation/turn_ends.ts";
import { BRIEF, type ChatState, runCommand } from "./chat/commands.ts";
import { History } from "./chat/history.ts";
import { type ChatInput, PipedInput, TerminalInput } from "./chat/input.ts";
import { type Entry, MessageReader } from "./chat/messages.ts";
import { Settings } from "./chat/settings.ts";
import { Interrupted, interruptible, say, write } from "./io.ts";
import { type Loaded, load } from "./load.ts";
import { type ModelFlags, withModel } from "./options.ts";
import { givenPrompt, type PromptFlags, sessionOptions, withPrompt } from "./prompt.ts";
import { ReadingLine, Stopwatch } from "./report.ts";
import { describeSampling, type SamplingFlags, withSampling } from "./sampling.ts";

interface Flags extends ModelFlags, SamplingFlags, PromptFlags {
  refuseOverflow?: boolean;
}

export function chatCommand(): Command {
  const command = new Command("chat").description("talk with the model; the conversation is kept");
  return withSampling(withPrompt(withModel(command), "the first message"))
    .option("--refuse-overflow", "refuse what the context has no room for, instead of leaving the oldest turns out")
    .action(run);
}

async function run(flags: Flags, command: Caller): Promise<void> {
  const first = await givenPrompt(undefined, flags, command);
  const options = await sessionOptions(flags);
  const loaded = await interruptible((signal) => load(flags, signal));
  await using model = loaded.model;
  checkTemplate(loaded, options);
  const session = new ChatSession(model, loaded.tokenizer, {
    ...options,
    context_overflow: flags.refuseOverflow ? "error" : "drop_oldest",
  });
  const terminal = !!process.stdin.isTTY && !!process.stdout.isTTY;
  const input = terminal ? new TerminalInput(await History.read()) : new PipedInput();
  try {
    const chat = new Chat(session, loaded, input, flags);
    await chat.run(first);
    if (chat.failed && !terminal) process.exitCode = 1;
  } finally {
    input.close();
    session.dispose();
  }
}

/** Whether the model can be talked with at all. @throws what its template does, with the remedy */
function checkTemplate({ tokenizer }: Loaded, { chat_template }: ChatSessionOptions): void {
  try {
    tokenizer.apply_chat_template([{ role: "user", content: "Hello" }], {
      ...(chat_template == null ? {} : { chat_template }),
      add_generation_prompt: true,
    });
  } catch (cause) {
    throw new InputError(`${(cause as Error).message} (--chat-template FILE takes one from a file)`, { cause });
  }
}

class Chat {
  /** Whether a turn or a command has failed. */
  failed = false;
  private readonly session: ChatSession;
  private readonly loaded: Loaded;
  private readonly input: ChatInput;
  private readonly flags: Flags;
  private readonly settings: Settings;
  private readonly reader = new MessageReader();
  private readonly state: ChatState;

  constructor(session: ChatSession, loaded: Loaded, input: ChatInput, flags: Flags) {
    this.session = session;
    this.loaded = loaded;
    this.input = input;
    this.flags = flags;
    this.settings = new Settings(flags);
    this.state = {
      session,
      settings: this.settings,
      sampling: () => describeSampling(this.settings.options, loaded.model),
      note: (line) => this.note(line),
      say,
    };
  }

  private note(line: string): void {
    if (!this.flags.quiet) say(line);
  }

  /**
   * Answers lines until they end.
   * @param first - a message that stands before them
   * @throws Interrupted when Ctrl-C was pressed twice
   */
  async run(first: string | undefined): Promise<void> {
    const sampling = this.state.sampling();
    const remedy =
      sampling === "greedy" && this.flags.temperature !== 0
        ? ", as the checkpoint names nothing else (--temp 0.7 samples)"
        : "";
    this.note(`${sampling}${remedy}\n${BRIEF}`);
    if (first !== undefined) await this.answer((options) => this.session.send(first, options));
    for (let interrupts = 0; ; ) {
      const line = await this.input.read(this.reader.open);
      if (line === "interrupted" || line === "cleared") {
        const empty = line === "interrupted" && !this.reader.open;
        this.reader.clear();
        interrupts = empty ? interrupts + 1 : 0;
        if (interrupts === 2) throw new Interrupted();
        if (empty) say("Ctrl-C again or /exit ends it, /help tells the commands");
        continue;
      }
      interrupts = 0;
      const entry = line === null ? this.reader.end() : this.reader.add(line.line);
      if (entry && (await this.act(entry)) === "exit") return;
      if (line === null) return;
    }
  }

  private async act(entry: Entry): Promise<"exit" | undefined> {
    if (entry.kind === "message") {
      await this.answer((options) => this.session.send(entry.text, options));
      return undefined;
    }
    try {
      const then = await runCommand(entry.name, entry.argument, this.state);
      if (then === "regenerate") await this.answer((options) => this.session.regenerate(options));
      return then === "exit" ? then : undefined;
    } catch (error) {
      this.fail(error);
      return undefined;
    }
  }

  /** What fails a turn or a command does not end the chat. */
  private fail(error: unknown): void {
    this.failed = true;
    say(`tramontane: ${(error as Error).message}`);
  }

  private async answer(ask: (options: GenerateInputs) => AsyncIterable<string>): Promise<void> {
    const { session, settings, loaded, flags, input } = this;
    const { dropped } = session;
    const controller = new AbortController();
    input.onInterrupt = () => controller.abort(new Interrupted());
    const watch = new Stopwatch();
    const reading = new ReadingLine(flags.quiet);
    const options = {
      ...settings.options,
      eos_token_id: turnEnds(loaded.model, loaded.tokenizer),
      signal: controller.signal,
      streamer: watch,
      progress_callback: reading.tell,
    };
    let text = "";
    try {
      for await (const piece of ask(options)) {
        if (text === "" && session.dropped > dropped)
          this.note(`(the context is full: of the conversation, the first ${session.dropped} messages are left out)`);
        text += piece;
        if (!flags.json) await write(piece);
      }
    } catch (error) {
      reading.end();
      if (error instanceof Interrupted) say(" (stopped)");
      else {
        if (text !== "" && !flags.json) await write("\n");
        this.fail(error);
      }
      return;
    } finally {
      input.onInterrupt = () => {};
    }
    const { cached_tokens, finish_reason } = session;
    const figures = { ...watch.figures(cached_tokens), finish_reason, seed: options.seed };
    await write(flags.json ? `${JSON.stringify({ text, ...figures })}\n` : "\n");
    const cut =
      finish_reason === "length"
        ? `; cut: ${watch.generated === options.max_new_tokens ? "-n" : "the context is full"}`
        : "";
    if (!flags.json) this.note(watch.line(cached_tokens) + cut);
  }
}
