// The built page, and answers: npm run build && MODEL=… npm start.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import process from "node:process";
import { answer } from "./answer.js";

const page = join(import.meta.dirname, "..", "page");
const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost"); // which leads out of no folder
  if (request.method === "POST" && pathname === "/answer") return answer(request, response);
  const file = join(page, pathname === "/" ? "index.html" : pathname);
  try {
    const bytes = await readFile(file);
    response.setHeader("content-type", types[extname(file)] ?? "application/octet-stream");
    response.end(bytes);
  } catch {
    response.writeHead(404).end();
  }
});
server.listen(Number(process.env.PORT ?? 3000), () => {
  console.log(`listening on http://localhost:${server.address().port}`);
});
