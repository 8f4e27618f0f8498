// Text as programs of any system write it: a line ends in LF, CRLF or CR, and is the same line.

/** Every line end as `\n`. */
export const unixLines = (text: string): string => text.replace(/\r\n?/g, "\n");

/** The text of a file or a stream: UTF-8, with or without a byte order mark. */
export const readText = (bytes: Uint8Array): string => unixLines(new TextDecoder().decode(bytes));
