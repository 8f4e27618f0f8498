// Which experts an answer's tokens chose: a map that grows with the answer, each token by keys or pointer, and the shares as a
// table, whose cells have the figures as text.
import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { answering } from "../state/answering.ts";
import { current } from "../state/conversations.ts";
import { model } from "../state/model.ts";
import { shownPiece, type Trace } from "../state/trace.ts";
import { shownTrace } from "../state/traces.ts";
import { theme } from "../state/view.ts";
import { ExpertMap } from "./expert_map.ts";

export function ExpertsPanel() {
  const growing = useComputed(() =>
    answering.value?.conversation === current.value.id ? answering.value : undefined,
  ).value;
  // What has come is read anew once a frame.
  const length = growing?.traced.value ?? 0;
  const trace = growing && length > 0 ? growing.trace : growing ? undefined : shownTrace.value;
  if (!trace || trace.length === 0) return <Nothing />;
  return (
    <>
      <section>
        <h3>Token by token</h3>
        <p class="hint">
          A column for each token; in each layer, a row for each expert. The stronger the colour, the more weight. Arrow
          keys go from token to token.
        </p>
        <TokenMap key={trace.id} trace={trace} length={trace.length} />
      </section>
      <Shares trace={trace} length={trace.length} />
    </>
  );
}

function Nothing() {
  const now = model.value;
  const dense = now.is === "ready" && !now.loaded.experts;
  return (
    <p class="hint">
      {dense
        ? "This model has no experts: each token passes the whole of every layer."
        : "With the next answer, this shows which experts each of its tokens chose in each layer."}
    </p>
  );
}

function TokenMap({ trace, length }: { trace: Trace; length: number }) {
  const scroller = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const map = useRef<ExpertMap | undefined>(undefined);
  const token = useSignal<number | undefined>(undefined);
  const follows = useRef(true);
  const draw = () => map.current?.draw(trace, scroller.current!.scrollLeft, token.value);
  useLayoutEffect(() => {
    map.current = new ExpertMap(canvas.current!, trace.shape);
    const fit = () => {
      map.current!.resize(scroller.current!.clientWidth);
      draw();
    };
    const watch = new ResizeObserver(fit);
    watch.observe(scroller.current!);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", fit);
    fit();
    return () => {
      watch.disconnect();
      dark.removeEventListener("change", fit);
    };
  }, []);
  useEffect(draw, [theme.value]);
  useLayoutEffect(() => {
    const element = scroller.current!;
    if (follows.current && answering.value) element.scrollLeft = element.scrollWidth;
    draw();
  }, [length, token.value]);
  const go = (to: number) => {
    token.value = Math.max(0, Math.min(length - 1, to));
    const element = scroller.current!;
    const [left, width] = [ExpertMap.column * token.value, element.clientWidth];
    if (left < element.scrollLeft || left + ExpertMap.column > element.scrollLeft + width)
      element.scrollLeft = left - width / 2;
  };
  const keys: Readonly<Record<string, number>> = {
    ...{ ArrowRight: (token.value ?? -1) + 1, ArrowLeft: (token.value ?? length) - 1, Home: 0, End: length - 1 },
    ...{ PageUp: (token.value ?? length) - 10, PageDown: (token.value ?? -1) + 10 },
  };
  return (
    <>
      <div class="map-frame">
        <ol class="map-layers" aria-hidden="true">
          {Array.from({ length: trace.shape.layers }, (_, layer) => (
            <li key={layer} style={{ height: `${ExpertMap.sizes(trace.shape).layer}px` }}>
              {layer}
            </li>
          ))}
        </ol>
        <div
          class="map"
          ref={scroller}
          tabIndex={0}
          role="slider"
          aria-label="Token"
          aria-orientation="horizontal"
          aria-valuemin={1}
          aria-valuemax={length}
          aria-valuenow={(token.value ?? 0) + 1}
          aria-valuetext={trace.words(Math.min(token.value ?? 0, length - 1))}
          onFocus={() => {
            if (token.value === undefined) go(0);
          }}
          onKeyDown={(event) => {
            if (!Object.hasOwn(keys, event.key)) return;
            event.preventDefault();
            go(keys[event.key]);
          }}
          onPointerMove={(event) => {
            const at = event.clientX - scroller.current!.getBoundingClientRect().left + scroller.current!.scrollLeft;
            const over = Math.floor(at / ExpertMap.column);
            if (over < length) token.value = over;
          }}
          onScroll={({ currentTarget: { scrollLeft, clientWidth, scrollWidth } }) => {
            follows.current = scrollWidth - scrollLeft - clientWidth < 3 * ExpertMap.column;
            draw();
          }}
        >
          <div class="map-room" style={{ width: `${length * ExpertMap.column}px` }}>
            <canvas ref={canvas} />
          </div>
        </div>
      </div>
      {token.value === undefined || token.value >= length ? (
        <p class="hint">
          {length} {length === 1 ? "token" : "tokens"}. Point at one, or focus the map.
        </p>
      ) : (
        <TokenDetails trace={trace} token={token.value} />
      )}
    </>
  );
}

function TokenDetails({ trace, token }: { trace: Trace; token: number }) {
  return (
    <div class="token">
      <p>
        Token {token + 1} of {trace.length}: <code>{shownPiece(trace.pieces[token])}</code>
      </p>
      <table>
        <caption class="unseen">What this token chose</caption>
        <thead>
          <tr>
            <th scope="col">Layer</th>
            <th scope="col">Experts</th>
          </tr>
        </thead>
        <tbody>
          {Array.from({ length: trace.shape.layers }, (_, layer) => (
            <tr key={layer}>
              <th scope="row">{layer}</th>
              <td>
                {trace.chosen(token, layer).map(({ expert, weight }) => (
                  <span key={expert} class="share">
                    {expert} <small>{Math.round(100 * weight)} %</small>
                  </span>
                ))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** How many tokens chose each expert, in percent of the tokens. */
function Shares({ trace, length }: { trace: Trace; length: number }) {
  const { layers, experts } = trace.shape;
  const most = Math.max(1, ...trace.counts);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so keys must reach it
    <section class="shares" tabIndex={0} aria-label="Shares of the experts">
      <table>
        <caption>
          Share of {length} {length === 1 ? "token" : "tokens"} that chose each expert, in percent
        </caption>
        <thead>
          <tr>
            <th scope="col">Layer</th>
            {Array.from({ length: experts }, (_, expert) => (
              <th scope="col" key={expert}>
                {expert}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {Array.from({ length: layers }, (_, layer) => (
            <tr key={layer}>
              <th scope="row">{layer}</th>
              {Array.from({ length: experts }, (_, expert) => {
                const count = trace.counts[layer * experts + expert];
                const level = Math.round((8 * count) / most);
                return (
                  <td key={expert} class={`heat-${level}`} data-count={count}>
                    {Math.round((100 * count) / length)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
