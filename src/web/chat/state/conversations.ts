// The conversations: their list, and the one that is shown. What another tab changes is shown here, too.
import { computed, signal } from "@preact/signals";
import { type Conversation, newConversation, titleOf } from "./conversation.ts";
import { Database } from "./database.ts";
import { keep, kept, keptSignal } from "./kept.ts";
import { notify } from "./view.ts";

const all = signal<ReadonlyMap<string, Conversation>>(new Map());

/** The conversations, the newest first. */
export const list = computed(() => [...all.value.values()].sort((a, b) => b.updated - a.updated));

/** What a new conversation begins with. */
export const defaultSystem = keptSignal("system", "");

/** The one that is shown; it may be new, and kept nowhere yet. */
export const current = signal<Conversation>(newConversation(defaultSystem.value));

/** Whether it is kept. */
export const isKept = (id: string): boolean => all.value.has(id);

let database: Database;

export const traces = (): Pick<Database, "trace" | "keepTrace" | "dropTraces"> => database;

function took(conversation: Conversation): void {
  all.value = new Map(all.value).set(conversation.id, conversation);
  if (current.value.id === conversation.id) current.value = conversation;
}

function gone(id: string): void {
  const left = new Map(all.value);
  left.delete(id);
  all.value = left;
  if (current.value.id === id) startNew();
}

export async function openConversations(): Promise<void> {
  database = await Database.open();
  if (!database.lasting)
    notify("This browser keeps nothing for the page (a private window?): conversations end with it.", { bad: true });
  all.value = new Map((await database.all()).map((one) => [one.id, one]));
  const last = all.value.get(kept("current", ""));
  if (last) current.value = last;
  database.watch(async ({ id, removed }) => {
    const now = removed ? undefined : await database.get(id);
    if (now) took(now);
    else gone(id);
  });
}

export function show(conversation: Conversation): void {
  current.value = conversation;
  keep("current", conversation.id);
}

/** Begins a conversation; it is kept with its first message. */
export function startNew(): void {
  show(newConversation(defaultSystem.value));
}

/** Keeps a conversation that is not kept yet. */
export async function add(conversation: Conversation): Promise<void> {
  took(conversation);
  await database.add(conversation);
}

/** Changes what is kept of a conversation. @returns what it is then; undefined where it was deleted meanwhile */
export async function change(
  id: string,
  change: (now: Conversation) => Conversation,
): Promise<Conversation | undefined> {
  const next = await database.change(id, change);
  if (next) took(next);
  else if (all.value.has(id)) gone(id);
  return next;
}

/** What is kept of a conversation now; itself, where it is not kept yet; undefined where it was deleted. */
export const latest = async (conversation: Conversation): Promise<Conversation | undefined> =>
  isKept(conversation.id) ? database.get(conversation.id) : conversation;

export const rename = (id: string, title: string) =>
  change(id, (now) => {
    const given = title.trim();
    const first = now.messages.find(({ role }) => role === "user")?.content ?? "";
    return { ...now, title: given || titleOf(first), named: given !== "" };
  });

/** The system prompt of the conversation that is shown, and of those that begin later. */
export async function setSystem(system: string): Promise<void> {
  defaultSystem.value = system;
  const { id } = current.value;
  if (all.value.has(id)) await change(id, (now) => ({ ...now, system }));
  else current.value = { ...current.value, system };
}

export async function remove(id: string): Promise<void> {
  gone(id);
  await database.remove(id);
}
