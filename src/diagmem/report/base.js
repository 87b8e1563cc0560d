// What all parts share: elements, numbers as text, packed columns, downloads.

/** An element with attributes and children; text is never read as markup. */
function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (typeof value === "boolean") node.toggleAttribute(key, value);
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

const number = (value) => value.toLocaleString("en-US", { maximumFractionDigits: 6 });
const bytes = (count) => `${number(count)} B`;
const counted = (count, what) => `${number(count)} ${what}${count === 1 ? "" : "s"}`;
/** A half-open range; one position is just that. */
const range = (start, end) =>
  end - start === 1 ? number(start) : `[${number(start)}, ${number(end)})`;

const BINARY = [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]];
const DECIMAL = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

/** `at` in the largest unit that keeps it short where labels are `step` apart. */
function label(at, step, units, plain) {
  if (at === 0) return "0";
  const fit = plain ? 4 : 10;
  const [unit, name] = units.find(([u]) => at >= u && step * fit >= u) ?? [1, plain];
  const text = (at / unit).toLocaleString("en-US", { maximumFractionDigits: 2 });
  return plain ? `${text} ${name}` : text + name;
}

/** Places in [start, end] for at most so many labels: powers of two of bytes. */
function byteTicks(start, end, most) {
  let step = 1;
  while ((end - start) / step > Math.max(most, 1)) step *= 2;
  return ticksFrom(start, end, step, (at) => label(at, step, BINARY, "B"));
}

/** The same for counts: 1, 2 or 5 times a power of ten. */
function countTicks(start, end, most) {
  let step = 1;
  while ((end - start) / step > Math.max(most, 1)) {
    step = String(step).startsWith("2") ? step * 2.5 : step * 2;
  }
  return ticksFrom(start, end, step, (at) => label(at, step, DECIMAL, ""));
}

function ticksFrom(start, end, step, text) {
  const found = [];
  for (let at = Math.ceil(start / step) * step; at <= end; at += step) found.push([at, text(at)]);
  return found;
}

const TYPES = { u1: Uint8Array, u2: Uint16Array, i4: Int32Array, f8: Float64Array };

/** A column as `packed.py` wrote it; differences become values again. */
async function unpack(packed) {
  const text = atob(packed.data);
  const raw = Uint8Array.from(text, (c) => c.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
  const stored = new TYPES[packed.type](await new Response(stream).arrayBuffer());
  if (stored.length !== packed.count) throw new Error("a packed column is damaged");
  if (!packed.delta) return stored;
  let wide = packed.type === "f8";
  for (let i = 0, sum = 0; i < stored.length && !wide; i++) {
    sum += stored[i];
    wide = sum > 0x7fffffff || sum < -0x80000000;
  }
  const values = wide ? new Float64Array(stored.length) : new Int32Array(stored.length);
  for (let i = 0, sum = 0; i < stored.length; i++) values[i] = sum += stored[i];
  return values;
}

/** The first index whose value is at least `value`, of a sorted column. */
function lowerBound(column, value) {
  let low = 0;
  let high = column.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (column[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function download(name, type, parts) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** A file's name out of any title. */
const fileName = (text, extension) =>
  `${text.replace(/[^\w.-]+/g, "_").slice(0, 80) || "diagmem"}.${extension}`;

function csvField(value) {
  let text = value === null ? "" : String(value);
  // A spreadsheet takes what begins so for a formula.
  if (/^[=+\-@\t]/.test(text) && Number.isNaN(Number(text))) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const csvLine = (values) => `${values.map(csvField).join(",")}\r\n`;

let styles = null;
/** A colour of the page, by its name in page.css. */
function colour(name) {
  styles ??= new Map();
  if (!styles.has(name)) {
    const root = getComputedStyle(document.documentElement);
    styles.set(name, root.getPropertyValue(`--${name}`).trim());
  }
  return styles.get(name);
}

/** #rrggbb as ImageData holds it on a little-endian machine. */
function pixel(hex) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** `kind`: nothing for an area, `stroke` for a line, `ring`. */
function key(entries) {
  return el("ul", { class: "key" }, ...entries.map(([name, text, kind = ""]) => {
    const style = { "": `background:var(--${name})`, stroke: `color:var(--${name})`, ring: "" };
    return el("li", {}, el("i", { class: kind, style: style[kind] }), text);
  }));
}

const cards = (entries) =>
  el("div", { class: "cards" }, ...entries.map(([name, value, more]) =>
    el("div", { class: "card" }, el("span", {}, name), el("b", {}, value), el("span", {}, more))));

const facts = (entries) =>
  el("dl", {}, ...entries.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

const notes = (entries) => entries.length
  ? el("ul", { class: "note" }, ...entries.map((text) => el("li", {}, text)))
  : null;
