// What stands in for index.ts in a bundle for browsers: there is one platform.
import { browser } from "./browser.ts";
import type { Platform } from "./platform.ts";

/** The platform of the browser this runs in. */
export const currentPlatform = (): Promise<Platform> => Promise.resolve(browser);
