// The thread of the contract of threads, for browsers.
import "../contract/thread.ts";
