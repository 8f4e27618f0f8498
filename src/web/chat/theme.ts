// Runs before the page is shown, so that it never flashes in the wrong colours.
try {
  const theme = JSON.parse(localStorage.getItem("tramontane.theme") ?? "null");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // as the system has it
}
