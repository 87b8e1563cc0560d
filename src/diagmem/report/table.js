// Tables that sort, search and download.

const ROWS_SHOWN = 200;
const LONG_TEXT = 24; // letters; names of tensors can be far longer

/** A table of `tables.py`; `owner` goes into the names of downloads. */
function table(data, owner) {
  let sorted = data.rows.map((_, i) => i);
  let found = sorted;
  let shown = ROWS_SHOWN;
  let by = { column: -1, down: false };
  const numeric = data.columns.map((_, c) =>
    data.rows.every((row) => row[c] === null || typeof row[c] === "number"));
  const body = el("tbody");
  const count = el("span", { class: "note", role: "status" });
  const more = el("button", { type: "button", onclick: showAll }, "Show all rows");
  const search = el("input", {
    type: "search", placeholder: "Filter rows", "aria-label": `Filter ${data.title}`,
    oninput: () => { filter(); draw(); },
  });
  const heads = data.columns.map((name, c) => el("th", {
    scope: "col", class: numeric[c] ? "number" : "", "aria-sort": "none",
  }, el("button", { type: "button", onclick: () => sortBy(c) }, name)));

  function compare(a, b) {
    const [left, right] = [data.rows[a][by.column], data.rows[b][by.column]];
    // What is not there comes last, whichever way.
    if (left === null || right === null) return (left === null) - (right === null) || a - b;
    const order = typeof left === "number" && typeof right === "number"
      ? left - right
      : String(left).localeCompare(String(right), "en", { numeric: true });
    return (by.down ? -order : order) || a - b;
  }

  function sortBy(column) {
    by = { column, down: by.column === column && !by.down };
    sorted.sort(compare);
    heads.forEach((head, c) => head.setAttribute("aria-sort",
      c === column ? (by.down ? "descending" : "ascending") : "none"));
    filter();
    draw();
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = sorted.filter((i) => {
      const text = data.rows[i].map(cellText).join("\u0000").toLowerCase();
      return words.every((word) => text.includes(word));
    });
  }

  function showAll() {
    shown = Infinity;
    draw();
  }

  function draw() {
    body.replaceChildren(...found.slice(0, shown).map((i) => el("tr", {},
      ...data.rows[i].map((cell, c) =>
        el("td", cellStyle(numeric[c], cellText(cell)), ...breakable(cellText(cell)))))));
    const of = found.length < data.rows.length ? `${number(found.length)} of ` : "";
    const listed = shown < found.length ? `, the first ${number(shown)} listed` : "";
    count.textContent = `${of}${counted(data.rows.length, "row")}${listed}`;
    more.hidden = shown >= found.length;
  }

  const rows = () => found.map((i) => data.rows[i]);
  const name = `${owner}_${data.title}`;
  const asCsv = () => download(fileName(name, "csv"), "text/csv",
    [csvLine(data.columns), ...rows().map(csvLine)]);
  const asJson = () => {
    const objects = rows().map((row) =>
      Object.fromEntries(data.columns.map((column, c) => [column, row[c]])));
    download(fileName(name, "json"), "application/json", [JSON.stringify(objects, null, 1)]);
  };
  draw();
  return el("section", { "aria-label": data.title },
    el("h3", {}, data.title),
    data.note ? el("p", { class: "note" }, data.note) : null,
    el("div", { class: "row" }, search, count, more,
      el("button", { type: "button", onclick: asCsv }, "CSV"),
      el("button", { type: "button", onclick: asJson }, "JSON")),
    el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `${data.title}, rows` },
      el("table", {}, el("thead", {}, el("tr", {}, ...heads)), body)));
}

function cellText(cell) {
  if (cell === null) return "";
  if (typeof cell === "boolean") return cell ? "yes" : "no";
  return typeof cell === "number" ? number(cell) : cell;
}

function cellStyle(numeric, text) {
  if (numeric) return { class: "number" };
  return text.length > LONG_TEXT ? { class: "long" } : {};
}

/** Text that may be broken behind the signs that join the parts of a name. */
function breakable(text) {
  if (text.length <= LONG_TEXT) return [text];
  return text.split(/(?<=[/;_.])/).flatMap((part) => [part, el("wbr")]);
}
