// Pages that tests drive from Node: the library in a worker of each (calls.ts), a fake hub on another site, whose answers pages
// may read.
import type { Browser, BrowserContext, Page } from "playwright-core";
import { FakeHub, type Seen } from "../hub/fake_hub.ts";
import type { Response } from "../hub/http_server.ts";
import { launchChromium } from "./browser.ts";
import type { CallArgument } from "./calls.ts";
import { startServer, type WebServer } from "./server.ts";

/** What the hub's own servers show to pages of other sites. */
const SHOWN = "ETag, Link, Accept-Ranges, Content-Range, X-Repo-Commit, X-Error-Code, X-Error-Message";

/** Has answers say that pages of other sites may read them. @param shown - headers that they may see beside the usual ones */
export const withCORS =
  (shown = SHOWN) =>
  ({ method, headers }: Pick<Seen, "method" | "headers">, answer: Response): Response => {
    const allowed = { "access-control-allow-origin": "*", "access-control-expose-headers": shown };
    if (method !== "OPTIONS") return { ...answer, headers: { ...answer.headers, ...allowed } };
    const asked = { "access-control-allow-headers": headers["access-control-request-headers"] ?? "" };
    return { status: 204, headers: { ...allowed, ...asked, "access-control-allow-methods": "GET, HEAD" } };
  };

/** A tab with the library. */
export class Tab {
  readonly page: Page;
  private constructor(page: Page) {
    this.page = page;
  }

  static async open(context: BrowserContext, url: string, env: Record<string, unknown>): Promise<Tab> {
    const tab = new Tab(await context.newPage());
    await tab.load(url, env);
    return tab;
  }

  /** Loads the page, also anew. */
  async load(url: string, env: Record<string, unknown>): Promise<void> {
    await this.page.goto(`${url}/calls`);
    await this.page.waitForFunction(() => "call" in globalThis);
    await this.call("configure", { options: env });
  }

  /** @throws the worker's error, in words */
  call<T = unknown>(name: string, argument?: CallArgument): Promise<T> {
    return this.page.evaluate(
      ([name, argument]) => (globalThis as unknown as { call(...given: unknown[]): Promise<T> }).call(name, argument),
      [name, argument] as const,
    );
  }

  /** What a call fails with. */
  failure(name: string, argument?: CallArgument): Promise<string> {
    return this.call(name, argument).then(
      (value) => {
        throw new Error(`expected a failure, found ${JSON.stringify(value)}`);
      },
      (error: Error) => error.message,
    );
  }
}

/** A browser, a site, a hub. */
export class Stage {
  private readonly browser: Browser;
  readonly server: WebServer;
  readonly hub: FakeHub;
  private contexts: BrowserContext[] = [];

  private constructor(browser: Browser, server: WebServer, hub: FakeHub) {
    this.browser = browser;
    this.server = server;
    this.hub = hub;
  }

  /** @param isolated - whether pages are cross-origin isolated */
  static async set(isolated = true): Promise<Stage> {
    const server = await startServer({
      isolated,
      csp: "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self' http://127.0.0.1:*",
      pages: { "/calls": '<!doctype html><title>calls</title><script type="module" src="/web/calls.js"></script>' },
    });
    return new Stage(await launchChromium(), server, await FakeHub.start());
  }

  /** A browser that has kept nothing. */
  async context(): Promise<BrowserContext> {
    const context = await this.browser.newContext();
    this.contexts.push(context);
    return context;
  }

  /** A tab, in a browser of its own where none is given. */
  async tab(context?: BrowserContext): Promise<Tab> {
    return Tab.open(context ?? (await this.context()), this.server.url, this.env);
  }

  get env(): Record<string, unknown> {
    return { remoteHost: this.hub.endpoint };
  }

  /** All is well again. */
  async reset(): Promise<void> {
    this.hub.reset();
    this.hub.fault(withCORS());
    await Promise.all(this.contexts.splice(0).map((context) => context.close()));
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.server.close();
    await this.hub.close();
  }
}
