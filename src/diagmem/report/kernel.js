// The section of a trace.

const PLACEMENT_HEIGHT = 420, BUFFER_HEIGHT = 240, AROUND = 64;

function kernelSection(data) {
  const node = el("section");
  const holder = el("div");
  const show = async (index) => {
    holder.replaceChildren(el("p", { class: "note" }, "unpacking …"));
    const node = await kernelWindow(data, data.windows[index]);
    holder.replaceChildren(node);
  };
  const choose = data.windows.length > 1
    ? el("label", {}, "Window", el("select", { onchange: (event) => show(Number(event.target.value)) },
      ...data.windows.map((window, i) =>
        el("option", { value: String(i) }, `${window.index}: ${window.function || "(no function)"}`))))
    : null;
  node.append(
    ...(choose ? [el("div", { class: "row" }, choose)] : []),
    holder,
    ...data.tables.map((one) => table(one, data.title)),
    el("h3", {}, "How it was traced"), facts(data.facts));
  if (data.windows.length) show(0).catch(fail);
  else holder.append(el("p", {}, "The trace holds no window, so there is nothing to draw."));
  return node;
}

async function kernelWindow(data, window) {
  if (!window.buffers.length) {
    return el("p", {}, `Window ${window.index} has no buffers, so there is nothing to draw.`);
  }
  const buffers = await Promise.all(
    window.buffers.map(async (buffer) => ({ ...await unpackBuffer(buffer), classes: window.classes })));
  const time = new Extent(0, window.ticks);
  const charts = buffers.map((buffer) => bufferChart(buffer, time, window, data.places));
  charts.forEach((chart, i) => { chart.node.hidden = !buffers[i].shown; });
  const pairs = el("div");
  const showPair = (pair) => pairs.replaceChildren(...pairParts(pair, buffers, time, window, data));
  if (window.pairs.length) showPair(window.pairs[0]);
  const choosePair = window.pairs.length > 1
    ? el("div", { class: "row" }, el("label", {}, "Pair", el("select", {
      onchange: (event) => showPair(window.pairs[Number(event.target.value)]),
    }, ...window.pairs.map((pair, i) =>
      el("option", { value: String(i) }, `${pair.input} over ${pair.output}`)))))
    : null;
  return el("div", {},
    el("h3", {}, window.title),
    ...window.subtitles.map((line) => el("p", { class: "subtitle" }, line)),
    notes(window.notes),
    ...(choosePair ? [choosePair] : []),
    kernelKey(window),
    pairs,
    el("h3", {}, "Each buffer by itself"),
    chooseBuffers(buffers, charts),
    ...charts.map((chart) => chart.node),
    window.mode === "events" ? eventsButton(data, window, buffers) : null,
    ...window.tables.map((one) => table(one, `${data.title}_window_${window.index}`)));
}

function chooseBuffers(buffers, charts) {
  const boxes = buffers.map((buffer, i) => el("label", {},
    el("input", {
      type: "checkbox", checked: buffer.shown,
      onchange: (event) => { charts[i].node.hidden = !event.target.checked; },
    }), buffer.name));
  const row = el("div", { class: "row" }, ...boxes);
  return el("details", { open: buffers.length <= 12 },
    el("summary", {}, `Which of ${counted(buffers.length, "buffer")} are shown`), row);
}

function kernelKey(window) {
  const accesses = [["load", "loaded"], ["store", "stored"], ["both", "both"]];
  return key([
    ...(window.mode === "events" ? accesses : []),
    ["input-live", "input still needed"], ["output-live", "output needed"],
    ["other-live", "other needed"], ["shared-live", "both needed in one cell"],
    ["input-line", "lowest input byte still needed", "stroke"],
    ["output-line", "highest output byte written", "stroke"],
    ["", "where D is decided", "ring"],
  ]);
}

/** A chart of layers: buffers and how many bytes up each lies. */
function heatmapChart({ title, subtitle, layers, time, span, height, window, places, above }) {
  let grid = null;
  return new Chart({
    title, subtitle, height,
    x: time, y: new Extent(0, span),
    xName: "tick", xTicks: countTicks, yTicks: byteTicks,
    draw: (context, frame) => {
      grid = gridOf(layers, frame);
      drawGrid(context, frame, grid, layers);
      drawFrontiers(context, frame, layers, window.ticks);
      above?.(context, frame);
    },
    describe: (x, y) => (grid ? tell(layers, grid, x, y, window.ticks, places) : []),
  });
}

function bufferChart(buffer, time, window, places) {
  return heatmapChart({
    title: buffer.name === buffer.role ? buffer.name : `${buffer.name} (${buffer.role})`,
    subtitle: bytes(buffer.bytes),
    layers: [{ buffer, shift: 0 }], time, span: buffer.bytes, height: BUFFER_HEIGHT, window, places,
  });
}

/** Cards, placement and buttons of a pair. */
function pairParts(pair, buffers, time, window, data) {
  const d = pair.min_displacement_bytes;
  const named = (name) => buffers.find((buffer) => buffer.name === name);
  const [input, output] = [named(pair.input), named(pair.output)];
  const figures = cards([
    ["Minimum displacement D", bytes(d), pair.exact ? "exact" : "conservative"],
    ["Safe overlap O_s", bytes(pair.safe_overlap_bytes), `of ${bytes(pair.input_bytes)} of input`],
    ["Both tensors, overlapped", bytes(pair.span_bytes),
      `instead of ${bytes(pair.input_bytes + pair.output_bytes)}`],
    ["Events recorded", number(window.ticks), onThisPage(window)],
  ]);
  if (!input || !output) return [figures];
  const chart = heatmapChart({
    title: `${pair.input} over ${pair.output}, ${bytes(d)} above its start`,
    subtitle: "the smallest displacement from which every larger one is safe",
    layers: [{ buffer: input, shift: d }, { buffer: output, shift: 0 }],
    time, span: pair.span_bytes, height: PLACEMENT_HEIGHT, window, places: data.places,
    above: (context, frame) => drawLimit(context, frame, pair),
  });
  chart.margin = (context, frame) => drawRuler(context, frame, pair);
  const button = (text, act) => el("button", { type: "button", onclick: act }, text);
  const toLimit = () => {
    const [tick, byte] = pair.limit;
    chart.x.set(tick - AROUND, tick + AROUND);
    const half = 24 * Math.max(input.lives.cell_bytes, 1);
    chart.y.set(byte - half, byte + half);
  };
  return [
    figures,
    el("div", { class: "row" },
      button("Zoom in", () => chart.zoom(ZOOM)), button("Zoom out", () => chart.zoom(1 / ZOOM)),
      button("Show all", () => chart.reset()),
      el("button", { type: "button", disabled: pair.limit === null, onclick: toLimit },
        "Go to the limiting access")),
    el("p", { class: "hint" }, HOW),
    chart.node,
    pair.limit_texts.length
      ? el("p", { class: "limit" }, `${pair.limit_texts.slice(0, 3).join(" ").replace("B output", "B: output")}. `,
        ...pair.limit_texts.slice(3).map((text) => el("span", { class: "note" }, `${text}. `)))
      : el("p", { class: "limit" }, "No single access limits D."),
  ];
}

function onThisPage(window) {
  if (window.mode === "summary") return "in a summary, see notes";
  return window.whole ? "all on this page" : "binned, see notes";
}

function drawLimit(context, frame, pair) {
  if (pair.limit === null) return;
  const [px, py] = [frame.toX(pair.limit[0]), frame.toY(pair.limit[1])];
  context.lineWidth = 2;
  for (const [radius, name] of [[7, "ink"], [9, "plot"]]) {
    context.strokeStyle = colour(name);
    context.beginPath();
    context.arc(px, py, radius, 0, 2 * Math.PI);
    context.stroke();
  }
}

/** Right of the plot: where both tensors lie, and what they share. */
function drawRuler(context, frame, pair) {
  const d = pair.min_displacement_bytes;
  const clamp = (value) => Math.min(Math.max(frame.toY(value), frame.top), frame.bottom);
  const bar = (x, low, high, fill) => {
    const [top, bottom] = [clamp(high), clamp(low)];
    if (bottom <= top) return;
    context.fillStyle = colour(fill);
    context.strokeStyle = colour("faint");
    context.fillRect(x, top, 12, bottom - top);
    context.strokeRect(x + 0.5, top + 0.5, 11, bottom - top - 1);
  };
  bar(frame.right + 6, 0, pair.output_bytes, "output-live");
  bar(frame.right + 20, d, d + pair.input_bytes, "input-live");
  context.fillStyle = colour("ink");
  context.textAlign = "left";
  context.textBaseline = "middle";
  for (const [name, low, high] of [["D", 0, d], ["O_s", d, d + pair.safe_overlap_bytes]]) {
    if (clamp(low) - clamp(high) < 14) continue;
    const x = frame.right + 37;
    context.strokeStyle = colour("ink");
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x - 2, clamp(low) - 1);
    context.lineTo(x, clamp(low) - 1);
    context.lineTo(x, clamp(high) + 1);
    context.lineTo(x - 2, clamp(high) + 1);
    context.stroke();
    context.fillText(name, x + 4, (clamp(low) + clamp(high)) / 2);
  }
}

function eventsButton(data, window, buffers) {
  const save = () => {
    const parts = [csvLine(["buffer", "tick", "kind", "offset", "size_bytes", "function", "where"])];
    for (const buffer of buffers) {
      for (const piece of buffer.pieces) {
        for (let i = 0; i < piece.tick.length; i++) {
          const [store, size, place] = buffer.classes[piece.what[i]];
          const { function: name, where } = data.places[place];
          parts.push(csvLine([buffer.name, piece.tick[i] + piece.start, store ? "store" : "load",
            piece.offset[i], size, name, where]));
        }
      }
    }
    download(fileName(`${data.title}_window_${window.index}_events`, "csv"), "text/csv", parts);
  };
  const what = window.whole ? "Download all events (CSV)" : "Download the events on this page (CSV)";
  return el("div", { class: "row" }, el("button", { type: "button", onclick: save }, what));
}
