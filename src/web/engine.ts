// The script of the engine's worker, and of the team's threads, which it starts from the same script: their names tell them.
import { isThread } from "../platform/browser_threads.ts";

if (isThread()) await import("../model/worker.ts");
