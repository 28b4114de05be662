// Elements, numbers, axes: what every chart is made of.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; strings become text nodes, never markup. */
function make(tag, attributes = {}, ...children) {
  const [name, space] = tag.startsWith("svg:") ? [tag.slice(4), SVG] : [tag, null];
  const element = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false)
      element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

const byId = (id) => document.getElementById(id);
const count = (number) => number.toLocaleString("en-US");
const accuracy = (number) => (number === null ? "–" : number.toFixed(4));
const signed = (number) => (number < 0 ? "−" : "+") + Math.abs(number).toFixed(4);

function short(number) {
  for (const [size, unit] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    if (number >= size) return `${+(number / size).toPrecision(3)} ${unit}`;
  }
  return String(+number.toPrecision(3));
}

const extent = (values) => [Math.min(...values), Math.max(...values)];

/** A scale is `to(value)`, a place in pixels, with `ticks` as [value, label]. */
function linear([low, high], [from, to], ticks) {
  const place = (value) => from + ((value - low) / (high - low || 1)) * (to - from);
  return { to: place, ticks };
}

/** Round values that divide a range into about so many steps. */
function steps(low, high, about) {
  const raw = (high - low || 1) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= raw);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + 1e-9 * step; at += 1) {
    found.push(+(at * step).toPrecision(12));
  }
  return found;
}

function logarithmic([low, high], [from, to]) {
  const place = linear([Math.log(low), Math.log(high)], [from, to]).to;
  const decade = (Math.abs(to - from) * Math.LN10) / (Math.log(high / low) || 1);
  const digits = decade > 220 ? [1, 2, 5] : decade > 110 ? [1, 3] : [1];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power += 1) {
    for (const digit of digits) {
      const value = digit * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001) ticks.push([value, short(value)]);
    }
  }
  const even = steps(low, high, 5).map((value) => [value, short(value)]); // of a short range
  return { to: (value) => place(Math.log(value)), ticks: ticks.length > 2 ? ticks : even };
}

const LEVELS = [0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995];

/** Accuracies by the logarithm of errors, so that .98 and .99 are as far apart as .8 and .9. */
function byError([low, high], least, [from, to]) {
  const error = (value) => -Math.log(Math.max(1 - value, least));
  const place = linear([error(low), error(high)], [from, to]).to;
  const ticks = [];
  for (const level of LEVELS.filter(
    (level) => level >= low && level <= high && 1 - level >= least,
  )) {
    const last = ticks.at(-1);
    if (!last || Math.abs(place(error(level)) - place(error(last[0]))) > 18)
      ticks.push([level, String(level)]);
  }
  return { to: (value) => place(error(value)), ticks };
}

/** An empty chart of a container's width: an SVG with axes and their names. */
function frame(container, height, margin, x, y, names) {
  const width = Math.max(container.clientWidth, 280);
  const inner = {
    left: margin.left,
    right: width - margin.right,
    top: margin.top,
    bottom: height - margin.bottom,
  };
  const scales = { x: x([inner.left, inner.right]), y: y([inner.bottom, inner.top]) };
  const svg = make("svg:svg", {
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": names.title,
  });
  let grid = "";
  for (const [value, label] of scales.x.ticks) {
    const at = scales.x.to(value);
    grid += `M${at} ${inner.top}V${inner.bottom}`;
    svg.append(make("svg:text", { x: at, y: inner.bottom + 17, "text-anchor": "middle" }, label));
  }
  for (const [value, label] of scales.y.ticks) {
    const at = scales.y.to(value);
    grid += `M${inner.left} ${at}H${inner.right}`;
    svg.append(make("svg:text", { x: inner.left - 7, y: at + 4, "text-anchor": "end" }, label));
  }
  svg.prepend(make("svg:path", { d: grid, class: "grid" }));
  svg.append(
    make(
      "svg:text",
      { x: inner.right, y: height - 4, "text-anchor": "end", class: "name" },
      names.x,
    ),
    make("svg:text", { x: 2, y: 12, class: "name" }, names.y),
  );
  return { svg, width, ...scales };
}

/** A mark by the number of its search: shapes differ, for who does not see colours. */
function shape(series, x, y, size) {
  const s = size;
  const corners = [
    null,
    [
      [-s, -s],
      [s, -s],
      [s, s],
      [-s, s],
    ],
    [
      [0, -1.3 * s],
      [1.2 * s, s],
      [-1.2 * s, s],
    ],
    [
      [0, -1.4 * s],
      [1.4 * s, 0],
      [0, 1.4 * s],
      [-1.4 * s, 0],
    ],
  ][series % 4];
  if (!corners) return `M${x - s} ${y}a${s} ${s} 0 1 0 ${2 * s} 0a${s} ${s} 0 1 0 ${-2 * s} 0z`;
  const at = ([dx, dy]) => `${(x + dx).toFixed(1)} ${(y + dy).toFixed(1)}`;
  return `M${corners.map(at).join("L")}z`;
}

/** Tells which point is nearest to the mouse, within reach; null when none is. */
function follow(chart, points, tell, choose = () => {}) {
  const nearest = (event) => {
    const box = chart.svg.getBoundingClientRect();
    const scale = chart.width / box.width;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    let found = null;
    let reach = 28 ** 2;
    for (const point of points) {
      const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
      if (distance < reach) [found, reach] = [point, distance];
    }
    return found;
  };
  chart.svg.addEventListener("pointermove", (event) => tell(nearest(event)));
  chart.svg.addEventListener("pointerleave", () => tell(null));
  chart.svg.addEventListener("click", (event) => choose(nearest(event)));
}

/** Shows lines beside a point of a chart, or none. */
function tip(container, chart, point, lines) {
  container.querySelector(".tip")?.remove();
  if (!point) return;
  const box = make("div", { class: "tip" }, ...lines.map((line) => make("div", {}, line)));
  container.append(box);
  const scale = container.clientWidth / chart.width;
  const left = point.x * scale + (point.x > chart.width / 2 ? -box.offsetWidth - 12 : 12);
  box.style.left = `${Math.max(0, Math.min(left, container.clientWidth - box.offsetWidth))}px`;
  box.style.top = `${Math.max(0, point.y * scale - box.offsetHeight - 8)}px`;
}
