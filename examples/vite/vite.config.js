// The page, and the server's answers: in development from the same process, built as two programs.
import { defineConfig } from "vite";

export default defineConfig({
  build: { outDir: "dist/page" },
  plugins: [
    {
      name: "answers",
      async configureServer(server) {
        const { answer } = await server.ssrLoadModule("/src/answer.js");
        server.middlewares.use("/answer", answer);
      },
    },
  ],
});
