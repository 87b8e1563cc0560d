// Accesses and lives counted into the cells of a picture.

const CELL = 2; // CSS pixels: a single access must catch the eye
const FIRST_LIVE = 1, SECOND_LIVE = 2, LOADED = 4, STORED = 8;

/** Unpacked columns of a buffer, asked for once. */
async function unpackBuffer(buffer) {
  const lives = { ...buffer.lives };
  const [start, end, tick, edge] = await Promise.all(
    [lives.start, lives.end, buffer.frontier.tick, buffer.frontier.edge].map(unpack));
  const pieces = await Promise.all(buffer.pieces.map(async (piece) => ({
    start: piece.start,
    end: piece.end,
    tick: await unpack(piece.tick),
    offset: await unpack(piece.offset),
    what: await unpack(piece.class),
  })));
  return {
    ...buffer,
    lives: { ...lives, start, end },
    frontier: { tick, edge },
    pieces,
    levels: buffer.plane ? await levels(buffer.plane) : [],
  };
}

/** The plane and its coarser ones, each half as wide and high, the finest first. */
async function levels(plane) {
  let level = { ...plane, loads: await unpack(plane.loads), stores: await unpack(plane.stores) };
  const found = [level];
  while (level.columns * level.rows > 1 << 16) found.push(level = coarser(level));
  return found;
}

function coarser(level) {
  const [columns, rows] = [(level.columns + 1) >> 1, (level.rows + 1) >> 1];
  const merged = (cells) => {
    const out = new cells.constructor(columns * rows);
    for (let c = 0, i = 0; c < level.columns; c++) {
      for (let r = 0; r < level.rows; r++, i++) {
        const at = (c >> 1) * rows + (r >> 1);
        if (cells[i] > out[at]) out[at] = cells[i];
      }
    }
    return out;
  };
  return {
    columns, rows,
    tick_shift: level.tick_shift + 1, byte_shift: level.byte_shift + 1,
    loads: merged(level.loads), stores: merged(level.stores),
  };
}

/** The piece that has every event of [start, end), if there is one. */
const pieceWith = (buffer, start, end) =>
  buffer.pieces.find((piece) => piece.start <= start && end <= piece.end);

/**
 * The cells of a picture of the ranges, each `dx` ticks and `dy` bytes, counted from
 * `x0` and `y0`: at most one in CELL pixels, and whole cells of a plane where one is used.
 */
function gridOf(layers, frame) {
  const most = (px) => Math.max(1, Math.floor(px / CELL));
  let dx = Math.ceil(frame.x.length / most(frame.width));
  let dy = Math.ceil(frame.y.length / most(frame.height));
  const sources = layers.map(({ buffer }) => {
    if (!buffer.levels.length || pieceWith(buffer, frame.x.low, frame.x.high)) return null;
    const coarse = buffer.levels.findLast((l) => 2 ** l.tick_shift <= dx && 2 ** l.byte_shift <= dy);
    return coarse ?? buffer.levels[0];
  });
  for (const level of sources) {
    if (level === null) continue;
    dx = 2 ** level.tick_shift * Math.ceil(dx / 2 ** level.tick_shift);
    dy = 2 ** level.byte_shift * Math.ceil(dy / 2 ** level.byte_shift);
  }
  const [x0, y0] = [Math.floor(frame.x.low / dx) * dx, Math.floor(frame.y.low / dy) * dy];
  const columns = Math.ceil((frame.x.high - x0) / dx);
  const rows = Math.ceil((frame.y.high - y0) / dy);
  const grid = { dx, dy, x0, y0, columns, rows, sources, cells: new Uint8Array(columns * rows) };
  layers.forEach(({ buffer, shift }, i) => {
    markLives(grid, buffer, shift, i === 0 ? FIRST_LIVE : SECOND_LIVE);
    if (sources[i]) markLevel(grid, sources[i], shift);
    else markEvents(grid, buffer, shift);
  });
  return grid;
}

function markLives(grid, buffer, shift, flag) {
  const { start, end, cell_bytes: size } = buffer.lives;
  const { columns, rows, dx, dy, x0, y0 } = grid;
  const change = new Int32Array((columns + 1) * rows);
  const first = Math.max(0, Math.floor((y0 - shift) / size));
  const last = Math.min(start.length, Math.ceil((y0 + rows * dy - shift) / size));
  for (let i = first; i < last; i++) {
    const from = Math.max(0, Math.floor((start[i] - x0) / dx));
    const to = Math.min(columns, Math.ceil((end[i] - x0) / dx));
    if (from >= to) continue;
    const low = Math.max(0, Math.floor((i * size + shift - y0) / dy));
    const top = Math.min((i + 1) * size, buffer.bytes) + shift;
    const high = Math.min(rows, Math.ceil((top - y0) / dy));
    for (let row = low; row < high; row++) {
      change[row * (columns + 1) + from]++;
      change[row * (columns + 1) + to]--;
    }
  }
  for (let row = 0; row < rows; row++) {
    for (let column = 0, alive = 0; column < columns; column++) {
      alive += change[row * (columns + 1) + column];
      if (alive > 0) grid.cells[row * columns + column] |= flag;
    }
  }
}

function markEvents(grid, buffer, shift) {
  const { columns, rows, dx, dy, x0, y0, cells } = grid;
  for (const piece of buffer.pieces) {
    const first = lowerBound(piece.tick, x0 - piece.start);
    for (let i = first; i < piece.tick.length; i++) {
      const column = Math.floor((piece.tick[i] + piece.start - x0) / dx);
      if (column >= columns) break;
      const [store, size] = buffer.classes[piece.what[i]];
      const start = Math.max(piece.offset[i], 0) + shift;
      const end = Math.min(piece.offset[i] + size, buffer.bytes) + shift;
      const low = Math.max(0, Math.floor((start - y0) / dy));
      const high = Math.min(rows, Math.ceil((end - y0) / dy));
      for (let row = low; row < high; row++) cells[row * columns + column] |= store ? STORED : LOADED;
    }
  }
}

function markLevel(grid, level, shift) {
  const { columns, rows, dx, dy, x0, y0, cells } = grid;
  const [width, height] = [2 ** level.tick_shift, 2 ** level.byte_shift];
  const lastColumn = Math.min(level.columns, Math.ceil((x0 + columns * dx) / width));
  const firstRow = Math.max(0, Math.floor((y0 - shift) / height));
  const lastRow = Math.min(level.rows, Math.ceil((y0 + rows * dy - shift) / height));
  for (let c = Math.floor(x0 / width); c < lastColumn; c++) {
    const column = Math.floor((c * width - x0) / dx);
    for (let r = firstRow; r < lastRow; r++) {
      const at = c * level.rows + r;
      const flags = (level.loads[at] && LOADED) | (level.stores[at] && STORED);
      if (!flags) continue;
      // Moved by D, a cell of the plane may reach into two rows.
      const low = Math.max(0, Math.floor((r * height + shift - y0) / dy));
      const high = Math.min(rows, Math.ceil(((r + 1) * height + shift - y0) / dy));
      for (let row = low; row < high; row++) cells[row * columns + column] |= flags;
    }
  }
}

/** The colour of each combination of flags. */
function palette(layers) {
  const live = layers.map(({ buffer }) => pixel(colour(
    { input: "input-live", output: "output-live" }[buffer.role] ?? "other-live")));
  return Uint32Array.from({ length: 16 }, (_, flags) => {
    if (flags & LOADED) return pixel(colour(flags & STORED ? "both" : "load"));
    if (flags & STORED) return pixel(colour("store"));
    if ((flags & FIRST_LIVE) && (flags & SECOND_LIVE)) return pixel(colour("shared-live"));
    if (flags & FIRST_LIVE) return live[0];
    return flags & SECOND_LIVE ? live[1] : 0;
  });
}

/**
 * The cell that each pixel of a side shows, of so many from `start` on, each `size` long.
 * The first and the last one have a pixel even if less than that is in sight.
 */
function cellsOfPixels(count, extent, start, size, cells) {
  const step = extent.length / count;
  const found = Int32Array.from({ length: count }, (_, px) =>
    Math.floor((extent.low + (px + 0.5) * step - start) / size));
  found[0] = 0;
  found[count - 1] = cells - 1;
  return found;
}

function drawGrid(context, frame, grid, layers) {
  const { columns, rows, dx, dy, x0, y0, cells } = grid;
  const { width, height } = frame;
  const column = cellsOfPixels(width, frame.x, x0, dx, columns);
  const row = cellsOfPixels(height, frame.y, y0, dy, rows).reverse();
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const colours = palette(layers);
  for (let py = 0, at = 0; py < height; py++) {
    const first = row[py] * columns;
    for (let px = 0; px < width; px++, at++) pixels[at] = colours[cells[first + column[px]]];
  }
  const picture = new OffscreenCanvas(width, height);
  picture.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(picture, frame.left, frame.top);
}

function drawFrontiers(context, frame, layers, ticks) {
  // Thin: what was stored lies right below.
  context.lineWidth = 1;
  for (const { buffer, shift } of layers) {
    if (!buffer.frontier.tick.length) continue;
    context.strokeStyle = colour(buffer.role === "input" ? "input-line" : "output-line");
    stepLine(context, frame, buffer.frontier.tick, buffer.frontier.edge, shift, ticks);
  }
}

// ---- what is at a place ----

const EVENTS_TOLD = 3;

/** Lines that tell of the cell around a tick and a byte. */
function tell(layers, grid, x, y, ticks, places) {
  const column = Math.floor((x - grid.x0) / grid.dx);
  const row = Math.floor((y - grid.y0) / grid.dy);
  const cell = {
    tick: grid.x0 + column * grid.dx,
    tickEnd: Math.min(grid.x0 + (column + 1) * grid.dx, ticks),
    byte: grid.y0 + row * grid.dy,
    byteEnd: grid.y0 + (row + 1) * grid.dy,
  };
  const lines = [`${cell.tickEnd - cell.tick === 1 ? "tick" : "ticks"} ${range(cell.tick, cell.tickEnd)}`];
  layers.forEach(({ buffer, shift }, i) => {
    const low = Math.max(cell.byte - shift, 0);
    const high = Math.min(cell.byteEnd - shift, buffer.bytes);
    if (low >= high) return;
    lines.push(`${buffer.name}: ${high - low === 1 ? "byte" : "bytes"} ${range(low, high)}`);
    lines.push(...(grid.sources[i]
      ? tellLevel(buffer, grid.sources[i], cell.tick, low, places)
      : tellEvents(buffer, cell, low, high, places)));
    lines.push(tellLife(buffer, Math.floor(Math.min(Math.max(y - shift, low), high - 1))));
  });
  return lines;
}

function tellEvents(buffer, cell, low, high, places) {
  const lines = [];
  let left = 0;
  for (const piece of buffer.pieces) {
    for (let i = lowerBound(piece.tick, cell.tick - piece.start); i < piece.tick.length; i++) {
      const tick = piece.tick[i] + piece.start;
      if (tick >= cell.tickEnd) break;
      const [store, size, place] = buffer.classes[piece.what[i]];
      if (piece.offset[i] >= high || piece.offset[i] + size <= low) continue;
      if (lines.length === EVENTS_TOLD) {
        left++;
        continue;
      }
      lines.push(`tick ${number(tick)}: ${store ? "store" : "load"} of ${bytes(size)} at offset`
        + ` ${number(piece.offset[i])}${from(places[place])}`);
    }
  }
  return left ? [...lines, `and ${number(left)} more`] : lines;
}

function tellLevel(buffer, level, tick, low, places) {
  const [c, r] = [tick >= 2 ** 31 ? Math.floor(tick / 2 ** level.tick_shift) : tick >> level.tick_shift,
    Math.floor(low / 2 ** level.byte_shift)];
  const at = c * level.rows + r;
  return [["loads", level.loads[at]], ["stores", level.stores[at]]]
    .filter(([, place]) => place)
    .map(([kind, place]) => `${kind}${from(places[place - 1])}`);
}

function from(place) {
  if (!place) return "";
  return place.text ? ` by ${place.text}` : "";
}

function tellLife(buffer, byte) {
  const cell = Math.floor(byte / buffer.lives.cell_bytes);
  const [start, end] = [buffer.lives.start[cell], buffer.lives.end[cell]];
  if (start >= end) return `byte ${number(byte)} is never needed`;
  return `byte ${number(byte)} is needed in ticks ${range(start, end)}`;
}
