// The section of a network: arenas, memory profile, tables.

const ARENA_HEIGHT = 340, PROFILE_HEIGHT = 260, BLOCK_COLOURS = 6;

function networkSection(data) {
  const operators = data.operators.length;
  const most = Math.max(...data.arenas.map((arena) => arena.arena_bytes), data.board_bytes ?? 0);
  // Half of an operator's call is the least that shows how its output grows.
  const time = new Extent(0, operators, { least: Math.min(0.5, operators), whole: false });
  const space = new Extent(0, Math.ceil(most * 1.1), { least: 16 });
  const picked = { tensor: null };
  const charts = data.arenas.map((arena) => arenaChart(data, arena, time, space, picked));
  const button = (text, act) => el("button", { type: "button", onclick: act }, text);
  const { peak } = data.arenas[1];
  const toPeak = () => time.set(peak.operator - 2, peak.operator + 3);
  return el("section", {},
    cards(boardCard(data)),
    notes(data.notes),
    el("h3", {}, "The arena, operator by operator"),
    el("div", { class: "row" },
      button("Zoom in", () => charts[1].zoom(ZOOM)), button("Zoom out", () => charts[1].zoom(1 / ZOOM)),
      button("Show all", () => charts[1].reset()), button("Go to the peak", toPeak)),
    el("p", { class: "hint" }, HOW),
    ...charts.map((chart) => chart.node),
    el("p", { class: "note" }, "Colours only tell neighbours apart. A slanted edge is a measured or"
      + " computed frontier: what is still needed of an input while the output takes its place."),
    ...data.arenas.map((arena) => el("p", { class: "note" }, peakText(data, arena))),
    el("h3", {}, "Memory over operators"),
    ...profileParts(data, time),
    ...data.tables.map((one) => table(one, data.title)),
    el("h3", {}, "How it was planned"), facts(data.facts));
}

function boardCard(data) {
  if (data.board_bytes === null) return data.cards;
  const left = data.board_bytes - data.arenas[1].arena_bytes;
  const verdict = left >= 0 ? `${bytes(left)} left` : `${bytes(-left)} too much`;
  return [...data.cards, ["Room on the board", bytes(data.board_bytes), verdict]];
}

function peakText(data, arena) {
  const { peak } = arena;
  const known = new Map(arena.blocks.map((block) => [block.tensor, block]));
  const parts = peak.tensors.map((t) => `${shortName(known.get(t).name)} ${bytes(known.get(t).bytes)}`);
  const less = peak.shared_bytes ? `, less ${bytes(peak.shared_bytes)} shared` : "";
  const more = peak.unused_bytes ? `, plus ${bytes(peak.unused_bytes)} unused` : "";
  return `${arena.name}: the peak of ${bytes(arena.arena_bytes)} is at operator ${peak.operator}`
    + ` ${data.operators[peak.operator]}: ${parts.join(" + ")}${less}${more}.`;
}

// ---- the arena ----

function arenaChart(data, arena, time, space, picked) {
  const chart = new Chart({
    title: `${arena.name}: ${bytes(arena.arena_bytes)}`,
    subtitle: arena.shared.length ? `${counted(arena.shared.length, "pair")} overlap` : "",
    x: time, y: space, xName: "operator", xTicks: countTicks, yTicks: byteTicks,
    height: ARENA_HEIGHT,
    draw: (context, frame) => drawArena(context, frame, data, arena, picked),
    describe: (x, y) => {
      const told = tellArena(data, arena, x, y);
      const tensor = told.block?.tensor ?? null;
      if (tensor !== picked.tensor) {
        picked.tensor = tensor;
        time.listeners.forEach((listener) => listener());
      }
      return told.lines;
    },
  });
  return chart;
}

function outline(context, frame, block) {
  const { time, low, high } = block;
  context.beginPath();
  time.forEach((at, i) => context.lineTo(frame.toX(at), frame.toY(high[i])));
  for (let i = time.length - 1; i >= 0; i--) context.lineTo(frame.toX(time[i]), frame.toY(low[i]));
  context.closePath();
}

function drawArena(context, frame, data, arena, picked) {
  drawPeakOperator(context, frame, arena.peak.operator);
  const visible = arena.blocks.filter(
    (block) => block.end > frame.x.low && block.first < frame.x.high);
  context.lineWidth = 1;
  for (const block of visible) {
    if (frame.toX(block.end) - frame.toX(block.first) < 2) {
      drawSliver(context, frame, block);
      continue;
    }
    outline(context, frame, block);
    context.fillStyle = colour(`block-${block.tensor % BLOCK_COLOURS}`);
    context.fill();
    context.strokeStyle = colour("faint");
    context.stroke();
  }
  visible.forEach((block) => writeName(context, frame, block));
  const chosen = visible.find((block) => block.tensor === picked.tensor);
  if (chosen) {
    outline(context, frame, chosen);
    context.strokeStyle = colour("ink");
    context.lineWidth = 2;
    context.stroke();
  }
  drawBoard(context, frame, data);
  const room = data.board_bytes === null
    ? Infinity : frame.toY(arena.arena_bytes) - frame.toY(data.board_bytes);
  drawLevel(context, frame, arena.arena_bytes, "ink", "arena", { below: room >= 0 && room < 16 });
}

/** A block that is too narrow for a tint to be seen. */
function drawSliver(context, frame, block) {
  context.fillStyle = colour("faint");
  const top = frame.toY(block.offset + block.bytes);
  context.fillRect(frame.toX(block.first), top, 1.5, frame.toY(block.offset) - top);
}

function drawPeakOperator(context, frame, operator) {
  const [left, right] = [frame.toX(operator), frame.toX(operator + 1)];
  context.fillStyle = colour("card");
  context.fillRect(left - 1, frame.top, Math.max(right - left, 1) + 2, frame.height);
}

function drawBoard(context, frame, data) {
  if (data.board_bytes === null) return;
  drawLevel(context, frame, data.board_bytes, "store", "board", { share: 0.5 });
}

/** A dashed line across with its name above or below, `share` of the way to the right. */
function drawLevel(context, frame, level, name, text, { share = 1, below = false } = {}) {
  const py = frame.toY(level);
  context.strokeStyle = colour(name);
  context.fillStyle = colour(name);
  context.lineWidth = 1;
  context.setLineDash([6, 4]);
  context.beginPath();
  context.moveTo(frame.left, py);
  context.lineTo(frame.right, py);
  context.stroke();
  context.setLineDash([]);
  context.textAlign = "right";
  context.textBaseline = below ? "top" : "bottom";
  const at = [frame.left + share * frame.width - 4, below ? py + 3 : py - 1];
  // A rim keeps it readable over blocks.
  context.strokeStyle = colour("plot");
  context.lineWidth = 4;
  context.lineJoin = "round";
  context.strokeText(`${text} ${bytes(level)}`, ...at);
  context.fillText(`${text} ${bytes(level)}`, ...at);
}

const NAME_SHARES = [0.5, 0.35, 0.65, 0.2, 0.8];

/** A block's name and size where there is room inside of what is seen of it. */
function writeName(context, frame, block) {
  const left = Math.max(frame.toX(block.first), frame.left);
  const right = Math.min(frame.toX(block.end), frame.right);
  if (right - left < 40 || block.bytes / frame.y.length * frame.height < 14) return;
  const text = [shortName(block.name), bytes(block.bytes)];
  // Beside a slanted edge there is less room than between first and last operator.
  for (const width of [1, 0.75, 0.6].map((part) => part * (right - left) - 6)) {
    for (const share of NAME_SHARES) {
      if (writeAt(context, frame, block, text, left + share * (right - left), width)) return;
    }
  }
}

/** Name and size, else the name, around a pixel's column; false if the block is too small. */
function writeAt(context, frame, block, text, px, width) {
  // A name may be cut, a number never.
  const lines = [fitted(context, text[0], width), text[1]];
  if (!lines[0]) return false;
  const edges = edgesAt(block, frame.atX(px));
  const [bottom, top] = edges.map((y) => Math.min(Math.max(frame.toY(y), frame.top), frame.bottom));
  const py = (top + bottom) / 2;
  const fits = (half, up) => [-half, half].every((x) =>
    [-up, up].every((y) => inside(block, frame.atX(px + x), frame.atY(py + y))
      && py + y >= frame.top && py + y <= frame.bottom));
  const [first, both] = [lines.slice(0, 1), lines].map((some) =>
    Math.max(...some.map((line) => context.measureText(line).width)) / 2);
  context.fillStyle = colour("ink");
  context.textAlign = "center";
  context.textBaseline = "middle";
  if (fits(both, 14)) {
    context.fillText(lines[0], px, py - 7);
    context.fillText(lines[1], px, py + 8);
    return true;
  }
  if (!fits(first, 6)) return false;
  context.fillText(lines[0], px, py);
  return true;
}

/** Of the names that a converter has strung together, the end of the first. */
const shortName = (name) => name.split(";")[0].split("/").slice(-2).join("/");

function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let length = text.length;
  while (length > 3 && context.measureText(`${text.slice(0, length)}…`).width > width) length--;
  return length > 3 ? `${text.slice(0, length)}…` : "";
}

function tellArena(data, arena, x, y) {
  const k = Math.min(Math.floor(x), data.operators.length - 1);
  const lines = [`operator ${number(k)} ${data.operators[k]}`, `arena byte ${number(Math.floor(y))}`];
  const block = arena.blocks.findLast((one) => inside(one, x, y));
  if (!block) return { lines, block: null };
  const end = block.offset + block.bytes;
  lines.push(`${block.name} (${block.role}): ${bytes(block.bytes)}`,
    `bytes ${range(block.offset, end)}, operators ${number(block.first)} to ${number(block.end - 1)}`);
  const names = new Map(arena.blocks.map((one) => [one.tensor, one.name]));
  for (const one of arena.shared) {
    if (one.operator !== k || ![one.input, one.output].includes(block.tensor)) continue;
    const other = one.input === block.tensor ? one.output : one.input;
    lines.push(`shares ${bytes(one.bytes)} with ${names.get(other)} here`);
  }
  return { lines, block };
}

/** The lower and the upper edge at a time. */
function edgesAt(block, x) {
  const { time, low, high } = block;
  const i = Math.min(Math.max(lowerBound(time, x), 1), time.length - 1);
  const share = time[i] > time[i - 1] ? (x - time[i - 1]) / (time[i] - time[i - 1]) : 0;
  return [low, high].map((edge) => edge[i - 1] + share * (edge[i] - edge[i - 1]));
}

/** Is the point between the edges? */
function inside(block, x, y) {
  const [low, high] = edgesAt(block, x);
  return x >= block.first && x < block.end && y >= low && y < high;
}

// ---- the profile ----

function profileParts(data, time) {
  const lines = data.profile.map((line) => ({ ...line, shown: true }));
  const most = Math.max(...lines.flatMap((line) => line.bytes), data.board_bytes ?? 0, 1);
  const operators = data.operators.length;
  const at = Array.from({ length: operators }, (_, k) => k);
  const chart = new Chart({
    title: "Bytes in use", subtitle: "the highest byte that a plan uses in each operator",
    x: time, y: new Extent(0, Math.ceil(most * 1.1), { least: 16 }),
    xName: "operator", xTicks: countTicks, yTicks: byteTicks, height: PROFILE_HEIGHT,
    draw: (context, frame) => {
      drawPeakOperator(context, frame, data.arenas[1].peak.operator);
      lines.forEach((line, i) => {
        if (!line.shown) return;
        context.strokeStyle = colour(`line-${i}`);
        context.lineWidth = i === 1 ? 3 : 1.5;
        context.setLineDash(i === 0 ? [2, 2] : []);
        stepLine(context, frame, at, line.bytes, 0, operators);
      });
      context.setLineDash([]);
      drawBoard(context, frame, data);
    },
    describe: (x) => {
      const k = Math.min(Math.floor(x), operators - 1);
      return [`operator ${number(k)} ${data.operators[k]}`,
        ...lines.filter((line) => line.shown).map((line) => `${line.name}: ${bytes(line.bytes[k])}`)];
    },
  });
  const boxes = lines.map((line, i) => el("label", {},
    el("input", {
      type: "checkbox", checked: true,
      onchange: (event) => { line.shown = event.target.checked; chart.redraw(); },
    }), ...key([[`line-${i}`, line.name, "stroke"]]).firstChild.childNodes));
  return [el("div", { class: "row key" }, ...boxes), chart.node];
}
