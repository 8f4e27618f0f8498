// The page that runs a suite, in itself (NAME.window.js) or in a module worker (NAME.worker.js), and tells the server what it
// prints. The same script is the worker's, which is told by its name.
declare const WorkerGlobalScope: unknown;

export type SuiteMessage = { readonly text: string } | { readonly done: true };

/** Sends what is printed, then runs the suite by importing it. */
function run(name: string, send: (message: SuiteMessage) => void): void {
  const show = (value: unknown) => (value instanceof Error ? `${value.message}\n${value.stack ?? ""}` : String(value));
  for (const method of ["log", "info", "warn", "error"] as const)
    console[method] = (...values: unknown[]) => {
      const text = values.map(show).join(" ");
      send({ text });
      // uvu's last words.
      if (/^\s*Duration:/.test(text)) send({ done: true });
    };
  const failed = (what: string, cause: unknown) => {
    send({ text: `${what}: ${show(cause)}\n  Total: 1\n  Passed: 0` });
    send({ done: true });
  };
  addEventListener("unhandledrejection", ({ reason }) => failed("nobody caught", reason));
  addEventListener("error", (event) => failed("an error", event.error ?? event.message));
  import(new URL(name, import.meta.url).href).catch((cause) => failed(`${name} cannot be run`, cause));
}

if (typeof WorkerGlobalScope !== "undefined") run(self.name, (message) => self.postMessage(message));
else {
  const name = new URL(location.href).searchParams.get("suite")!;
  let sent: Promise<unknown> = Promise.resolve();
  const send = (message: SuiteMessage) => {
    sent = sent.then(() => fetch("/report", { method: "POST", body: JSON.stringify(message) }));
  };
  if (name.endsWith(".window.js")) run(name, send);
  else {
    const worker = new Worker(import.meta.url, { type: "module", name });
    worker.onmessage = ({ data }) => send(data);
    worker.onerror = ({ message }) => {
      send({ text: `the worker of ${name} failed: ${message}\n  Total: 1\n  Passed: 0` });
      send({ done: true });
    };
  }
}
