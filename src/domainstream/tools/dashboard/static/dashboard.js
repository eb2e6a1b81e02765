// Keeps the numbers on a page current, and copies commands. Pages work without it.

const body = document.body;

/** Brings the name of the open page into view, where the navigation is wider than a narrow screen. */
function showWhereWeAre() {
  const nav = document.querySelector("nav");
  const here = nav?.querySelector("[aria-current]");
  if (!here) return;
  // Not by scrollIntoView, which would also let the first press of Tab begin there, behind the link that skips all this.
  const [outer, inner] = [nav.getBoundingClientRect(), here.getBoundingClientRect()];
  nav.scrollLeft += inner.left + inner.width / 2 - (outer.left + outer.width / 2);
}

showWhereWeAre();

/** Shows a new text in place of an old one, and marks it for a moment. */
function show(element, text) {
  if (element.textContent === text) return;
  element.textContent = text;
  element.classList.remove("changed");
  void element.offsetWidth;
  element.classList.add("changed");
  if (element.matches("td span")) element.classList.toggle("zero", text === "0" || text === "0 s");
}

/** Returns the elements that have a name in this attribute, by that name. */
function named(attribute) {
  const found = new Map();
  for (const element of document.querySelectorAll(`[data-${attribute}]`)) {
    const name = element.dataset[attribute];
    found.set(name, [...(found.get(name) ?? []), element]);
  }
  return found;
}

/** Follows what changes on the server for as long as the page is visible. */
function follow() {
  const places = named("live");
  const tones = named("tone");
  const status = document.querySelector(".live");
  let source = null;

  const say = (text, isOn) => {
    status.textContent = text;
    status.classList.toggle("on", isOn);
  };
  const open = () => {
    source = new EventSource(body.dataset.stream);
    source.onopen = () => say("Live", true);
    source.onerror = () => say("Reconnecting", false);
    source.onmessage = (message) => {
      const changed = JSON.parse(message.data);
      document.dispatchEvent(new CustomEvent("numbers", { detail: changed }));
      for (const [name, text] of Object.entries(changed)) {
        if (name === "live") say(text === "live" ? "Live" : "Waiting for the server", text === "live");
        for (const element of places.get(name) ?? []) show(element, text);
        for (const box of tones.get(name) ?? []) box.setAttribute("class", `box ${text}`);
      }
    };
  };
  const close = () => {
    source?.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (!source) open();
  });
  window.addEventListener("pagehide", close);
  open();
}

/** Adds a button to each command that copies it. */
function addCopyButtons() {
  if (!navigator.clipboard) return;
  for (const command of document.querySelectorAll(".fix code")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button slim";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
    command.after(button);
  }
}

if (body.dataset.stream) follow();
addCopyButtons();
