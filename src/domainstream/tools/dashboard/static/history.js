// Draws how far behind each group was, from the numbers that this tab has received in the last minutes.

const SPAN = 10 * 60 * 1000;
const SHORTEST = 60 * 1000;
const WIDTH = 120;
const HEIGHT = 24;
const SVG = "http://www.w3.org/2000/svg";

/** The points of each number, as [time, milliseconds]; null instead of milliseconds begins a time without numbers. */
const key = `history ${document.body.dataset.stream} ${document.querySelector(".place")?.textContent}`;
const points = JSON.parse(sessionStorage.getItem(key) ?? "{}");
const cells = [...document.querySelectorAll("[data-history]")];

/** Adds a point to a number. */
function add(name, value) {
  const now = Date.now();
  points[name] = [...(points[name] ?? []).filter(([time]) => time > now - SPAN), [now, value]];
}

/** Ends all lines: from now on nothing is known. */
function interrupt() {
  for (const cell of cells) add(cell.dataset.history, null);
  sessionStorage.setItem(key, JSON.stringify(points));
}

/** Draws a number's line; one that has not changed since its last point goes on until now. */
function draw(cell) {
  const now = Date.now();
  const own = (points[cell.dataset.history] ?? []).filter(([time]) => time > now - SPAN);
  const known = own.filter(([, value]) => value !== null);
  if (known.length === 0 || now - known[0][0] < 1000) return;
  if (own.at(-1)[1] !== null) own.push([now, own.at(-1)[1]]);
  const span = Math.max(SHORTEST, now - own[0][0]);
  const most = Math.max(...known.map(([, value]) => value));
  const place = ([time, value]) =>
    `${((1 - (now - time) / span) * WIDTH).toFixed(1)} ${(HEIGHT - 2 - (value / Math.max(most, 1000)) * (HEIGHT - 4)).toFixed(1)}`;
  let path = "";
  let pen = "M";
  for (const point of own) {
    if (point[1] !== null) path += `${pen}${place(point)}`;
    pen = point[1] === null ? "M" : "L";
  }
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("class", "history");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `at most ${(most / 1000).toFixed(1)} s behind in the last ${Math.ceil(span / 60000)} min`);
  for (const [kind, drawn] of [["track", `M0 ${HEIGHT - 1}H${WIDTH}`], ["line", path]]) {
    const part = svg.appendChild(document.createElementNS(SVG, "path"));
    part.setAttribute("class", kind);
    part.setAttribute("d", drawn);
  }
  cell.replaceChildren(svg);
}

for (const cell of cells) add(cell.dataset.history, Number(cell.dataset.first));
document.addEventListener("numbers", ({ detail }) => {
  if ("live" in detail && detail.live !== "live") interrupt();
  for (const cell of cells) {
    const text = detail[cell.dataset.history];
    if (text !== undefined) add(cell.dataset.history, Number(text));
    draw(cell);
  }
  sessionStorage.setItem(key, JSON.stringify(points));
});
document.addEventListener("visibilitychange", () => document.hidden && interrupt());
window.addEventListener("pagehide", interrupt);
