// A program that downloads into the folder it is given, to be ended in the middle.
import process from "node:process";
import { download } from "../../src/hub/download.ts";

await download("owner/model", { cache_dir: process.argv[2] });
