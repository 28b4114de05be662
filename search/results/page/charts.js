// The networks and their tree; hypervolume as the search went on.

/** The chart of all networks. `shown`: what is to be seen; `selected`: whose path stands out. */
function drawNetworks(container, page, shown, selected, choose) {
  const rows = page.rows.filter((row) => row.cost !== null && (shown.all || row.on_front));
  if (!rows.length) return;
  const accuracies = rows.flatMap((row) =>
    shown.test && row.on_front && row.test_accuracy !== null
      ? [row.val_accuracy, row.test_accuracy]
      : [row.val_accuracy],
  );
  const [low, high] = extent(accuracies);
  const errors = accuracies.map((value) => 1 - value).filter((error) => error > 0);
  const least = errors.length ? Math.min(...errors) / 2 : 0.5;
  const height = container.clientWidth < 560 ? 340 : 460;
  const costs = extent(rows.map((row) => row.cost));
  const y = shown.spread
    ? (range) => byError([Math.max(0, low - 0.02), 1 - (1 - high || least) * 0.8], least, range)
    : (range) => {
        const bottom = Math.max(0, low - 0.03);
        return linear(
          [bottom, 1],
          range,
          steps(bottom, 1, 8).map((at) => [at, String(at)]),
        );
      };
  const chart = frame(
    container,
    height,
    { left: 52, right: 14, top: 24, bottom: 42 },
    (range) => logarithmic([costs[0] / 1.1, costs[1] * 1.1], range),
    y,
    {
      x: page.unit,
      y: "accuracy",
      title: `Accuracy over ${page.unit} of ${rows.length} networks; arrows go along the front`,
    },
  );
  const place = (row) => ({ x: chart.x.to(row.cost), y: chart.y.to(row.val_accuracy), row });
  if (shown.tree) chart.svg.append(...tree(page, rows, place));
  page.searches.forEach((_, search) => {
    const mine = rows.filter((row) => row.search === search);
    chart.svg.append(series(mine, search, chart, shown));
  });
  const trace = make("svg:path", { class: "path" });
  const ring = make("svg:path", { class: "ring" });
  chart.svg.append(trace, ring);
  const highlight = (row) => {
    const line = row ? ancestry(page, row).map(place) : [];
    trace.setAttribute(
      "d",
      line.length ? `M${line.map((at) => `${at.x} ${at.y}`).join("L")}` : "",
    );
    ring.setAttribute("d", line.length ? shape(0, line.at(-1).x, line.at(-1).y, 7) : "");
  };
  const tell = (point) => {
    highlight(point ? point.row : selected);
    tip(container, chart, point, point ? describe(page, point.row) : []);
  };
  const points = rows.map(place);
  follow(chart, points, tell, (point) => point && choose(point.row));
  walk(chart.svg, points, selected, choose);
  container.replaceChildren(chart.svg);
  highlight(selected);
}

/** All edges, the fainter the more there are, and over them those that lead to the front. */
function tree(page, rows, place) {
  const there = new Set(rows);
  const leading = new Set(
    rows.filter((row) => row.on_front).flatMap((row) => ancestry(page, row)),
  );
  const edge = (row) => {
    const [from, to] = [place(page.rows[row.parent]), place(row)];
    return `M${from.x.toFixed(1)} ${from.y.toFixed(1)}L${to.x.toFixed(1)} ${to.y.toFixed(1)}`;
  };
  const children = rows.filter((row) => row.parent !== null && there.has(page.rows[row.parent]));
  const draw = (some, opacity) =>
    make("svg:path", { class: "edges", "stroke-opacity": opacity, d: some.map(edge).join("") });
  return [
    draw(children, Math.min(0.3, 2.5 / Math.sqrt(children.length + 1))),
    draw(
      children.filter((row) => leading.has(row)),
      0.5,
    ),
  ];
}

/** The marks of one search: its candidates, its front, and this on test images. */
function series(rows, search, chart, shown) {
  const group = make("svg:g", { class: `series-${search % 6}` });
  const x = (row) => chart.x.to(row.cost);
  const y = (value) => chart.y.to(value);
  const members = rows.filter((row) => row.on_front).sort((one, other) => one.cost - other.cost);
  for (const row of rows) {
    if (!row.on_front)
      group.append(
        make("svg:path", {
          class: "mark candidate",
          d: shape(search, x(row), y(row.val_accuracy), 3),
        }),
      );
  }
  if (members.length) {
    const stairs = members.map((row, place) =>
      place ? `H${x(row)}V${y(row.val_accuracy)}` : `M${x(row)} ${y(row.val_accuracy)}`,
    );
    group.append(make("svg:path", { class: "stairs", d: stairs.join("") }));
  }
  for (const row of members) {
    const tested = shown.test && row.test_accuracy !== null;
    if (tested) {
      group.append(
        make("svg:path", {
          class: "gap",
          d: `M${x(row)} ${y(row.val_accuracy)}V${y(row.test_accuracy)}`,
        }),
        make("svg:path", { class: "test", d: shape(search, x(row), y(row.test_accuracy), 3.5) }),
      );
    }
    group.append(
      make("svg:path", { class: "mark member", d: shape(search, x(row), y(row.val_accuracy), 5) }),
    );
  }
  return group;
}

/** Left and right go through the networks by their cost. */
function walk(svg, points, selected, choose) {
  svg.setAttribute("tabindex", "0");
  svg.setAttribute("role", "application");
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const order = points
      .map((point) => point.row)
      .filter((row) => row.on_front)
      .sort((a, b) => a.cost - b.cost);
    const next = order[Math.max(0, Math.min(order.length - 1, order.indexOf(selected) + step))];
    if (next) choose(next, { focus: true });
  });
}

function describe(page, row) {
  const lines = [
    `${accuracy(row.val_accuracy)} validation` +
      (row.test_accuracy === null ? "" : `, ${accuracy(row.test_accuracy)} test`),
    `${count(row.cost)} ${page.unit}`,
    row.schedule,
    row.stage,
  ];
  if (page.searches.length > 1) lines.unshift(page.searches[row.search].name);
  return lines;
}

/** Hypervolume over what was spent: `spent(row)` adds up to it, in the order of the rows. */
function drawGrowth(container, page, spent, name) {
  const lines = page.searches
    .map((search, number) => ({
      search,
      number,
      rows: page.rows.filter((row) => row.search === number),
    }))
    .filter((line) => line.rows.length);
  const values = page.rows.map((row) => row.hypervolume);
  const most = Math.max(...page.rows.map(spent), 1e-9);
  const [low, high] = extent(values);
  const bottom = Math.max(0, low - 0.1 * (high - low || 0.1));
  const top = high + 0.1 * (high - low || 0.1);
  const chart = frame(
    container,
    240,
    { left: 46, right: 14, top: 24, bottom: 42 },
    (range) =>
      linear(
        [0, most],
        range,
        steps(0, most, container.clientWidth / 90).map((at) => [at, count(at)]),
      ),
    (range) =>
      linear(
        [bottom, top],
        range,
        steps(bottom, top, 6).map((at) => [at, String(at)]),
      ),
    { x: name, y: "hypervolume", title: `Hypervolume over ${name}` },
  );
  const points = [];
  for (const { search, number, rows } of lines) {
    const at = rows.map((row) => ({
      x: chart.x.to(spent(row)),
      y: chart.y.to(row.hypervolume),
      row,
      search,
    }));
    points.push(...at);
    const d = at
      .map((point, place) => (place ? `H${point.x}V${point.y}` : `M${point.x} ${point.y}`))
      .join("");
    const last = at.at(-1);
    const label = lines.length > 1 ? "" : accuracy(last.row.hypervolume);
    chart.svg.append(
      make(
        "svg:g",
        { class: `series-${number % 6}` },
        make("svg:path", { class: "stairs", d }),
        make("svg:path", { class: "member", d: shape(number, last.x, last.y, 4) }),
        make("svg:text", { x: last.x, y: last.y - 8, "text-anchor": "end", class: "name" }, label),
      ),
    );
  }
  follow(chart, points, (point) =>
    tip(
      container,
      chart,
      point,
      point
        ? [
            ...(lines.length > 1 ? [point.search.name] : []),
            `hypervolume ${accuracy(point.row.hypervolume)}`,
            `${count(+spent(point.row).toPrecision(4))} ${name}`,
          ]
        : [],
    ),
  );
  container.replaceChildren(chart.svg);
}
