// The model that answers: what is loaded, what is loading, and why it could not be.
import { computed, signal } from "@preact/signals";
import type { ModelInfo } from "../../../index.ts";
import { engine, type LoadedModel, type Source } from "../engine.ts";
import type { Progress } from "../progress.ts";
import { type Fault, faultOf, isAbort } from "./faults.ts";
import { keep, kept } from "./kept.ts";
import { say } from "./view.ts";

export type ModelState =
  | { readonly is: "none" }
  | { readonly is: "loading"; readonly source: Source; readonly progress: Progress; readonly cancel: () => void }
  | { readonly is: "ready"; readonly source: Source; readonly loaded: LoadedModel }
  | { readonly is: "failed"; readonly source: Source; readonly fault: Fault };

export const model = signal<ModelState>({ is: "none" });
/** What the model takes and how it runs, as of its last answer. */
export const info = signal<ModelInfo | undefined>(undefined);

/** The model's name, in words. */
export function nameOf(source: Source): string {
  if (source.kind === "demo") return "Demo model";
  if (source.kind === "stored") return shortName(source.name);
  const [first] = source.files;
  const folder = first.webkitRelativePath.split("/")[0];
  return source.files.length > 1 && folder ? folder : first.name;
}

/** Of an id or a URL, what tells it from others. */
export const shortName = (name: string): string =>
  /^https?:/.test(name) ? (name.split(/[?#]/)[0].replace(/\/$/, "").split("/").pop() ?? name) : name;

export const modelName = computed(() => (model.value.is === "none" ? undefined : nameOf(model.value.source)));

/** What the page goes on with when it is opened again; files that were picked cannot be. */
export const remembered = (): Source => {
  const last = kept<Source>("model", { kind: "demo" });
  return last.kind === "stored" && typeof last.name === "string" ? last : { kind: "demo" };
};

let loading: Promise<LoadedModel | undefined> = Promise.resolve(undefined);

/** Lets go of what is loaded, or cancels what is loading. */
export async function unload(): Promise<void> {
  const now = model.value;
  model.value = { is: "none" };
  info.value = undefined;
  if (now.is === "loading") now.cancel();
  // A model that has died may not answer any more.
  if (now.is === "ready") await now.loaded.dispose().catch(() => {});
}

/** Loads a model in the place of the one there is. @returns undefined where it failed or was cancelled; the state says why */
export function load(source: Source): Promise<LoadedModel | undefined> {
  loading = replace(source, loading);
  return loading;
}

async function replace(source: Source, before: Promise<unknown>): Promise<LoadedModel | undefined> {
  const controller = new AbortController();
  const { signal } = controller;
  const mine = () => model.value.is === "loading" && model.value.cancel === cancel;
  const cancel = () => {
    controller.abort();
    if (mine()) model.value = { is: "none" };
  };
  const unloaded = unload();
  const show = (progress: Progress) => {
    if (model.value.is === "none" || mine()) model.value = { is: "loading", source, progress, cancel };
  };
  show({ doing: "load", loaded: 0, total: 0 });
  await Promise.all([unloaded, before.catch(() => {})]);
  if (signal.aborted) return undefined;
  try {
    const loaded = await engine.load(source, { signal, onProgress: (progress) => mine() && show(progress) });
    if (!mine()) {
      await loaded.dispose();
      return undefined;
    }
    model.value = { is: "ready", source, loaded };
    keep("model", source.kind === "files" ? { kind: "demo" } : source);
    say(`${nameOf(source)} is ready`);
    await refreshInfo(loaded);
    return loaded;
  } catch (error) {
    if (mine() && !isAbort(error, signal)) model.value = { is: "failed", source, fault: faultOf(error) };
    else if (mine()) model.value = { is: "none" };
    return undefined;
  }
}

/** The model, loaded where it is not. */
export async function ready(): Promise<LoadedModel | undefined> {
  const now = model.value;
  if (now.is === "ready") return now.loaded;
  if (now.is === "loading") return loading;
  return load(now.is === "failed" ? now.source : remembered());
}

/** What the model takes now. */
export async function refreshInfo(loaded: LoadedModel): Promise<void> {
  const told = await loaded.info().catch(() => undefined);
  if (model.value.is === "ready" && model.value.loaded === loaded) info.value = told;
}

/** The model was lost while it answered. */
export function lost(fault: Fault): void {
  const now = model.value;
  if (now.is !== "ready") return;
  void unload();
  model.value = { is: "failed", source: now.source, fault };
}
