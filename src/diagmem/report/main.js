// The page from its data.

const DATA = JSON.parse(document.getElementById("data").textContent);

function fail(error) {
  document.getElementById("sections").prepend(el("p", { role: "alert" },
    typeof DecompressionStream === "undefined"
      ? "This browser cannot unpack the pictures; any from 2023 or later can."
      : `The page could not be drawn: ${error.message}`));
  console.error(error);
}

function sectionNode(data) {
  if (data.kind === "kernel") return kernelSection(data);
  if (data.kind === "network") return networkSection(data);
  return el("section", {}, ...data.tables.map((one) => table(one, data.title)), facts(data.facts));
}

function toggleTheme() {
  const root = document.documentElement;
  const themes = ["auto", "light", "dark"];
  const wanted = root.dataset.wanted ?? "";
  root.dataset.wanted = themes[(themes.indexOf(wanted) + 1) % themes.length];
  applyTheme();
}

function applyTheme() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const { wanted } = root.dataset;
  root.dataset.theme = wanted === "auto" ? (dark ? "dark" : "light") : wanted;
  root.style.colorScheme = root.dataset.theme;
  document.getElementById("theme").textContent = `Colours: ${wanted}`;
  styles = null;
  Chart.all.forEach((chart) => chart.redraw());
}

function saveData() {
  const tables = (entries) => entries.map(({ title, columns, rows }) => ({ title, columns, rows }));
  const sections = DATA.sections.map((section) => ({
    title: section.title,
    facts: section.facts,
    tables: tables([...section.tables, ...(section.windows ?? []).flatMap((w) => w.tables ?? [])]),
  }));
  download(fileName(DATA.title, "json"), "application/json",
    [JSON.stringify({ made: DATA.made, sections }, null, 1)]);
}

function start() {
  document.getElementById("title").textContent = DATA.title;
  document.getElementById("theme").addEventListener("click", toggleTheme);
  document.getElementById("download").addEventListener("click", saveData);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
  document.documentElement.dataset.wanted = "auto";
  applyTheme();
  const holder = document.getElementById("sections");
  holder.replaceChildren();
  DATA.sections.forEach((section, i) => {
    const node = sectionNode(section);
    node.id = `section-${i}`;
    const told = section.title === DATA.title ? { class: "unseen" } : {};
    node.prepend(el("h2", { id: `heading-${i}`, ...told }, section.title));
    node.setAttribute("aria-labelledby", `heading-${i}`);
    holder.append(node);
  });
  if (DATA.sections.length > 1) {
    document.getElementById("contents").append(el("ul", {}, ...DATA.sections.map((section, i) =>
      el("li", {}, el("a", { href: `#section-${i}` }, section.title)))));
  }
  document.getElementById("made").append(el("h3", {}, "How this page was made"), facts(DATA.made));
  document.documentElement.dataset.ready = "yes";
}

try {
  start();
} catch (error) {
  fail(error);
}
