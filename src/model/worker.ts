// The entry of a team's thread.
import { currentPlatform } from "../platform/index.ts";
import { serveThread } from "./thread.ts";

const platform = await currentPlatform();
serveThread(platform, platform.host_port());
