// Browsers for tests: the system's own Chromium, driven by Playwright, and Firefox, which opens a page and is left alone.
// CHROMIUM and FIREFOX name others.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { type Browser, chromium, type LaunchOptions } from "playwright-core";

const NAMES = {
  chromium: ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"],
  firefox: ["firefox-esr", "firefox"],
};

/** The command of an installed browser. @throws where there is none */
export function findBrowser(name: "chromium" | "firefox"): string {
  const given = process.env[name.toUpperCase()];
  if (given) return given;
  for (const command of NAMES[name]) {
    const found = spawnSync("sh", ["-c", `command -v ${command}`], { encoding: "utf8" }).stdout.trim();
    if (found) return found;
  }
  throw new Error(
    `${name}: expected it installed (on Debian: apt-get install ${NAMES[name][0]}), or its path in ${name.toUpperCase()}`,
  );
}

/** Starts Chromium without a window. */
export function launchChromium(options: LaunchOptions = {}): Promise<Browser> {
  const { args = [], ...others } = options;
  // What runs as root has no sandbox; /dev/shm is small in containers.
  const needed = [...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), "--disable-dev-shm-usage"];
  return chromium.launch({ executablePath: findBrowser("chromium"), args: [...needed, ...args], ...others });
}

/** What Firefox would else do at its first start. */
const PREFERENCES = {
  "app.update.enabled": false,
  "browser.aboutwelcome.enabled": false,
  "browser.sessionstore.resume_from_crash": false,
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "extensions.update.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "services.settings.server": "data:,#remote-settings-dummy/v1",
  "toolkit.telemetry.enabled": false,
};

/** Opens a page in a Firefox without a window, with a profile of its own. @returns ends it */
export function openFirefox(url: string): () => Promise<void> {
  const profile = mkdtempSync(join(tmpdir(), "tramontane-firefox-"));
  const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});`);
  writeFileSync(join(profile, "user.js"), lines.join("\n"));
  const child: ChildProcess = spawn(
    findBrowser("firefox"),
    ["--headless", "--no-remote", "--new-instance", "--profile", profile, url],
    { stdio: "ignore", env: { ...process.env, HOME: profile, MOZ_CRASHREPORTER_DISABLE: "1" } },
  );
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  return async () => {
    child.kill("SIGKILL");
    await ended;
    await new Promise((resolve) => setTimeout(resolve, 200)); // its processes follow
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  };
}
