// Keys are the console's from the first on: nobody has to click into the page for that.
new MutationObserver(() => document.querySelector(".xterm-helper-textarea")?.focus()).observe(
  document.body,
  { attributes: true, attributeFilter: ["class"] },
);
