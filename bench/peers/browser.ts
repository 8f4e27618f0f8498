// Where a Chromium is, and how it is started: headless, isolated enough for threads, without background traffic.
import { existsSync } from "node:fs";
import process from "node:process";

/** The path of a Chromium or Chrome, or undefined. CHROMIUM names another than the usual ones. */
export const findBrowser = (): string | undefined =>
  [
    process.env.CHROMIUM,
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  ].find((path) => path && existsSync(path));

export const browserFlags: readonly string[] = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
