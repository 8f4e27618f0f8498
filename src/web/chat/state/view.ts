// What of the page is open, how it looks, and what it says aloud.
import { computed, effect, signal } from "@preact/signals";
import { keptSignal } from "./kept.ts";

/** What stands at the right. */
export type Panel = "experts" | "settings" | "models";

export type Theme = "system" | "light" | "dark";

export const panel = signal<Panel | undefined>(undefined);
/** Whether the list of conversations is open, where there is no room for it beside the conversation. */
export const drawer = signal(false);
export const theme = keptSignal<Theme>("theme", "system");

/** Whether panels lie over the conversation. */
const narrow = matchMedia("(max-width: 1099px)");
export const overlays = signal(narrow.matches);
narrow.addEventListener("change", () => {
  overlays.value = narrow.matches;
});

/** What lies over everything else. */
export const covering = computed(() => (overlays.value ? (drawer.value ? "drawer" : panel.value) : undefined));

effect(() => {
  const root = document.documentElement;
  if (theme.value === "system") delete root.dataset.theme;
  else root.dataset.theme = theme.value;
});

/** What is told to screen readers, once. */
export const spoken = signal("");

export function say(text: string): void {
  // The same text twice is heard twice.
  spoken.value = spoken.value === text ? `${text}\u00a0` : text;
}

/** Reads something long aloud, once; it stands on the page already. */
export function readAloud(what: string, text: string): void {
  const notifier = document as Document & { ariaNotify?: (text: string) => void };
  if (notifier.ariaNotify) {
    say(what);
    notifier.ariaNotify(text);
  } else say(`${what}: ${text}`);
}

/** A line that is shown for a while, and read aloud. */
export interface Notice {
  readonly id: number;
  readonly text: string;
  readonly bad: boolean;
  readonly action?: { readonly label: string; readonly run: () => void } | undefined;
}

export const notices = signal<readonly Notice[]>([]);
let notes = 0;

/** @param action - a notice with something to do stays until it is closed */
export function notify(text: string, { bad = false, action }: { bad?: boolean; action?: Notice["action"] } = {}): void {
  const id = ++notes;
  notices.value = [...notices.value.filter((one) => one.text !== text), { id, text, bad, action }];
  if (!bad && !action) setTimeout(() => dismiss(id), 6000);
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((one) => one.id !== id);
}

/** Opens a panel, or closes it where it is open. */
export function togglePanel(which: Panel): void {
  panel.value = panel.value === which ? undefined : which;
  drawer.value = false;
}
