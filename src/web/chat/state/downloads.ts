// Downloads, and the models that are stored. A download that a reload has cut short goes on.
import { signal } from "@preact/signals";
import { engine, type Storage } from "../engine.ts";
import type { Progress } from "../progress.ts";
import { type Fault, faultOf, isAbort } from "./faults.ts";
import { keptSignal } from "./kept.ts";
import { load, model, shortName, unload } from "./model.ts";
import { notify, say } from "./view.ts";

export interface Download {
  readonly name: string;
  readonly progress: Progress;
  readonly fault?: Fault | undefined;
  readonly cancel: () => void;
}

export const downloads = signal<ReadonlyMap<string, Download>>(new Map());
export const stored = signal<Storage | undefined>(undefined);
export const storedFault = signal<Fault | undefined>(undefined);

/** Names of those that have not ended, for after a reload. */
const pending = keptSignal<readonly string[]>("downloads", []);

function put(name: string, download: Download | undefined): void {
  const next = new Map(downloads.value);
  if (download) next.set(name, download);
  else next.delete(name);
  downloads.value = next;
}

export async function refreshStored(): Promise<void> {
  try {
    stored.value = await engine.stored();
    storedFault.value = undefined;
  } catch (error) {
    storedFault.value = faultOf(error);
  }
}

/** Downloads a model, and starts it unless another one was started meanwhile. */
export async function download(given: string): Promise<void> {
  const name = given.trim();
  const begun = downloads.value.get(name);
  if (name === "" || (begun && !begun.fault)) return;
  const controller = new AbortController();
  const cancel = () => controller.abort();
  const before = model.value;
  const show = (progress: Progress, fault?: Fault) => put(name, { name, progress, fault, cancel });
  let progress: Progress = { doing: "download", loaded: 0, total: 0 };
  show(progress);
  pending.value = [...pending.value.filter((one) => one !== name), name];
  try {
    await engine.download(name, {
      signal: controller.signal,
      onProgress: (now) => {
        progress = now;
        show(now);
      },
    });
    put(name, undefined);
    forget(name);
    say(`${shortName(name)} is downloaded`);
    await refreshStored();
    if (model.value === before || model.value.is === "none") await load({ kind: "stored", name });
    else notify(`${shortName(name)} is downloaded.`, { action: { label: "Start it", run: () => void start(name) } });
  } catch (error) {
    if (isAbort(error, controller.signal)) {
      put(name, undefined);
      forget(name);
    } else show(progress, faultOf(error));
    await refreshStored();
  }
}

const forget = (name: string): void => {
  pending.value = pending.value.filter((one) => one !== name);
};

/** Takes a download that failed off the list; what is there of it stays. */
export function dismissDownload(name: string): void {
  put(name, undefined);
  forget(name);
}

export const start = (name: string) => load({ kind: "stored", name });

/** Goes on with what a reload has cut short. */
export function resumeDownloads(): void {
  for (const name of pending.value) void download(name);
}

export async function removeStored(name: string): Promise<void> {
  const now = model.value;
  if (now.is !== "none" && now.source.kind === "stored" && now.source.name === name) await unload();
  try {
    await engine.remove(name);
  } catch (error) {
    notify(faultOf(error).message, { bad: true });
  }
  await refreshStored();
}
