// The chat page: what is kept is opened, the page is shown, and a model begins to load.
import { render } from "preact";
import { becomeIsolated, keepOffline } from "./offline.ts";
import { openConversations } from "./state/conversations.ts";
import { resumeDownloads } from "./state/downloads.ts";
import { ready } from "./state/model.ts";
import { watchSettings } from "./state/settings.ts";
import { watchTraces } from "./state/traces.ts";
import { App } from "./view/app.tsx";

async function begin(): Promise<void> {
  await openConversations();
  const root = document.querySelector("#app")!;
  root.replaceChildren();
  render(<App />, root);
  // A reload that gives the page its threads comes before anything is loaded.
  if (await becomeIsolated()) return;
  watchSettings();
  watchTraces();
  resumeDownloads();
  await ready();
  keepOffline();
}

void begin();
