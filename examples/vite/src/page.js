// In the browser: sends the question, and shows the answer as it comes.
const form = document.querySelector("form");
const output = document.querySelector("output");
let running = new AbortController();

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  running.abort();
  const { signal } = (running = new AbortController());
  output.textContent = "";
  try {
    const response = await fetch("/answer", { method: "POST", body: form.elements.question.value, signal });
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) output.textContent += text;
  } catch (error) {
    if (!signal.aborted) output.textContent = error.message;
  }
});
form.elements.stop.addEventListener("click", () => running.abort());
