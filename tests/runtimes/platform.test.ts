// The contract of platforms, against the one of the runtime that runs this.
import process from "node:process";
import { test } from "uvu";
import { currentPlatform } from "../../src/platform/index.ts";
import { platformContract } from "../contract/platform.ts";

const { Deno, Bun } = globalThis as { Deno?: unknown; Bun?: unknown };
const name = Deno ? "deno" : Bun ? "bun" : "node";
console.log(`# ${name}`);
await platformContract(await currentPlatform(), name, ["linux", "darwin"].includes(process.platform));

test.run();
