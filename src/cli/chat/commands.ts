// What a chat's commands do.
import { nearest } from "../../config/nearest.ts";
import { InputError } from "../../errors.ts";
import type { ChatSession } from "../../generation/session.ts";
import { loadConversation, saveConversation } from "./conversation_file.ts";
import type { Settings } from "./settings.ts";

export interface ChatState {
  readonly session: ChatSession;
  readonly settings: Settings;
  /** How tokens are chosen, in words. */
  readonly sampling: () => string;
  /** Says a line that --quiet leaves out, and one that it does not. */
  readonly note: (line: string) => void;
  readonly say: (line: string) => void;
}

/** What is to be done then: the chat ends, or the last message is answered again. */
type Then = "exit" | "regenerate" | undefined;

interface ChatCommand {
  readonly argument: string;
  readonly help: string;
  run(state: ChatState, argument: string): Then | Promise<Then>;
}

const needs = (argument: string, command: string): string => {
  if (argument === "") throw new InputError(`${command}: expected what stands behind it, found nothing`);
  return argument;
};

const plural = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? "" : "s"}`;

const commands: Readonly<Record<string, ChatCommand>> = {
  help: {
    argument: "",
    help: "this",
    run: ({ say }) => {
      for (const line of HELP) say(line);
      return undefined;
    },
  },
  system: {
    argument: "[TEXT]",
    help: 'tell the model something before the conversation; "" for nothing; alone: what that is',
    run: ({ session, note, say }, text) => {
      if (text === "") {
        say(session.system ?? "there is no system prompt");
        return undefined;
      }
      session.system = text === '""' ? "" : text;
      note(session.system === undefined ? "there is no system prompt any more" : "the system prompt holds from now on");
      return undefined;
    },
  },
  undo: {
    argument: "",
    help: "take the last message and its answer back",
    run: ({ session, note, say }) => {
      const [message] = session.undo();
      if (message) note(`taken back: ${message.content}`);
      else say("there is nothing to take back");
      return undefined;
    },
  },
  regen: {
    argument: "",
    help: "answer the last message again, with the next seed",
    run: ({ settings, sampling, note }) => {
      settings.reseed();
      note(sampling() === "greedy" ? "greedy: it is the same answer; /set temperature 0.7 samples" : sampling());
      return "regenerate";
    },
  },
  save: {
    argument: "FILE",
    help: "write the conversation, as JSON",
    run: async ({ session, note }, file) => {
      await saveConversation(needs(file, "/save"), session.messages);
      note(`${plural(session.messages.length, "message")} written to ${file}`);
      return undefined;
    },
  },
  load: {
    argument: "FILE",
    help: "go on with a conversation that was written",
    run: async ({ session, note }, file) => {
      session.load(await loadConversation(needs(file, "/load")));
      note(`${plural(session.messages.length, "message")} of ${file}`);
      return undefined;
    },
  },
  set: {
    argument: "[NAME [VALUE]]",
    help: "a setting of sampling (temperature, top_p, seed, max_new_tokens, stop, …); alone: what holds",
    run: ({ settings, sampling, note, say }, text) => {
      const [, name, value = ""] = /^(\S+)(?:\s+([\s\S]*))?$/.exec(text) ?? [];
      if (name === undefined) say(sampling());
      else {
        settings.set(name, value);
        note(sampling());
      }
      return undefined;
    },
  },
  reset: {
    argument: "",
    help: "forget the conversation, but for the system prompt",
    run: ({ session, note }) => {
      session.reset();
      note("the conversation is forgotten");
      return undefined;
    },
  },
  exit: { argument: "", help: "end; so do Ctrl-D, and Ctrl-C twice", run: () => "exit" },
};

const HELP: readonly string[] = [
  ...Object.entries(commands).map(([name, { argument, help }]) => `${`/${name} ${argument}`.padEnd(23)}${help}`),
  `${'"""'.padEnd(23)}begins and ends a message of several lines; a \\ at a line's end goes on in the next`,
  `${"//".padEnd(23)}a message that begins with a slash`,
  `${"Ctrl-C".padEnd(23)}stops an answer, or clears the line`,
];

/** The shortest help. */
export const BRIEF = "/help tells the commands, /exit ends it, Ctrl-C stops an answer";

/** Does what a command says; tells where there is no such one. @throws {@link InputError} where it cannot be done */
export function runCommand(name: string, argument: string, state: ChatState): Then | Promise<Then> {
  if (Object.hasOwn(commands, name)) return commands[name].run(state, argument);
  state.say(`unknown command /${name}: did you mean /${nearest(name, Object.keys(commands))}? ${BRIEF}`);
  return undefined;
}
