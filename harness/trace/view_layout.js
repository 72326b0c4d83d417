"use strict";
// The layout of the page of view.html: rows by depth, few crossings, straight chains.
// Items are nodes and trunks; a trunk is where a long edge crosses a row, one for all its users.

const WIDTH = 220, HEIGHT = 62, GAP_X = 28, GAP_Y = 38, TRUNK = 10;
const MOST_TRUNKS = 20000;   // beyond this, long edges run straight, beneath the boxes

function setRows(nodes) {
  for (const n of nodes) n.row = 1 + n.sources.reduce((deepest, s) => Math.max(deepest, s.row), -1);
  for (const n of nodes)     // what has no inputs stands just above its first user
    if (!n.sources.length && n.users.length)
      n.row = n.users.reduce((first, u) => Math.min(first, u.row), Infinity) - 1;
}

function linked(nodes) {
  const rows = [], links = [];
  const put = (item) => { (rows[item.row] ??= []).push(item); return item; };
  nodes.forEach(put);
  let trunks = 0;
  for (const source of nodes) {
    const column = new Map();
    const link = (from, to) => links.push({ from, to, source, way: source.depends });
    const last = source.users.reduce((deepest, u) => Math.max(deepest, u.row), 0) - 1;
    trunks += Math.max(0, last - source.row);
    for (let row = source.row + 1; row <= last && trunks <= MOST_TRUNKS; row++) {
      column.set(row, put({ row, w: TRUNK, up: [], down: [] }));
      link(column.get(row - 1) ?? source, column.get(row));
    }
    for (const user of source.users) link(column.get(user.row - 1) ?? source, user);
  }
  for (const { from, to } of links) { from.down.push(to); to.up.push(from); }
  return { rows, links };
}

// Chains of operators run straight, trunks more so; what has no inputs stands beside them.
const weight = (item) => ({ input: 0.1, parameter: 0.2, op: 1, feedback: 1 })[item.kind] ?? 3;

function mean(items) {
  return items.reduce((sum, i) => sum + i.x * weight(i), 0) / items.reduce((sum, i) => sum + weight(i), 0);
}

function sortRows(rows) {
  const spread = (row) => row.forEach((item, i) => { item.x = (i + 0.5) / row.length; });
  rows.forEach(spread);
  for (let round = 0; round < 16; round++) {
    const side = round % 2 ? "down" : "up";
    for (const row of round % 2 ? [...rows].reverse() : rows) {
      for (const item of row) item.wish = item[side].length ? mean(item[side]) : item.x;
      row.sort((a, b) => a.wish - b.wish);
      spread(row);
    }
  }
}

// Each item as near to its wish as the order and the gaps allow, by least squares.
function placeRow(row) {
  const blocks = [];
  let offset = 0;
  row.forEach((item, i) => {
    if (i) offset += (row[i - 1].w + item.w) / 2 + GAP_X;
    item.offset = offset;
    let block = { sum: (item.wish - offset) * weight(item), weight: weight(item), size: 1 };
    while (blocks.length && blocks.at(-1).sum / blocks.at(-1).weight > block.sum / block.weight) {
      const left = blocks.pop();
      block = { sum: left.sum + block.sum, weight: left.weight + block.weight, size: left.size + block.size };
    }
    blocks.push(block);
  });
  let i = 0;
  for (const { sum, weight, size } of blocks)
    for (const end = i + size; i < end; i++) row[i].x = sum / weight + row[i].offset;
}

// Gives each node its x (middle) and y (top); returns the links to draw, each between two rows.
function layout(nodes) {
  setRows(nodes);
  const { rows, links } = linked(nodes);
  sortRows(rows);
  for (let round = 0; round < 26; round++)
    for (const row of round % 2 ? [...rows].reverse() : rows) {
      for (const item of row) {
        const near = round > 21 ? [...item.up, ...item.down] : item[round % 2 ? "down" : "up"];
        item.wish = near.length ? mean(near) : item.x;
      }
      placeRow(row);
    }
  for (const row of rows)
    row.forEach((item, i) => { item.y = item.row * (HEIGHT + GAP_Y); item.neighbours = row; item.index = i; });
  links.sort((a, b) => a.from.x - b.from.x);
  for (const link of links) {   // edges arrive side by side, in the order they come from
    const { to } = link, step = Math.min(26, (WIDTH - 40) / to.up.length);
    to.arrived = (to.arrived ?? 0) + 1;
    link.port = (to.arrived - (to.up.length + 1) / 2) * step;
  }
  return links;
}
