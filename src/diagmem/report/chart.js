// A canvas with axes that zooms and pans, by mouse, touch and keyboard.

const MARGIN = { left: 76, right: 64, top: 10, bottom: 40 };
const PAN = 0.15;
const ZOOM = 1.5;

/** A part [low, high) of [min, max), never smaller than `least`; several charts may share it. */
class Extent {
  constructor(min, max, { least = 1, whole = true } = {}) {
    this.min = min;
    this.max = Math.max(max, min + least);
    this.least = least;
    this.whole = whole;
    this.listeners = [];
    this.low = this.min;
    this.high = this.max;
  }

  get length() { return this.high - this.low; }

  set(low, high) {
    let length = Math.min(Math.max(high - low, this.least), this.max - this.min);
    if (this.whole) length = Math.round(length);
    let start = Math.max(this.min, Math.min(low, this.max - length));
    if (this.whole) start = Math.round(start);
    this.low = start;
    this.high = start + length;
    for (const listener of this.listeners) listener();
  }

  /** Show less by a factor, what lies at `at` staying where it is. */
  zoom(factor, at = (this.low + this.high) / 2) {
    let length = this.length / factor;
    // A whole range must change by one at least, or zooming would get stuck.
    if (this.whole && factor < 1) length = Math.max(length, this.length + 1);
    const share = (at - this.low) / this.length;
    this.set(at - share * length, at + (1 - share) * length);
  }

  pan(share) {
    const step = share * this.length;
    const by = this.whole ? Math.sign(step) * Math.max(1, Math.round(Math.abs(step))) : step;
    this.set(this.low + by, this.high + by);
  }

  reset() { this.set(this.min, this.max); }
}

/**
 * A figure whose canvas shows part of a plane.
 *
 * `draw(context, frame)` paints inside the frame; `describe(x, y, frame)` gives the lines
 * that tell what is there.  `frame` has the plot's place in CSS pixels and the ways
 * between pixels and values.
 */
class Chart {
  constructor({ title, subtitle = "", x, y, xName, xTicks, yTicks, height, draw, describe }) {
    Object.assign(this, { x, y, xName, xTicks, yTicks, height, draw, describe });
    this.cross = null;
    this.pending = false;
    this.canvas = el("canvas", {
      tabindex: "0", role: "application", "aria-roledescription": "zoomable picture",
      "aria-label": `${title}. ${subtitle}. Arrow keys pan, plus and minus zoom, 0 shows all,`
        + " Shift and arrow keys read out what is at the cross.",
    });
    this.tip = el("div", { class: "tip", hidden: true });
    this.readout = el("div", { class: "unseen", role: "status" });
    this.node = el("figure", {},
      el("figcaption", {}, title, " ", el("small", {}, subtitle)),
      this.canvas, this.tip, this.readout);
    for (const range of [x, y]) range.listeners.push(() => this.redraw());
    this.listen();
    new ResizeObserver(() => this.redraw()).observe(this.canvas);
    Chart.all.push(this);
  }

  frame() {
    const width = this.canvas.clientWidth;
    const { x, y, height } = this;
    const narrow = width < 480;
    const left = narrow ? 58 : MARGIN.left;
    const plot = {
      left, top: MARGIN.top,
      width: Math.max(width - left - MARGIN.right, 20), height: height - MARGIN.top - MARGIN.bottom,
    };
    return {
      ...plot,
      bottom: plot.top + plot.height,
      right: plot.left + plot.width,
      x, y,
      toX: (value) => plot.left + ((value - x.low) / x.length) * plot.width,
      toY: (value) => plot.top + (1 - (value - y.low) / y.length) * plot.height,
      atX: (px) => x.low + ((px - plot.left) / plot.width) * x.length,
      atY: (px) => y.low + (1 - (px - plot.top) / plot.height) * y.length,
    };
  }

  redraw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      if (this.canvas.clientWidth) this.paint();
    });
  }

  paint() {
    const { canvas } = this;
    const scale = window.devicePixelRatio || 1;
    canvas.style.height = `${this.height}px`;
    canvas.width = Math.round(canvas.clientWidth * scale);
    canvas.height = Math.round(this.height * scale);
    const context = canvas.getContext("2d");
    const frame = this.frame();
    context.scale(scale, scale);
    context.font = '12px system-ui, "DejaVu Sans", sans-serif';
    context.fillStyle = colour("plot");
    context.fillRect(frame.left, frame.top, frame.width, frame.height);
    context.save();
    context.beginPath();
    context.rect(frame.left, frame.top, frame.width, frame.height);
    context.clip();
    this.draw(context, frame);
    context.restore();
    this.drawAxes(context, frame);
    this.margin?.(context, frame);
    if (this.cross) this.drawCross(context, frame);
    // What is shown and where, for whoever looks at the page with a program.
    const { x, y } = this;
    canvas.dataset.view = [x.low, x.high, y.low, y.high].join(" ");
    canvas.dataset.plot = [frame.left, frame.top, frame.width, frame.height].join(" ");
  }

  drawAxes(context, frame) {
    context.strokeStyle = colour("faint");
    context.fillStyle = colour("ink");
    context.lineWidth = 1;
    context.strokeRect(frame.left - 0.5, frame.top - 0.5, frame.width + 1, frame.height + 1);
    context.beginPath();
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const [at, text] of this.xTicks(this.x.low, this.x.high, frame.width / 72)) {
      const px = Math.round(frame.toX(at)) + 0.5;
      context.moveTo(px, frame.bottom);
      context.lineTo(px, frame.bottom + 4);
      context.fillText(text, px, frame.bottom + 6);
    }
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const [at, text] of this.yTicks(this.y.low, this.y.high, frame.height / 30)) {
      const px = Math.round(frame.toY(at)) + 0.5;
      context.moveTo(frame.left - 4, px);
      context.lineTo(frame.left, px);
      context.fillText(text, frame.left - 7, px);
    }
    context.stroke();
    context.fillStyle = colour("faint");
    context.textAlign = "center";
    context.textBaseline = "bottom";
    const shown = this.x.whole ? ` ${range(this.x.low, this.x.high)}` : "";
    context.fillText(this.xName + shown, frame.left + frame.width / 2, this.height - 1);
  }

  drawCross(context, frame) {
    const { px, py } = this.cross;
    context.strokeStyle = colour("ink");
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(frame.left, py);
    context.lineTo(frame.right, py);
    context.moveTo(px, frame.top);
    context.lineTo(px, frame.bottom);
    context.stroke();
    context.setLineDash([]);
  }

  // ---- what the reader does ----

  listen() {
    const { canvas } = this;
    let drag = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      drag = { px: event.clientX, py: event.clientY, x: this.x.low, y: this.y.low };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (drag === null) {
        this.point(event.offsetX, event.offsetY, false);
        return;
      }
      const frame = this.frame();
      const low = drag.x - ((event.clientX - drag.px) / frame.width) * this.x.length;
      const bottom = drag.y + ((event.clientY - drag.py) / frame.height) * this.y.length;
      this.x.set(low, low + this.x.length);
      this.y.set(bottom, bottom + this.y.length);
      this.leave();
    });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, () => { drag = null; });
    }
    canvas.addEventListener("pointerleave", () => this.leave());
    canvas.addEventListener("blur", () => this.leave());
    canvas.addEventListener("dblclick", (event) => this.zoomAt(event, 2 * ZOOM));
    canvas.addEventListener("wheel", (event) => {
      // The page scrolls over pictures until one is chosen by a click.
      if (document.activeElement !== canvas && !event.ctrlKey) return;
      event.preventDefault();
      this.zoomAt(event, event.deltaY < 0 ? ZOOM : 1 / ZOOM, event.shiftKey);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (this.press(event.key, event.shiftKey)) event.preventDefault();
    });
  }

  zoomAt(event, factor, onlyX = false) {
    const frame = this.frame();
    this.x.zoom(factor, frame.atX(event.offsetX));
    if (!onlyX) this.y.zoom(factor, frame.atY(event.offsetY));
    this.leave();
  }

  /** A key; true if it meant something. */
  press(name, shift) {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[name];
    if (arrow && shift) this.moveCross(...arrow);
    else if (arrow) [this.x, this.y].forEach((range, i) => arrow[i] && range.pan(PAN * arrow[i]));
    else if (name === "+" || name === "=") this.zoom(ZOOM);
    else if (name === "-") this.zoom(1 / ZOOM);
    else if (name === "0" || name === "Home") this.reset();
    else if (name === "Escape") this.leave();
    else return false;
    if (this.cross && !(arrow && shift)) this.point(this.cross.px, this.cross.py, true);
    return true;
  }

  zoom(factor) {
    const frame = this.frame();
    this.x.zoom(factor, this.cross ? frame.atX(this.cross.px) : undefined);
    this.y.zoom(factor, this.cross ? frame.atY(this.cross.py) : undefined);
  }

  reset() {
    this.x.reset();
    this.y.reset();
  }

  moveCross(right, up) {
    const frame = this.frame();
    const step = 4;
    const { px, py } = this.cross
      ?? { px: frame.left + frame.width / 2, py: frame.top + frame.height / 2 };
    this.cross = {
      px: Math.min(Math.max(px + right * step, frame.left), frame.right - 1),
      py: Math.min(Math.max(py - up * step, frame.top), frame.bottom - 1),
    };
    this.point(this.cross.px, this.cross.py, true);
    this.redraw();
  }

  /** Tell what is at a pixel; `aloud`: to screen readers, too. */
  point(px, py, aloud) {
    const frame = this.frame();
    const inside = px >= frame.left && px < frame.right && py >= frame.top && py < frame.bottom;
    const lines = inside ? this.describe(frame.atX(px), frame.atY(py), frame) : [];
    this.tip.hidden = lines.length === 0;
    if (lines.length === 0) return;
    this.tip.replaceChildren(...lines.map((line) => el("div", {}, line)));
    if (aloud) this.readout.textContent = lines.join(". ");
    const { offsetLeft, offsetTop, clientWidth } = this.canvas;
    const right = px + 16 + this.tip.offsetWidth <= clientWidth;
    this.tip.style.left = `${offsetLeft + (right ? px + 14 : Math.max(px - 14 - this.tip.offsetWidth, 0))}px`;
    this.tip.style.top = `${offsetTop + py + 14}px`;
  }

  leave() {
    this.tip.hidden = true;
    if (this.cross) {
      this.cross = null;
      this.redraw();
    }
  }
}
Chart.all = [];

/** A rising step line of columns `at` and `level`, `shift` higher, from there to `end`. */
function stepLine(context, frame, at, level, shift, end) {
  const first = Math.max(lowerBound(at, frame.x.low + 1e-9) - 1, 0);
  context.beginPath();
  let [lastX, lastY] = [-Infinity, -Infinity];
  for (let i = first; i < at.length && at[i] <= frame.x.high; i++) {
    const [px, py] = [frame.toX(at[i]), frame.toY(level[i] + shift)];
    if (px - lastX < 0.5 && Math.abs(py - lastY) < 0.5) continue;
    if (lastX === -Infinity) context.moveTo(px, py);
    else context.lineTo(px, lastY);
    context.lineTo(px, py);
    [lastX, lastY] = [px, py];
  }
  if (lastX !== -Infinity) context.lineTo(frame.toX(end), lastY);
  context.stroke();
}

const HOW = "Click a picture, then: wheel or + and − zoom, drag or arrow keys pan, 0 shows all,"
  + " Shift with arrow keys moves a cross that reads out. Ctrl and wheel zoom without a click.";
