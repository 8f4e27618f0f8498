// The list of conversations: begun, chosen, renamed, written as JSON and read from it, deleted.
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { answering } from "../state/answering.ts";
import { type Conversation, exported, imported } from "../state/conversation.ts";
import { add, current, list, remove, rename, show, startNew } from "../state/conversations.ts";
import { drawer, notify, overlays, theme } from "../state/view.ts";
import { IconButton } from "./button.tsx";
import { pickFiles, saveText } from "./files.tsx";
import { Icon } from "./icons.tsx";

const close = () => {
  drawer.value = false;
};

export function Sidebar({ hidden }: { hidden: boolean }) {
  const aside = useRef<HTMLElement>(null);
  const open = drawer.value && overlays.value;
  // Asked for before the conversation is covered, which takes the focus away.
  const opener = useRef<HTMLElement | null>(null);
  if (!open) opener.current = null;
  else opener.current ??= document.activeElement as HTMLElement | null;
  useEffect(() => {
    if (!open) return;
    const before = opener.current;
    aside.current!.querySelector<HTMLElement>("button")?.focus();
    return () => void setTimeout(() => before?.focus?.());
  }, [open]);
  return (
    <nav class="sidebar" aria-label="Chats" ref={aside} inert={hidden || (overlays.value && !drawer.value)}>
      <div class="brand">
        <Icon name="wind" size={24} />
        <span>Tramontane</span>
        <IconButton icon="close" label="Close" kind="only-narrow" onClick={close} />
      </div>
      <button
        type="button"
        class="new-chat"
        onClick={() => {
          startNew();
          close();
        }}
      >
        <Icon name="plus" size={18} /> New chat
      </button>
      {list.value.length === 0 ? (
        <p class="hint empty">Chats are kept here, in this browser.</p>
      ) : (
        <ul class="chats">
          {list.value.map((conversation) => (
            <Entry key={conversation.id} conversation={conversation} />
          ))}
        </ul>
      )}
      <div class="sidebar-foot">
        <button type="button" class="button quiet small" onClick={() => void read()}>
          <Icon name="up" size={16} /> Import
        </button>
        <Themes />
      </div>
    </nav>
  );
}

async function read(): Promise<void> {
  const [file] = await pickFiles({ accept: "application/json,.json" });
  if (!file) return;
  try {
    const conversation = imported(await file.text(), file.name);
    await add(conversation);
    show(conversation);
    close();
  } catch (error) {
    notify((error as Error).message, { bad: true });
  }
}

function Entry({ conversation }: { conversation: Conversation }) {
  const { id, title } = conversation;
  const renaming = useSignal(false);
  const confirming = useSignal(false);
  const shown = current.value.id === id;
  const busy = answering.value?.conversation === id;
  if (renaming.value)
    return (
      <Renaming
        conversation={conversation}
        leave={() => {
          renaming.value = false;
        }}
      />
    );
  return (
    <li class={shown ? "chat shown" : "chat"}>
      <button
        type="button"
        class="chat-title"
        aria-current={shown ? "page" : undefined}
        onClick={() => {
          show(conversation);
          close();
        }}
      >
        {busy && <span class="pulse" aria-hidden="true" />}
        <span class="ellipsis">{title}</span>
      </button>
      <div class="chat-tools">
        <IconButton
          icon="edit"
          label={`Rename ${title}`}
          size={16}
          onClick={() => {
            renaming.value = true;
          }}
        />
        <IconButton
          icon="down"
          label={`Export ${title}`}
          size={16}
          onClick={() => saveText(`${fileName(title)}.json`, exported(conversation))}
        />
        <IconButton
          icon="trash"
          label={`Delete ${title}`}
          size={16}
          onClick={() => {
            confirming.value = true;
          }}
        />
      </div>
      {confirming.value && (
        <Confirm
          text={`Delete “${title}”? It cannot be brought back.`}
          label="Delete"
          leave={(sure) => {
            confirming.value = false;
            if (!sure) return;
            if (busy) answering.value?.controller.abort();
            void remove(id);
            document.querySelector<HTMLElement>(".new-chat")?.focus();
          }}
        />
      )}
    </li>
  );
}

const fileName = (title: string): string =>
  title
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .replace(/^-|-$/g, "")
    .toLowerCase() || "chat";

function Renaming({ conversation, leave }: { conversation: Conversation; leave: () => void }) {
  const box = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => box.current!.select(), []);
  const submit = () => {
    void rename(conversation.id, box.current!.value);
    leave();
  };
  return (
    <li class="chat renaming">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <input
          ref={box}
          aria-label="Title"
          defaultValue={conversation.title}
          maxLength={120}
          onBlur={submit}
          onKeyDown={(event) => {
            if (event.key !== "Escape") return;
            event.stopPropagation();
            box.current!.value = conversation.title;
            leave();
          }}
        />
      </form>
    </li>
  );
}

/** Asks before something is gone; the browser keeps the focus within. */
export function Confirm({ text, label, leave }: { text: string; label: string; leave: (sure: boolean) => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => dialog.current!.showModal(), []);
  return (
    <dialog
      ref={dialog}
      class="confirm"
      aria-label={text}
      onCancel={(event) => {
        event.preventDefault();
        leave(false);
      }}
    >
      <p>{text}</p>
      <div class="row end">
        <button type="button" class="button quiet" onClick={() => leave(false)}>
          Cancel
        </button>
        <button type="button" class="button danger" onClick={() => leave(true)}>
          {label}
        </button>
      </div>
    </dialog>
  );
}

const themes = [
  ["system", "device", "As the system"],
  ["light", "sun", "Light"],
  ["dark", "moon", "Dark"],
] as const;

const Themes = () => (
  <fieldset class="themes" aria-label="Colours">
    {themes.map(([name, icon, label]) => (
      <IconButton
        key={name}
        icon={icon}
        label={label}
        size={16}
        pressed={theme.value === name}
        onClick={() => {
          theme.value = name;
        }}
      />
    ))}
  </fieldset>
);
