"use strict";
// The page of view.html: draws what is near the view, tells of what is selected.
// Texts of the trace get into the page as text only, never as HTML.

const FAR = 0.33;            // below this scale no text can be read: boxes are plain marks
const HINT = "Click a box to see all of it. Drag to move, turn the wheel to zoom. The arrow keys go along the edges.";
const ABOVE = 1, BELOW = 2, FOUND = 4;

const byId = (id) => document.getElementById(id);
const stage = byId("stage"), world = byId("world"), panel = byId("panel"), search = byId("search");
const data = JSON.parse(byId("data").textContent);
const nodes = data.nodes.map((node, place) => ({ ...node, place, w: WIDTH, mark: 0, up: [], down: [], users: [] }));
for (const node of nodes) {
  node.sources = [...new Set(node.inputs.map(([, place]) => nodes[place]))];
  for (const source of node.sources) source.users.push(node);
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const links = layout(nodes);

// ---- Drawing. Only what is near the view is in the page.

const view = { x: 0, y: 0, scale: 1 };
let drawn = null, selected = null;

function curve({ from, to, port }) {
  if (view.scale < FAR) return `M${from.x} ${from.y}L${to.x} ${to.y}`;
  const start = `M${from.x} ${from.y + (from.w === TRUNK ? 0 : HEIGHT)}`, y = from.y + HEIGHT;
  const bend = Math.min((to.y - y) / 2, 200);
  return `${start}V${y}C${from.x} ${y + bend} ${to.x + port} ${to.y - bend} ${to.x + port} ${to.y}`;
}

function head({ to, port }) {
  if (view.scale < FAR || to.w === TRUNK || to.kind === "feedback") return "";
  return `M${to.x + port} ${to.y - (to.looks.includes("output") ? 5 : 0)}l-4.5-9h9z`;
}

function path(shape, chosen, className) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "path");
  made.setAttribute("d", chosen.map(shape).join(""));
  made.setAttribute("class", className);
  return made;
}

// An edge is lit if it leads to the selected node or on from it; a trunk, if it leads to a lit user.
function isLit({ to, source }) {
  const marks = source.mark & (ABOVE | BELOW);
  if (to.w !== TRUNK) return to.mark & marks;
  source.lastLit ??= source.users.reduce((deepest, u) => (u.mark & marks ? Math.max(deepest, u.row) : deepest), 0);
  return source.lastLit > to.row;
}

// Blanks are shown as in code, or there would be nothing to see.
const shown = ({ value }) => (value.trim() ? value : JSON.stringify(value));

function edges(found, className) {
  return [["", found.filter((l) => !l.way)], ["way ", found.filter((l) => l.way)]].flatMap(([kind, some]) =>
    [path(curve, some, kind + className), path(head, some, `${kind}head ${className}`)]);
}

// From far, boxes are parts of a few paths: thousands of elements would be slow.
function marks(found) {
  const groups = new Map();
  for (const n of view.scale < FAR ? found : []) {
    const look = `mark ${n.kind} ${n.looks.join(" ")}${n.mark ? " lit" : ""}`;
    if (!groups.has(look)) groups.set(look, []);
    groups.get(look).push(n);
  }
  const shape = (n) => `M${n.x - WIDTH / 2} ${n.y}h${WIDTH}v${HEIGHT}h${-WIDTH}z`;
  return [...groups].map(([look, some]) => path(shape, some, look));
}

function boxOf(node) {
  if (!node.element) {
    const label = `${node.name}, ${node.looks.join(", ")}: ${node.value.slice(0, 100)}`;
    node.element = element("button", { className: `box ${node.kind} ${node.looks.join(" ")}`, ariaLabel: label },
      element("b", {}, node.name), element("span", {}, shown(node).slice(0, 200)));
    node.element.dataset.place = node.place;
    Object.assign(node.element.style, { left: `${node.x - WIDTH / 2}px`, top: `${node.y}px` });
  }
  node.element.classList.toggle("lit", node.mark > 0);
  node.element.tabIndex = node === (selected ?? nodes[0]) ? 0 : -1;
  node.element.ariaPressed = node === selected;
  return node.element;
}

function draw() {
  const { x, y, scale: s } = view, width = stage.clientWidth / s, height = stage.clientHeight / s;
  world.style.transform = `translate(${x}px, ${y}px) scale(${s})`;
  const left = -x / s, top = -y / s;
  if (drawn?.s === s && left >= drawn.left && left + width <= drawn.right && top >= drawn.top
    && top + height <= drawn.bottom) return;
  drawn = { s, left: left - width / 2, right: left + 1.5 * width, top: top - height / 2, bottom: top + 1.5 * height };
  const isNear = (left, right, top, bottom) =>
    left < drawn.right && right > drawn.left && top < drawn.bottom && bottom > drawn.top;
  const found = links.filter(({ from, to }) =>
    isNear(Math.min(from.x, to.x) - WIDTH, Math.max(from.x, to.x) + WIDTH, from.y, to.y));
  const focused = nodes[document.activeElement?.dataset.place];
  const near = nodes.filter((n) => n === focused || isNear(n.x - WIDTH, n.x + WIDTH, n.y, n.y + HEIGHT));
  byId("edges").replaceChildren(...edges(found, "all"), ...edges(found.filter(isLit), "lit"), ...marks(near));
  byId("boxes").replaceChildren(...near.filter((n) => s >= FAR || n === selected || n === focused).map(boxOf));
  focused?.element.focus({ preventScroll: true });
  stage.classList.toggle("focus", nodes.some((n) => n.mark));
}

function redraw() {
  drawn = null;
  draw();
}

function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const scale = Math.min(3, Math.max(0.004, view.scale * factor)), grown = scale / view.scale;
  Object.assign(view, { scale, x: x - (x - view.x) * grown, y: y - (y - view.y) * grown });
  draw();
}

function center(node) {
  view.x = stage.clientWidth / 2 - node.x * view.scale;
  view.y = stage.clientHeight / 2 - (node.y + HEIGHT / 2) * view.scale;
  draw();
}

function fit() {
  const bounds = nodes.reduce((b, n) => [Math.min(b[0], n.x), Math.max(b[1], n.x), Math.min(b[2], n.y), Math.max(b[3], n.y)],
    [Infinity, -Infinity, Infinity, -Infinity]);
  const width = bounds[1] - bounds[0] + WIDTH, height = bounds[3] - bounds[2] + HEIGHT;
  view.scale = Math.min(1.15, (stage.clientWidth - 48) / width, (stage.clientHeight - 96) / height);
  center({ x: (bounds[0] + bounds[1]) / 2, y: (bounds[2] + bounds[3]) / 2 + 24 / view.scale });   // above the legend
}

// ---- Selection and the panel.

function reached(start, side, mark) {
  const waiting = [start];
  while (waiting.length) {
    const node = waiting.pop();
    if (node.mark & mark) continue;
    node.mark |= mark;
    waiting.push(...node[side]);
  }
}

function select(node, isShown = true) {
  selected = node;
  for (const n of nodes) { n.mark = 0; n.lastLit = undefined; }
  if (node) {
    reached(node, "sources", ABOVE);
    reached(node, "users", BELOW);
  }
  panel.replaceChildren(...(node ? details(node) : overview()));
  panel.scrollTop = 0;
  redraw();
  if (node && !isShown) {
    if (view.scale < FAR) view.scale = 0.8;
    center(node);
    redraw();
  }
}

function part(title, ...children) {
  return children.length ? [element("h3", {}, title), ...children] : [];
}

function jump(node, before = "") {
  const text = `${before}${node.name}: ${shown(node).slice(0, 80)}`;
  const button = element("button", { className: `jump ${node.kind} ${node.looks.join(" ")}`, title: node.name }, text);
  button.addEventListener("click", () => { select(node, false); node.element.focus({ preventScroll: true }); });
  return button;
}

function jumps(title, found) {
  const rest = found.length - 100;
  const more = rest > 0 ? [element("p", { className: "quiet" }, `and ${rest} more; search for them`)] : [];
  return part(title, ...found.slice(0, 100).map((n) => jump(n)), ...more);
}

const block = (text, className = "") => element("pre", { className, tabIndex: 0 }, text);

function errorBlock(text) {
  const lines = text.split("\n").map((line) => element(line.includes("# <---") ? "mark" : "span", {}, `${line}\n`));
  return element("pre", { className: "failed", tabIndex: 0 }, ...lines);
}

function details(node) {
  const tags = [...new Set([node.kind, ...node.looks])].map((look) => element("span", { className: `tag ${look}` }, look));
  const call = `${node.name} = ${node.op}(${node.inputs.map(([name, place]) => `${name}=${nodes[place].name}`).join(", ")})`;
  return [
    element("h2", {}, node.name), element("div", {}, ...tags, element("span", { className: "quiet" }, node.type)),
    ...part("Made by", ...(node.op ? [block(call)] : [])),
    ...part("Documentation", ...(node.description ? [element("p", {}, node.description)] : [])),
    ...part(node.kind === "feedback" ? "Text" : "Value", block(node.value)),
    ...part("Where it failed", ...(node.error === null ? [] : [errorBlock(node.error)])),
    ...part("Source", ...(node.source ? [block(node.source)] : [])),
    ...(node.kind === "feedback" ? [] : node.feedback).flatMap((place) =>
      part(nodes[place].name, block(nodes[place].value, "feedback"))),
    ...part("Inputs", ...node.inputs.map(([name, place]) => jump(nodes[place], name && `${name} = `))),
    ...jumps("Goes into", node.users),
  ];
}

function overview() {
  const having = (look) => nodes.filter((n) => n.looks.includes(look));
  return [element("h2", {}, data.title), element("p", { className: "quiet" }, HINT),
    ...jumps("Failed", having("failed")), ...jumps("Outputs", having("output")),
    ...jumps("Feedback", having("feedback")), ...jumps("Parameters", having("parameter"))];
}

function find(text) {
  const wanted = text.toLowerCase();
  return nodes.filter((n) => [n.name, n.op ?? "", n.description, n.value].some((t) => t.toLowerCase().includes(wanted)));
}

function searched() {
  select(null);
  const found = search.value ? find(search.value) : [];
  for (const node of found) node.mark = FOUND;
  if (search.value) panel.replaceChildren(element("h2", {}, `${found.length} found`), ...jumps("Matches", found));
  redraw();
}

// ---- Hand and keyboard.

const pointers = new Map();
let moved = 0;

function pointerMoved(event) {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
  moved += Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY);
  pointers.set(event.pointerId, event);
  if (moved < 5) return;
  stage.setPointerCapture(event.pointerId);
  stage.classList.add("moving");
  if (others.length) {
    const apart = (p) => Math.hypot(p.clientX - others[0].clientX, p.clientY - others[0].clientY);
    const { left, top } = stage.getBoundingClientRect();
    zoom(apart(event) / (apart(before) || 1), others[0].clientX - left, others[0].clientY - top);
  } else {
    view.x += event.clientX - before.clientX;
    view.y += event.clientY - before.clientY;
    draw();
  }
}

function pointerGone(event) {
  pointers.delete(event.pointerId);
  stage.classList.remove("moving");
}

function clicked(event) {
  if (moved >= 5) return;
  const { left, top } = stage.getBoundingClientRect(), room = 6 / view.scale;
  const x = (event.clientX - left - view.x) / view.scale, y = (event.clientY - top - view.y) / view.scale;
  const node = nodes[event.target.closest(".box")?.dataset.place] ?? nodes.find((n) =>
    Math.abs(x - n.x) < WIDTH / 2 + room && y > n.y - room && y < n.y + HEIGHT + room);
  select(node ?? null);
  node?.element.focus({ preventScroll: true });
}

const nearest = (from, found) =>
  found.reduce((best, n) => (!best || Math.abs(n.x - from.x) < Math.abs(best.x - from.x) ? n : best), null);

function neighbour(node, key) {
  if (key === "ArrowUp") return nearest(node, node.sources);
  if (key === "ArrowDown") return nearest(node, node.users);
  const step = key === "ArrowLeft" ? -1 : 1;
  let i = node.index + step;
  while (node.neighbours[i]?.w === TRUNK) i += step;
  return node.neighbours[i];
}

function keyPressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const here = nodes[document.activeElement?.dataset.place], inStage = stage.contains(document.activeElement);
  if (event.key === "Escape") { search.value = ""; select(null); }
  else if (document.activeElement === search) return;
  else if (event.key === "/") search.focus();
  else if (event.key === "0") fit();
  else if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? 1.25 : 0.8);
  else if (inStage && event.key.startsWith("Arrow")) {
    const next = here ? neighbour(here, event.key) : nodes[0];
    if (next) { select(next, false); next.element.focus({ preventScroll: true }); }
  } else if (here && event.key === "Enter") { select(here); panel.focus(); }
  else return;
  event.preventDefault();
}

function keySearched(event) {
  if (event.key !== "Enter") return;
  const found = find(search.value);
  if (found.length) select(found[(found.indexOf(selected) + (event.shiftKey ? -1 : 1) + found.length) % found.length], false);
}

function themed() {
  const style = document.documentElement.style;
  const isDark = style.colorScheme ? style.colorScheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  style.colorScheme = isDark ? "light" : "dark";
}

stage.addEventListener("pointerdown", (event) => { pointers.set(event.pointerId, event); moved = pointers.size > 1 ? 5 : 0; });
stage.addEventListener("pointermove", pointerMoved);
for (const name of ["pointerup", "pointercancel", "pointerleave"]) stage.addEventListener(name, pointerGone);
stage.addEventListener("click", clicked);
stage.addEventListener("wheel", (event) => {
  const { left, top } = stage.getBoundingClientRect(), lines = event.deltaMode ? 20 : 1;
  zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0016)), event.clientX - left, event.clientY - top);
  event.preventDefault();
}, { passive: false });
addEventListener("keydown", keyPressed);
search.addEventListener("keydown", keySearched);
search.addEventListener("input", searched);
byId("less").addEventListener("click", () => zoom(0.8));
byId("more").addEventListener("click", () => zoom(1.25));
byId("fit").addEventListener("click", fit);
byId("theme").addEventListener("click", themed);
new ResizeObserver(redraw).observe(stage);

byId("count").textContent = `${nodes.length} boxes`;
fit();
select(null);
if (view.scale < FAR && nodes.length) {   // too much to read at once: begin where it ends
  view.scale = 0.8;
  center(nodes.find((n) => n.looks.includes("failed")) ?? nodes.find((n) => n.looks.includes("output")));
  view.y += 0.2 * stage.clientHeight;
  redraw();
}
