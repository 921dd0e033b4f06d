const LETTER_WIDTH = 0.61; // of the font's size; and its height
const LETTER_HEIGHT = 1.33;
const SCROLLBAR_PX = 16;
const STOPPED = 1001; // why a connection was closed, by RFC 6455
const LOST = 1006;

const page = document.body;
const terminal = document.querySelector("#terminal");

// Keys are the console's from the first on, without a click into the page; then Enter begins another.
new MutationObserver(() => {
  const closed = page.classList.contains("-closed");
  document.querySelector(closed ? ".closed a" : ".xterm-helper-textarea")?.focus();
}).observe(page, { attributes: true, attributeFilter: ["class"] });

// Letters are no larger than the smallest console needs, unless the address says how large.
function fittingSize() {
  const across = (innerWidth - SCROLLBAR_PX) / terminal.dataset.columns / LETTER_WIDTH;
  const down = innerHeight / terminal.dataset.rows / LETTER_HEIGHT;
  return Math.max(6, Math.min(terminal.dataset.fontSize, Math.floor(Math.min(across, down))));
}
if (!new URLSearchParams(location.search).has("fontsize")) {
  terminal.dataset.fontSize = fittingSize();
  // A telephone that is turned may be too narrow for them.
  screen.orientation?.addEventListener("change", () => {
    if (fittingSize() < terminal.dataset.fontSize) location.reload();
  });
}

// The terminal's own script hears that its connection is closed, and not why.
window.WebSocket = class extends WebSocket {
  constructor(address) {
    super(address);
    this.addEventListener("close", ({ code, reason }) => {
      const why = code === LOST ? "The connection to rollcall-web is lost." : "This console has ended.";
      document.querySelector("#why").textContent = reason || why;
      page.classList.toggle("-stopped", code === STOPPED);
    });
  }
};
