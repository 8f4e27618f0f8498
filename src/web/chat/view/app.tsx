// The whole page: conversations at the left, the conversation, a panel at the right; where there is no room, both lie over it.
import { useEffect, useRef } from "preact/hooks";
import { answering, failure, stop } from "../state/answering.ts";
import { current } from "../state/conversations.ts";
import { model, modelName } from "../state/model.ts";
import { covering, drawer, type Panel, panel, spoken, togglePanel } from "../state/view.ts";
import { IconButton } from "./button.tsx";
import { Composer } from "./composer.tsx";
import { Drop } from "./drop.tsx";
import { ExpertsPanel } from "./experts.tsx";
import { FileInput } from "./files.tsx";
import { Icon, type IconName } from "./icons.tsx";
import { ModelsPanel } from "./models.tsx";
import { Notices } from "./notices.tsx";
import { SettingsPanel } from "./settings.tsx";
import { Sidebar } from "./sidebar.tsx";
import { Thread } from "./thread.tsx";
import { ModelFault } from "./welcome.tsx";

const panels: Readonly<Record<Panel, { title: string; icon: IconName; body: () => preact.JSX.Element }>> = {
  models: { title: "Models", icon: "models", body: ModelsPanel },
  experts: { title: "Experts", icon: "experts", body: ExpertsPanel },
  settings: { title: "Settings", icon: "settings", body: SettingsPanel },
};

/** What Escape closes first: what lies over the conversation, then the answer is stopped. */
function escaped(event: KeyboardEvent): void {
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (covering.value === "drawer") drawer.value = false;
  else if (covering.value) panel.value = undefined;
  else if (answering.value) stop();
  else return;
  event.preventDefault();
}

/** Whether the conversation itself says why the model is not there. */
const toldInThread = (): boolean =>
  model.value.is === "failed" &&
  failure.value?.conversation === current.value.id &&
  failure.value.fault === model.value.fault;

export function App() {
  useEffect(() => {
    document.addEventListener("keydown", escaped);
    return () => document.removeEventListener("keydown", escaped);
  }, []);
  const covered = covering.value;
  return (
    <div class={`app ${panel.value ? "has-panel" : ""} ${drawer.value ? "has-drawer" : ""}`}>
      <a class="skip" href="#message-box">
        To the message box
      </a>
      <Sidebar hidden={covered !== undefined && covered !== "drawer"} />
      <main class="main" inert={covered !== undefined}>
        <FileInput />
        <Header />
        {current.value.messages.length > 0 && model.value.is === "failed" && !toldInThread() && <ModelFault />}
        <Thread />
        <Composer />
      </main>
      {panel.value && <PanelAside key={panel.value} which={panel.value} />}
      {covered && (
        <button
          type="button"
          class="scrim"
          tabIndex={-1}
          aria-label="Back to the chat"
          onClick={() => {
            drawer.value = false;
            panel.value = undefined;
          }}
        />
      )}
      <Notices />
      <Drop />
      <div class="unseen" role="status" aria-live="polite">
        {spoken.value}
      </div>
    </div>
  );
}

function Header() {
  const title = current.value.title;
  useEffect(() => {
    document.title = `${title} · Tramontane`;
  }, [title]);
  return (
    <header class="header">
      <IconButton
        icon="menu"
        label="Chats"
        kind="only-narrow"
        expanded={drawer.value}
        onClick={() => {
          drawer.value = !drawer.value;
        }}
      />
      <div class="header-title">
        <h1 class="title">{title}</h1>
        <p class="subtitle">{modelName.value ?? "No model"}</p>
      </div>
      {(Object.keys(panels) as Panel[]).map((which) => (
        <button
          key={which}
          type="button"
          class="icon-button toggle named"
          title={panels[which].title}
          aria-expanded={panel.value === which}
          onClick={() => togglePanel(which)}
        >
          <Icon name={panels[which].icon} />
          <span>{panels[which].title}</span>
        </button>
      ))}
    </header>
  );
}

function PanelAside({ which }: { which: Panel }) {
  const heading = useRef<HTMLHeadingElement>(null);
  // Asked for before the conversation is covered, which takes the focus away.
  const opener = useRef(document.activeElement as HTMLElement | null);
  const { title, body: Body } = panels[which];
  useEffect(() => {
    heading.current?.focus();
    return () => {
      // Back to what opened it, once that can be reached again, unless the user has gone elsewhere.
      setTimeout(() => {
        if (document.activeElement === document.body || document.activeElement === null) opener.current?.focus();
      });
    };
  }, []);
  return (
    <aside class="panel" aria-labelledby="panel-title">
      <div class="panel-head">
        <h2 id="panel-title" ref={heading} tabIndex={-1}>
          {title}
        </h2>
        <IconButton
          icon="close"
          label="Close"
          onClick={() => {
            panel.value = undefined;
          }}
        />
      </div>
      <div class="panel-body">
        <Body />
      </div>
    </aside>
  );
}
