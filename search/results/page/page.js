// Reads the content, fills the page, and keeps chart, table and selection in step.

function read(text) {
  const page = JSON.parse(text);
  const names = Object.keys(page.columns);
  page.rows = page.columns.stage.map((_, place) => {
    const row = Object.fromEntries(names.map((name) => [name, page.columns[name][place]]));
    const lists = Object.entries(LISTS).map(([name, part]) => [part, JSON.parse(row[name])]);
    row.rounds = JSON.parse(row.rates).map((_, at) =>
      Object.fromEntries(lists.map(([part, list]) => [part, list[at]])),
    );
    row.spent = row.rounds.reduce((sum, round) => sum + round.epochs, 0);
    row.cost = row[page.cost];
    row.schedule = scheduleText(row);
    return row;
  });
  const passed = page.searches.map(() => 0);
  for (const row of page.rows) row.passed = passed[row.search] += row.seconds;
  return page;
}

/** A network and those it was made of, from the root on. */
function ancestry(page, row) {
  const line = [row];
  while (line[0].parent !== null) line.unshift(page.rows[line[0].parent]);
  return line;
}

/** What is looked at first: the cheapest that is nearly as accurate as the best. */
function suggestion(page) {
  const best = Math.max(...page.rows.map((row) => row.val_accuracy));
  return page.rows
    .filter((row) => row.val_accuracy >= best - 0.01)
    .sort((one, other) => one.cost - other.cost)[0];
}

const pairs = (kind, list) =>
  make(
    "dl",
    { class: kind },
    ...list.flatMap(([name, value]) => {
      const pair = [make("dt", {}, name), make("dd", {}, value)];
      return kind === "facts" ? pair : [make("div", {}, ...pair)];
    }),
  );

/** A part of the page for each search, under its name if there are several. */
function forEach(container, page, fill) {
  page.searches.forEach((search, number) => {
    if (page.searches.length > 1) container.append(make("h3", {}, search.name));
    container.append(...fill(search, number));
  });
}

function legend(page) {
  const sign = (search, kind) =>
    make(
      "svg:svg",
      { width: 14, height: 14, class: `series-${search % 6}`, "aria-hidden": "true" },
      make("svg:path", {
        class: kind,
        fill: "currentColor",
        d: shape(search, 7, 7, kind === "candidate" ? 3 : 4.5),
        "fill-opacity": kind === "candidate" ? 0.4 : 1,
      }),
    );
  const several = page.searches.length > 1;
  const items = page.searches.map((search, number) => [
    sign(number, "member"),
    several ? search.name : "front, validation",
  ]);
  items.push([sign(0, "candidate"), "other candidates"]);
  if (page.rows.some((row) => row.on_front && row.test_accuracy !== null))
    items.push([sign(0, "test"), "front, test"]);
  items.push([pathSign(), "path of the chosen network"]);
  return items.map((item) => make("span", {}, ...item));
}

/** A network's path from the root, and the ring around it. */
function pathSign() {
  return make(
    "svg:svg",
    { width: 26, height: 14, "aria-hidden": "true" },
    make("svg:path", { class: "path", d: "M1 7H14" }),
    make("svg:path", { class: "ring", d: shape(0, 19, 7, 5) }),
  );
}

function choicesTable(page, choices) {
  const most = Math.max(...choices.map((choice) => choice.leading / choice.rounds), 1e-9);
  const rows = choices.map((choice, place) =>
    make(
      "tr",
      {},
      make(
        "td",
        { class: "text" },
        place && choices[place - 1].knob === choice.knob ? "" : page.knobs[choice.knob],
      ),
      make("td", {}, String(choice.value)),
      make("td", {}, count(choice.rounds)),
      make("td", {}, count(choice.epochs)),
      make(
        "td",
        { class: "text" },
        make("span", {
          class: "bar series-0",
          style: `width:${(6 * choice.leading) / choice.rounds / most}rem`,
        }),
        `${choice.leading} (${Math.round((100 * choice.leading) / choice.rounds)} %)`,
      ),
      make("td", {}, choice.change === null ? "–" : signed(choice.change)),
    ),
  );
  const heads = ["", "choice", "rounds", "epochs", "on paths", "change"];
  return plainTable(heads, [0, 4], rows);
}

const FLATTERED = "The front was chosen by validation accuracy, which flatters it.";

function start() {
  const page = read(byId("content").textContent);
  const several = page.searches.length > 1;
  const title = page.searches.map((search) => search.name).join(", ");
  document.title = `${title}: pruning schedules`;
  document.querySelector("h1").textContent = `Pruning schedules of ${title}`;
  byId("written").textContent =
    `Written ${page.written.replace("T", " ").replace("+00:00", " UTC")}. ` +
    "While the search runs it is written anew: reload the page.";
  forEach(byId("figures"), page, (search) => [pairs("figures", search.figures)]);
  document.querySelector(".legend").append(...legend(page));
  if (several) byId("growth-legend").append(...legend(page).slice(0, page.searches.length));
  byId("front-caption").append(
    ...page.searches.map((search) =>
      make(
        "span",
        {},
        several ? `${search.name}: ` : "",
        (search.luck.length ? search.luck : [FLATTERED]).join(" "),
        " ",
      ),
    ),
  );
  forEach(byId("choices"), page, (search) =>
    search.choices.length
      ? [choicesTable(page, search.choices)]
      : ["There was no choice, or no round yet."],
  );
  forEach(byId("facts"), page, (search) => [
    pairs("facts", search.facts),
    make("h3", {}, "The same search again"),
    make("pre", {}, search.command),
    make("h3", {}, "All settings"),
    pairs("settings", search.settings),
  ]);
  const container = byId("front");
  let selected = page.rows.length ? suggestion(page) : null;
  const table = buildTable(byId("table"), page, choose);
  const shown = () => ({
    all: byId("show-all").checked,
    tree: byId("show-tree").checked,
    test: byId("show-test").checked,
    spread: byId("spread").checked,
  });
  const draw = () => drawNetworks(container, page, shown(), selected, choose);

  function choose(row, { focus = false } = {}) {
    selected = row;
    table.mark(row);
    showNetwork(byId("selected"), page, row);
    draw();
    if (focus) container.querySelector("svg").focus();
  }

  function drawAll() {
    draw();
    if (page.rows.some((row) => row.hypervolume === null) || !page.rows.length) {
      byId("growth-section").hidden = true;
      return;
    }
    const last = Math.max(...page.rows.map((row) => row.passed));
    const [unit, size] =
      last > 7200 ? ["hours", 3600] : last > 120 ? ["minutes", 60] : ["seconds", 1];
    drawGrowth(byId("growth-epochs"), page, (row) => row.executed_epochs, "epochs executed");
    drawGrowth(byId("growth-seconds"), page, (row) => row.passed / size, `workers’ ${unit}`);
  }

  if (selected) choose(selected);
  else byId("selected").hidden = true;
  drawAll();
  for (const id of ["show-all", "show-tree", "show-test", "spread"])
    byId(id).addEventListener("change", draw);
  for (const id of ["rows-front", "rows-all"])
    byId(id).addEventListener("change", () => table.showAll(byId("rows-all").checked));
  new ResizeObserver(drawAll).observe(container);
  for (const [event, width] of [
    ["beforeprint", "45rem"],
    ["afterprint", ""],
  ]) {
    addEventListener(event, () => {
      document.body.style.width = width;
      drawAll();
    });
  }
}

start();
