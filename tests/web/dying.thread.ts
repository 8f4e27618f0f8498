// A thread that dies as it starts.
throw new Error("it died");
