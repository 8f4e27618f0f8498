// The page's side of the service worker: it keeps the page for when there is no network, and gives it the headers that threads
// need where the host does not send them.
import { DEMO_PATH } from "./demo_file.ts";
import { notify } from "./state/view.ts";

const RELOADED = "tramontane.isolated";
/** How long a first visit waits for threads, in milliseconds. */
const PATIENCE_MS = 4000;

let registration: Promise<ServiceWorkerRegistration | undefined> | undefined;

function register(): Promise<ServiceWorkerRegistration | undefined> {
  registration ??= navigator.serviceWorker
    ? navigator.serviceWorker.register("service_worker.js").catch(() => undefined)
    : Promise.resolve(undefined);
  return registration;
}

/**
 * Where the host's headers do not isolate the page, the service worker's do, once the page is loaded again.
 * @returns whether it is being loaded again
 */
export async function becomeIsolated(): Promise<boolean> {
  if (crossOriginIsolated || !navigator.serviceWorker) return false;
  if (sessionStorage.getItem(RELOADED)) return false; // it did not help
  await register();
  const patience = new Promise<undefined>((resolve) => setTimeout(resolve, PATIENCE_MS));
  const active = await Promise.race([navigator.serviceWorker.ready, patience]);
  if (!active) return false;
  sessionStorage.setItem(RELOADED, "1");
  location.reload();
  return true;
}

/** Has the page, the engine and the demo model kept; says when another version is there. */
export async function keepOffline(): Promise<void> {
  const registered = await register();
  if (!registered) return;
  const offer = () => {
    const { waiting } = registered;
    if (!waiting || !navigator.serviceWorker.controller) return;
    notify("A new version of this page is there.", {
      action: {
        label: "Use it",
        run: () => {
          navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
          waiting.postMessage({ type: "begin" });
        },
      },
    });
  };
  registered.addEventListener("updatefound", () => {
    registered.installing?.addEventListener("statechange", offer);
  });
  offer();
  const { active } = await navigator.serviceWorker.ready;
  active?.postMessage({ type: "keep", path: DEMO_PATH });
}
