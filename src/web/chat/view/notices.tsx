// Notices at the page's edge.
import { dismiss, notices } from "../state/view.ts";
import { IconButton } from "./button.tsx";

export const Notices = () => (
  <ul class="notices" aria-label="Notices" aria-live="polite">
    {notices.value.map(({ id, text, bad, action }) => (
      <li key={id} class={bad ? "notice bad" : "notice"}>
        <span>{text}</span>
        {action && (
          <button
            type="button"
            class="link"
            onClick={() => {
              dismiss(id);
              action.run();
            }}
          >
            {action.label}
          </button>
        )}
        <IconButton icon="close" label="Dismiss" size={16} onClick={() => dismiss(id)} />
      </li>
    ))}
  </ul>
);
