// What the engine loads as it runs, within the code: the binaries, and the threads' script with all that it imports. For
// programs of a single file, and bundles that left their package behind. Empty here: the build (scripts/embed.mjs) fills it.

/** Base64 of the files, one after the other, compressed by Brotli. */
export const packed = "";

/** Bytes of each file, in that order. */
export const sizes: Readonly<Record<string, number>> = {};
