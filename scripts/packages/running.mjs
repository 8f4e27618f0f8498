// What the checks of packages and examples share: commands that must succeed, and packages as npm packs them.
import { spawnSync } from "node:child_process";

export function must(condition, message) {
  if (!condition) throw new Error(message);
}

/** Runs a command. @returns its standard output @throws with everything it printed, when its status is not 0 */
export function run(cwd, [command, ...args], input) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    input,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
    shell: process.platform === "win32",
  });
  must(
    status === 0,
    `${[command, ...args].join(" ")}: ${error?.message ?? `exit status ${status}`}\n${stdout}${stderr}`,
  );
  return stdout;
}

export const npm = (cwd, ...args) =>
  run(cwd, ["npm", ...args, "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]);

/** Packs a project into a folder. @returns what npm says of the package: `filename`, `size`, `files`, … */
export function pack(project, folder) {
  const words = ["npm", "pack", "--json", "--ignore-scripts", "--loglevel=error", "--pack-destination", folder];
  return JSON.parse(run(project, words))[0];
}
