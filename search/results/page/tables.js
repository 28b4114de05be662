// The table of networks, the one that is selected, and copying from them.

const COSTS = [
  { name: "params", title: "parameters", show: count },
  { name: "macs", title: "multiply-adds", show: count },
  { name: "size_bytes", title: "bytes", show: count },
  { name: "latency_ms", title: "latency, ms", show: count },
];
const RESULTS = [
  { name: "val_accuracy", title: "validation", show: accuracy },
  { name: "test_accuracy", title: "test", show: accuracy },
  { name: "repeats_val_mean", title: "repeats", show: accuracy },
  { name: "round", title: "rounds", show: count },
  { name: "spent", title: "epochs", show: count },
  { name: "schedule", title: "schedule: rate/epochs/lr", text: true },
  { name: "seconds", title: "seconds", show: (seconds) => seconds.toFixed(1) },
  { name: "executed_epochs", title: "made at epoch", show: count },
];

/** Columns that hold lists, and what of a round is in them. */
const LISTS = {
  rates: "rate",
  epochs: "epochs",
  lrs: "lr",
  allocations: "allocation",
  starts: "start",
};

const roundText = (round) =>
  [
    round.rate,
    round.epochs,
    round.lr,
    ...(round.allocation === "uniform" ? [] : [round.allocation]),
    ...(round.start === "inherit" ? [] : [round.start]),
  ].join("/");
const scheduleText = (row) => row.rounds.map(roundText).join(" ") || "the root";

/** A schedule as JSON, as the columns of the tables have it. */
function scheduleCopy(row) {
  const lists = Object.entries(LISTS).map(([name, part]) => [
    name,
    row.rounds.map((round) => round[part]),
  ]);
  return JSON.stringify(Object.fromEntries(lists));
}

const python = (text) => JSON.stringify(text);
const loading = (page, row) =>
  "from search.loading import load_network\n" +
  `net = load_network(${python(page.searches[row.search].folder)}, "${row.stage}")`;

/** Puts text into the clipboard or, where that is not allowed, selects it for copying. */
async function copy(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
  } catch {
    const field = make("textarea", { readonly: true, "aria-label": "Text to copy" });
    field.value = text;
    button.after(field);
    field.select();
    const done = document.execCommand("copy");
    button.textContent = done ? "copied" : "press Ctrl+C";
    if (done) field.remove();
    else field.addEventListener("blur", () => field.remove());
  }
  setTimeout(() => {
    button.textContent = label;
  }, 1500);
}

const copyButton = (label, text) =>
  make(
    "button",
    { type: "button", class: "copy", onclick: (event) => copy(text(), event.currentTarget) },
    label,
  );

/** Builds the table once; returns what sorts it, shows its rows and marks one. */
function buildTable(container, page, choose) {
  const several = page.searches.length > 1;
  const columns = [
    ...(several ? [{ name: "search", title: "search", text: true }] : []),
    { name: "stage", title: "stage", text: true },
    ...COSTS.filter((column) => column.name === page.cost),
    ...[...RESULTS, ...COSTS.filter((column) => column.name !== page.cost)].filter((column) =>
      page.rows.some((row) => row[column.name] !== null),
    ),
  ];
  const cell = (row, column) => {
    if (column.name === "stage") {
      return make(
        "td",
        { class: "text" },
        make(
          "button",
          { type: "button", class: "id mono", title: row.stage, onclick: () => choose(row) },
          row.stage.slice(0, 8),
        ),
      );
    }
    if (column.name === "schedule") {
      return make(
        "td",
        { class: "text schedule mono" },
        copyButton("copy", () => scheduleCopy(row)),
        " ",
        row.schedule,
      );
    }
    if (column.name === "search")
      return make("td", { class: "text" }, page.searches[row.search].name);
    const value = row[column.name];
    return make("td", {}, value === null ? "–" : column.show(value));
  };
  const lines = new Map(
    page.rows.map((row) => [
      row,
      make("tr", { "data-stage": row.stage }, ...columns.map((column) => cell(row, column))),
    ]),
  );
  const heads = columns.map((column) =>
    make(
      "th",
      { scope: "col", class: column.text ? "text" : null, "aria-sort": "none" },
      make("button", { type: "button", onclick: () => sort(column) }, column.title),
    ),
  );
  const body = make("tbody");
  let [by, downwards, all] = [columns.find((column) => column.name === page.cost), false, false];

  function fill() {
    const rows = page.rows.filter((row) => all || row.on_front);
    const less = (one, other) => {
      const [a, b] = [one[by.name], other[by.name]];
      if (a === null || b === null) return (a === null) - (b === null);
      return (a < b ? -1 : a > b ? 1 : 0) * (downwards ? -1 : 1);
    };
    body.replaceChildren(...rows.sort(less).map((row) => lines.get(row)));
    heads.forEach((head, place) => {
      const order = downwards ? "descending" : "ascending";
      head.setAttribute("aria-sort", columns[place] === by ? order : "none");
    });
  }

  function sort(column) {
    downwards = column === by ? !downwards : false;
    by = column;
    fill();
  }

  container.replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...heads)), body));
  fill();
  return {
    showAll(value) {
      all = value;
      fill();
    },
    mark(chosen) {
      lines.forEach((line, row) => line.classList.toggle("chosen", row === chosen));
    },
  };
}

/** A table that does not sort; `texts` are the places of the columns that hold text. */
function plainTable(heads, texts, rows) {
  const cells = heads.map((head, place) =>
    make("th", { scope: "col", class: texts.includes(place) ? "text" : null }, head),
  );
  return make(
    "div",
    { class: "wide" },
    make("table", {}, make("thead", {}, make("tr", {}, ...cells)), make("tbody", {}, ...rows)),
  );
}

/** What is known of one network: the rounds that made it, and how to load it. */
function showNetwork(container, page, row) {
  const line = ancestry(page, row);
  const rounds = line.map((stage) =>
    make(
      "tr",
      {},
      make("td", { class: "text" }, stage.rounds.length ? String(stage.rounds.length) : "root"),
      make(
        "td",
        { class: "text mono" },
        stage.rounds.length ? roundText(stage.rounds.at(-1)) : "",
      ),
      make("td", {}, count(stage.cost)),
      make("td", {}, accuracy(stage.val_accuracy)),
      make("td", {}, accuracy(stage.test_accuracy)),
    ),
  );
  const heads = ["round", "rate/epochs/lr", page.unit, "validation", "test"];
  container.replaceChildren(
    make(
      "h3",
      {},
      "Network ",
      make("code", {}, row.stage),
      `: ${accuracy(row.val_accuracy)} with ${count(row.cost)} ${page.unit}`,
    ),
    plainTable(heads, [0, 1], rounds),
    make("pre", {}, loading(page, row)),
    copyButton("copy these lines", () => loading(page, row)),
    " ",
    copyButton("copy the schedule", () => scheduleCopy(row)),
  );
}
