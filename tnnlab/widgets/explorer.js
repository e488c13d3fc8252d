// Front end of tnnlab.widgets.Explorer: native controls, panels drawn as SVG, no dependencies.
// It only needs a model with get, set, save_changes, on and off; `model.hasKernel === false`
// says that nobody will compute, so that sliders keep to the drawings made beforehand.

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const CODE = new Map([...ALPHABET].map((letter, code) => [letter, code]));
const STEPS = 4094, GAP = 4095, BETWEEN = 8;
// Marks of points, around 0: square, triangles, diamond, plus, cross. The first is a disc.
const PLUS = "M-.45,-1.3H.45V-.45H1.3V.45H.45V1.3H-.45V.45H-1.3V-.45H-.45Z";
const MARKS = [null, "M-1,-1H1V1H-1Z", "M0,-1.3L1.2,1H-1.2Z", "M0,-1.4L1.2,0L0,1.4L-1.2,0Z", "M0,1.3L1.2,-1H-1.2Z", PLUS, PLUS];
let created = 0;
// ---- small tools --------------------------------------------------------------------------

function assign(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

function make(name, attributes = {}, ...children) {
  const node = assign(document.createElement(name), attributes);
  node.append(...children);
  return node;
}

function draw(parent, name, attributes = {}, text) {
  const node = assign(document.createElementNS("http://www.w3.org/2000/svg", name), attributes);
  if (text !== undefined) node.textContent = text;
  return parent.appendChild(node);
}

function show(value, digits = 3) {
  if (typeof value === "string") return value;
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  let text;
  if (size !== 0 && (size >= 1e5 || size < 1e-3)) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    text = `${Number(mantissa)}·10${raised(Number(exponent))}`.replace(/^(-?)1·/, "$1");
  } else {
    text = String(Number(value.toPrecision(Math.max(digits, Math.ceil(Math.log10(size + 1))))));
  }
  return text.replace("-", "−");
}

const nearest = (list, to) => list.reduce((best, v, i) => (Math.abs(v - to) < Math.abs(list[best] - to) ? i : best), 0);
const raised = (n) => String(n).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);

function unpack([low, high, text], log) {
  return Float64Array.from({ length: text.length / 2 }, (_, i) => {
    const code = CODE.get(text[2 * i]) * 64 + CODE.get(text[2 * i + 1]);
    if (code === GAP) return NaN;
    const value = low + ((high - low) * code) / STEPS;
    return log ? 10 ** value : value;
  });
}

function readCurve(curve, panel) {
  const y = unpack(curve.y, panel.y_scale === "log");
  const [start, step] = curve.x;
  const x = curve.x.length === 2
    ? Float64Array.from(y, (_, i) => start + step * i)
    : unpack(curve.x, panel.x_scale === "log");
  return { x, y, label: curve.label ?? "", style: curve.style ?? "line", own: curve.look };
}

// ---- scales and ticks ---------------------------------------------------------------------

function linearTicks(low, high, wanted) {
  const rough = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function logTicks(low, high, wanted) {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  if (last - first < 1) return linearTicks(low, high, wanted).filter((t) => t > 0);
  const every = Math.ceil((last - first + 1) / wanted);
  const ticks = [];
  for (let e = first; e <= last; e += every) ticks.push(10 ** e);
  return ticks;
}

function makeScale(low, high, log, from, to, wanted) {
  const f = log ? Math.log10 : (v) => v, a = f(low), b = f(high);
  const place = (value) => from + ((f(value) - a) / (b - a)) * (to - from);
  const ticks = (log ? logTicks : linearTicks)(low, high, wanted);
  return { place, ticks };
}

function extent(values, log, margin) {
  let low = Infinity, high = -Infinity;
  for (const v of values) if (Number.isFinite(v)) { low = Math.min(low, v); high = Math.max(high, v); }
  if (low > high) return log ? [0.1, 1] : [0, 1];
  if (log) return low === high ? [low / 2, high * 2] : [low / (high / low) ** margin, high * (high / low) ** margin];
  const room = (high - low) * margin || (margin && (Math.abs(low) * 0.1 || 1));
  return [low - room, high + room];
}

// ---- one panel ----------------------------------------------------------------------------

function summary(panel, curves) {
  if (panel.note) return panel.note;
  return curves.filter((c) => c.style !== "dashed").map((c) => {
    const [low, high] = extent(c.y, false, 0);
    return `${c.label || "values"} between ${show(low)} and ${show(high)}`;
  }).join("; ");
}

function drawPanel(panel, box, width) {
  const curves = (panel.curves ?? []).map((curve) => readCurve(curve, panel));
  let series = 0;
  for (const curve of curves) {
    curve.look = curve.style === "dashed" ? "aid" : `c${(curve.own ?? series++) % 4}`;
    curve.mark = (curve.own ?? 0) % MARKS.length;
  }
  const text = panel.image ? panel.note ?? "" : summary(panel, curves);
  const legend = make("ul", { class: "tnn-legend" });
  box.replaceChildren(make("div", { class: "tnn-panel-title" }, panel.title));
  const svg = draw(box, "svg", { role: "img", "aria-label": [panel.title, text].filter(Boolean).join(": ") });
  box.append(legend);
  if (panel.note) box.append(make("p", { class: "tnn-note" }, panel.note));
  if (panel.image) drawImage(panel, svg, legend, width);
  else drawCurves(panel, curves, svg, legend, width);
  return `${panel.title}: ${text}`;
}

function drawCurves(panel, curves, svg, legend, width) {
  const height = Math.round(Math.min(260, Math.max(170, width * 0.6)));
  const xLog = panel.x_scale === "log", yLog = panel.y_scale === "log";
  const stems = curves.some((c) => c.style === "stems");
  const [x0, x1] = panel.x_range ?? extent(curves.flatMap((c) => [...c.x]), xLog, curves[0].x.length > 1 ? (stems ? 0.02 : 0) : 0.1);
  const heights = curves.flatMap((c) => [...c.y]).concat(stems && !yLog ? [0] : []);
  const [y0, y1] = panel.y_range ?? extent(heights, yLog, 0.06);
  const bottom = height - (panel.x_label ? 40 : 22), top = 8;
  const y = makeScale(y0, y1, yLog, bottom, top, height / 45);
  const widest = Math.max(...y.ticks.map((t) => show(t).length), 1);
  const left = (panel.y_label ? 20 : 4) + 7 * widest + 6, right = width - 10;
  const x = makeScale(x0, x1, xLog, left, right, width / 80);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);

  const axes = draw(svg, "g", { class: "tnn-axes" });
  for (const t of y.ticks) {
    draw(axes, "line", { class: t === 0 ? "tnn-zero" : "tnn-grid", x1: left, x2: right, y1: y.place(t), y2: y.place(t) });
    draw(axes, "text", { x: left - 6, y: y.place(t) + 4, "text-anchor": "end" }, show(t));
  }
  for (const t of x.ticks) {
    draw(axes, "line", { class: "tnn-tick", x1: x.place(t), x2: x.place(t), y1: bottom, y2: bottom + 4 });
    draw(axes, "text", { x: x.place(t), y: bottom + 16, "text-anchor": "middle" }, show(t));
  }
  draw(axes, "path", { class: "tnn-frame", d: `M${left},${top}V${bottom}H${right}` });
  nameAxes(axes, panel, left, right, top, bottom, height);

  const clip = `tnn-clip-${++created}`;
  draw(draw(svg, "clipPath", { id: clip }), "rect", { x: left - 4, y: top - 4, width: right - left + 8, height: bottom - top + 8 });
  const plot = draw(svg, "g", { "clip-path": `url(#${clip})` });
  for (const curve of curves) drawCurve(plot, curve, x.place, y.place, y.place(yLog ? y0 : Math.max(y0, 0)));
  const named = curves.filter((c) => c.label).map((curve) => ({ curve, value: addToLegend(legend, curve) }));
  followPointer(svg, curves, named, x.place, y.place, { left, right, top, bottom, width });
}

function nameAxes(axes, panel, left, right, top, bottom, height) {
  const middle = (top + bottom) / 2;
  if (panel.x_label) draw(axes, "text", { x: (left + right) / 2, y: height - 5, "text-anchor": "middle" }, panel.x_label);
  if (panel.y_label) draw(axes, "text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, panel.y_label);
}

function drawMark(parent, { look, mark, own }, x, y) {
  const size = own === undefined ? 2.5 : 4, place = `translate(${x} ${y})`, turn = mark === 6 ? " rotate(45)" : "";
  if (!mark) return draw(parent, "circle", { class: `tnn-dot tnn-${look}`, cx: x, cy: y, r: size });
  return draw(parent, "path", { class: `tnn-dot tnn-${look}`, d: MARKS[mark], transform: `${place}${turn} scale(${size})` });
}

function drawCurve(plot, curve, px, py, base) {
  const { x, y, style, look } = curve;
  const path = [];
  let open = false;
  for (let i = 0; i < x.length; i++) {
    if (!Number.isFinite(y[i])) { open = false; continue; }
    const at = `${px(x[i]).toFixed(1)},${py(y[i]).toFixed(1)}`;
    if (style === "stems") path.push(`M${px(x[i]).toFixed(1)},${base.toFixed(1)}V${py(y[i]).toFixed(1)}`);
    else if (style !== "points") path.push(`${open ? "L" : "M"}${at}`);
    if (style === "points" || (style === "stems" && x.length <= 80)) {
      drawMark(plot, curve, ...at.split(","));
    }
    open = true;
  }
  if (path.length) draw(plot, "path", { class: `tnn-curve tnn-${look} tnn-${style}`, d: path.join("") });
}

function addToLegend(legend, curve) {
  const { label, style, look } = curve;
  const item = make("li");
  const sample = draw(item, "svg", { viewBox: "0 0 26 10", width: 26, height: 10, "aria-hidden": "true" });
  if (style === "points") drawMark(sample, curve, 13, 5);
  else draw(sample, "path", { class: `tnn-curve tnn-${look} tnn-${style === "stems" ? "line" : style}`, d: "M1,5H25" });
  const value = make("span", { class: "tnn-value" });
  item.append(label, value);
  legend.append(item);
  return value;
}

function followPointer(svg, curves, named, px, py, { left, right, top, bottom, width }) {
  const guide = draw(svg, "g", { class: "tnn-guide", visibility: "hidden" });
  const line = draw(guide, "line", { y1: top, y2: bottom });
  const where = draw(guide, "text", { y: top + 8 });
  const xs = curves.flatMap((c) => [...c.x]);
  svg.addEventListener("pointerleave", () => {
    guide.setAttribute("visibility", "hidden");
    for (const { value } of named) value.textContent = "";
  });
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * width;
    const x = xs[nearest(xs.map(px), at)], place = px(x), flip = place > (left + right) / 2;
    guide.setAttribute("visibility", "visible");
    assign(line, { x1: place, x2: place });
    assign(where, { x: place + (flip ? -5 : 5), "text-anchor": flip ? "end" : "start" });
    where.textContent = show(x, 4);
    for (const { curve, value } of named) value.textContent = ` ${show(curve.y[nearest(curve.x.map(px), at)])}`;
  });
}

function drawImage(panel, svg, legend, width) {
  const [rows, columns, colormap, ...packed] = panel.image;
  const values = unpack(packed), style = getComputedStyle(svg);
  const left = panel.y_label ? 22 : 2, top = 2, below = panel.x_label ? 22 : 4;
  const cell = Math.min((width - left - 4) / columns, 300 / rows);
  const right = left + cell * columns, bottom = top + cell * rows;
  const most = Math.max(...Array.from(values, (v) => (Number.isFinite(v) ? Math.abs(v) : 0))) || 1;
  const canvas = make("canvas", { width: columns, height: rows }), context = canvas.getContext("2d");
  const [plus, minus] = ["--tnn-c0", "--tnn-c1"].map((name) => style.getPropertyValue(name).trim());
  values.forEach((v, i) => {
    if (!Number.isFinite(v)) return;
    context.globalAlpha = Math.abs(v) / most;
    context.fillStyle = v < 0 ? minus : plus;
    context.fillRect(i % columns, Math.floor(i / columns), 1, 1);
  });
  const offset = Math.max(0, (width - right - 4) / 2);
  svg.setAttribute("viewBox", `${-offset} 0 ${width} ${bottom + below}`);
  draw(svg, "image", { x: left, y: top, width: right - left, height: bottom - top, href: canvas.toDataURL(), preserveAspectRatio: "none", class: "tnn-pixels" });
  draw(svg, "rect", { class: "tnn-frame", x: left, y: top, width: right - left, height: bottom - top });
  nameAxes(draw(svg, "g", { class: "tnn-axes" }), panel, left, right, top, bottom, bottom + below);
  const bar = make("span", { class: `tnn-bar tnn-${colormap}`, "aria-hidden": "true" });
  legend.append(make("li", {}, show(colormap === "diverging" ? -most : 0), bar, show(most)));
}

// ---- controls -----------------------------------------------------------------------------

function stopsOf(control, live) {
  if (!live || !control.continuous) return control.values;
  const stops = new Set();
  control.values.forEach((value, i) => {
    const next = control.values[i + 1] ?? value;
    for (let k = 0; k < BETWEEN; k++) {
      const between = value + ((next - value) * k) / BETWEEN;
      stops.add(k === 0 ? value : control.whole ? Math.round(between) : Number(between.toPrecision(6)));
    }
  });
  return [...stops].sort((a, b) => a - b);
}

function makeControl(control, live, changed, signal) {
  const id = `tnn-control-${++created}`;
  const label = make("label", { for: id }, control.label);
  if (control.kind === "choice") {
    const select = make("select", { id }, ...control.values.map((v) => make("option", { value: v }, v)));
    select.addEventListener("change", () => changed(select.value), { signal });
    return { box: make("div", { class: "tnn-control" }, label, select), set: (value) => { select.value = value; } };
  }
  const stops = stopsOf(control, live);
  const slider = make("input", { id, type: "range", min: 0, max: stops.length - 1, step: 1 });
  const output = make("output", { for: id });
  const say = (value) => {
    output.textContent = show(value, 6);
    slider.setAttribute("aria-valuetext", show(value, 6));
  };
  slider.addEventListener("input", () => {
    const value = stops[Number(slider.value)];
    say(value);
    changed(value);
  }, { signal });
  const set = (value) => { slider.value = nearest(stops, value); say(value); };
  return { box: make("div", { class: "tnn-control" }, label, output, slider), set };
}

// ---- the widget ---------------------------------------------------------------------------

function render({ model, el }) {
  const abort = new AbortController(), signal = abort.signal;
  const controls = model.get("controls"), live = model.hasKernel !== false;
  let panels = [], boxes = [], spoken = 0;

  const heading = make("div", { class: "tnn-title", id: `tnn-title-${++created}` }, model.get("title"));
  const root = make("div", { class: "tnn-explorer", role: "group", "aria-labelledby": heading.id }, heading);
  if (model.get("description")) root.append(make("p", { class: "tnn-description" }, model.get("description")));
  const panelBox = make("div", { class: "tnn-panels" });
  const status = make("p", { class: "tnn-status", role: "status" });

  const changed = (name) => (value) => {
    model.set("values", { ...model.get("values"), [name]: value });
    model.save_changes();
    update();
  };
  const inputs = controls.map((control) => makeControl(control, live, changed(control.name), signal));
  root.append(make("div", { class: "tnn-controls" }, ...inputs.map((input) => input.box)), panelBox, status);
  el.append(root);

  function currentPanels() {
    const values = model.get("values"), frame = model.get("frame");
    if (controls.every(({ name }) => frame.values?.[name] === values[name])) return frame.panels;
    return model.get("frames")[controls.map((c) => c.values.indexOf(values[c.name])).join(",")];
  }

  function paint() {
    if (boxes.length !== panels.length) {
      boxes = panels.map(() => make("div", { class: "tnn-panel" }));
      panelBox.replaceChildren(...boxes);
      panelBox.classList.toggle("tnn-many", boxes.length > 2 && boxes.length !== 4); // four: two and two
    }
    return panels.map((panel, i) => drawPanel(panel, boxes[i], Math.max(220, boxes[i].clientWidth || 320))).join(" ");
  }

  function update(speak = true) {
    const found = currentPanels();
    root.classList.toggle("tnn-waiting", !found);
    if (!found) return;
    panels = found;
    const text = paint();
    clearTimeout(spoken);
    if (speak) spoken = setTimeout(() => { status.textContent = text; }, 500);
  }

  const placeControls = () => controls.forEach(({ name }, i) => inputs[i].set(model.get("values")[name]));
  const onFrame = () => update();
  const onValues = () => { placeControls(); update(); };
  model.on("change:frame", onFrame);
  model.on("change:values", onValues);
  placeControls();
  update(false);

  let width = panelBox.clientWidth;
  const resize = new ResizeObserver(() => {
    if (Math.abs(panelBox.clientWidth - width) < 1) return;
    width = panelBox.clientWidth;
    paint();
  });
  resize.observe(panelBox);
  const theme = new MutationObserver(() => paint());
  for (const node of [document.documentElement, document.body]) {
    theme.observe(node, { attributes: true, attributeFilter: ["data-theme", "theme", "data-jp-theme-light"] });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => paint(), { signal });

  return () => {
    abort.abort();
    resize.disconnect();
    theme.disconnect();
    clearTimeout(spoken);
    model.off("change:frame", onFrame);
    model.off("change:values", onValues);
  };
}

export default { render };
