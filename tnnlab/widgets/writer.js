// Front end of tnnlab.widgets.Writer: a Toeplitz network with its states, and the page around it.
// No dependencies and no kernel; of the widget's model it only needs `get`.

const FORMAT = "tnnlab writer 1"; // as tnnlab.widgets.packed names it
const END = 256; // token: end of document
const BUDGET = 12; // milliseconds of work in a frame
const BIN = 8; // positions whose times are averaged: clocks of browsers are coarse
let created = 0;

// ---- the network --------------------------------------------------------------------------

/** The model in base64 safetensors, as tnnlab.widgets.packed.pack writes it. */
export function readModel(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const { width, depth } = JSON.parse(header.__metadata__[FORMAT]);
  const raw = (name) => {
    const [from, to] = header[name].data_offsets;
    return bytes.slice(start + from, start + to).buffer;
  };
  const vector = (name) => new Float32Array(raw(name));
  const linear = (name, bias = true) => {
    const rounded = new Int8Array(raw(`${name}.weight`)), scale = vector(`${name}.weight.scale`);
    const rows = scale.length, columns = rounded.length / rows;
    const weight = new Float32Array(rounded.length);
    for (let k = 0; k < weight.length; k++) weight[k] = rounded[k] * scale[Math.floor(k / columns)];
    return { weight, columns, bias: bias ? vector(`${name}.bias`) : new Float32Array(rows) };
  };
  const blocks = Array.from({ length: depth }, (_, i) => {
    const [gtu, glu] = [`blocks.${i}.gtu`, `blocks.${i}.glu`], part = (name) => vector(`${gtu}.operator.${name}`);
    return {
      u: linear(`${gtu}.u_proj`), v: linear(`${gtu}.v_proj`), o: linear(`${gtu}.o`),
      l1: linear(`${glu}.l1`), l2: linear(`${glu}.l2`), l3: linear(`${glu}.l3`),
      poles: part("poles"), residues: part("residues"), direct: part("direct"),
    };
  });
  return { width, blocks, embedding: linear("embedding", false) };
}

function apply({ weight, bias, columns }, x) {
  const y = new Float64Array(bias);
  for (let i = 0, k = 0; i < y.length; i++) {
    let sum = 0;
    for (let j = 0; j < columns; j++, k++) sum += weight[k] * x[j];
    y[i] += sum;
  }
  return y;
}

const silu = (x) => x.map((value) => value / (1 + Math.exp(-value)));
const times = (x, y) => x.map((value, i) => value * y[i]);
const add = (x, y) => x.map((value, i) => value + y[i]);

function norm(x) {
  let sum = 0;
  for (const value of x) sum += value * value;
  const size = Math.sqrt(sum / x.length) + 1e-8;
  return x.map((value) => value / size);
}

function embed({ width, embedding }, token) {
  const row = embedding.weight.subarray(token * width, (token + 1) * width);
  return Float64Array.from(row, (value) => value * Math.sqrt(width));
}

/** One block at one position; `mix` is the long convolution: of v, all channels, now. */
function block(layer, x, mix) {
  const n = norm(x), u = silu(apply(layer.u, n)), v = silu(apply(layer.v, n));
  x = add(x, apply(layer.o, times(u, mix(v))));
  const m = norm(x);
  return add(x, apply(layer.l3, times(silu(apply(layer.l1, m)), apply(layer.l2, m))));
}

const scores = (model, x) => apply(model.embedding, norm(x));

/** What a layer remembers: y = d v + Re Σ c s, then s ← λ s + v. */
function remember({ poles, residues, direct }) {
  const state = new Float64Array(poles.length), each = poles.length / direct.length;
  return (v) => v.map((now, channel) => {
    let y = direct[channel] * now;
    for (let k = channel * each; k < (channel + 1) * each; k += 2) {
      const re = state[k], im = state[k + 1];
      y += residues[k] * re - residues[k + 1] * im;
      state[k] = poles[k] * re - poles[k + 1] * im + now;
      state[k + 1] = poles[k] * im + poles[k + 1] * re;
    }
    return y;
  });
}

/** Reads each token once. `read` is a generator, so that a long text leaves the page alive. */
export class States {
  constructor(model) {
    this.model = model;
    this.seen = 0;
    this.memories = model.blocks.map(remember);
  }

  step(token) {
    let x = embed(this.model, token);
    this.model.blocks.forEach((layer, i) => { x = block(layer, x, this.memories[i]); });
    return x;
  }

  *read(tokens) {
    for (; this.seen < tokens.length - 1; this.seen++) { this.step(tokens[this.seen]); yield; }
    return scores(this.model, this.step(tokens[this.seen++]));
  }
}

/** The first n taps of a layer, all channels of a lag together: d, and Re Σ c λ^(m-1). */
function takeTaps({ poles, residues, direct }, n) {
  const channels = direct.length, each = poles.length / channels;
  const taps = new Float64Array(n * channels), term = Float64Array.from(residues);
  taps.set(direct);
  for (let place = channels; place < taps.length; place++) {
    const first = (place % channels) * each;
    for (let k = first; k < first + each; k += 2) {
      const re = term[k], im = term[k + 1];
      taps[place] += re;
      term[k] = poles[k] * re - poles[k + 1] * im;
      term[k + 1] = poles[k] * im + poles[k + 1] * re;
    }
  }
  return taps;
}

/** Reads all tokens again for each new one, by the taps: no states, the same scores. */
export class Again {
  constructor(model) {
    this.model = model;
    this.taps = model.blocks.map(() => []);
  }

  *read(tokens) {
    let xs = tokens.map((token) => embed(this.model, token));
    for (const [i, layer] of this.model.blocks.entries()) {
      const channels = layer.direct.length;
      if (this.taps[i].length < channels * tokens.length) this.taps[i] = takeTaps(layer, 2 * tokens.length);
      const taps = this.taps[i], past = [];
      const mix = (v) => {
        past.unshift(v);
        const y = new Float64Array(channels);
        for (let lag = 0, k = 0; lag < past.length; lag++) {
          const earlier = past[lag];
          for (let channel = 0; channel < channels; channel++, k++) y[channel] += taps[k] * earlier[channel];
        }
        return y;
      };
      for (let t = 0; t < xs.length; t++) { xs[t] = block(layer, xs[t], mix); yield; }
    }
    return scores(this.model, xs.at(-1));
  }
}

/** The most likely token at temperature 0, else one drawn from softmax(scores / temperature). */
export function choose(scores, temperature) {
  const best = scores.indexOf(Math.max(...scores));
  if (temperature === 0) return best;
  const weights = scores.map((score) => Math.exp((score - scores[best]) / temperature));
  let rest = Math.random() * weights.reduce((sum, weight) => sum + weight);
  for (let token = 0; token < weights.length; token++) if ((rest -= weights[token]) < 0) return token;
  return best;
}

// ---- the picture of times -----------------------------------------------------------------

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

const show = (value) => String(Number(value.toPrecision(2)));

/** Times (milliseconds) of one mode, in bins of positions. */
class Times {
  constructor() { this.clear(); }
  clear() { this.bins = new Map(); }
  add(position, spent) {
    const bin = Math.floor(position / BIN);
    this.bins.set(bin, [...(this.bins.get(bin) ?? []), spent]);
  }
  /** [position, time]: the mean without the slowest quarter, which other work delayed. What is
      too short to be measured is left out: it has no place on the axis. */
  points() {
    return [...this.bins].map(([bin, spent]) => {
      const kept = [...spent].sort((a, b) => a - b).slice(0, Math.ceil(0.75 * spent.length));
      return [(bin + 0.5) * BIN, kept.reduce((sum, value) => sum + value) / kept.length];
    }).filter(([, mean]) => mean > 0).sort(([a], [b]) => a - b);
  }
  last() { return this.points().at(-1)?.[1]; }
}

function drawTimes(svg, curves, width) {
  const height = 220, left = 46, right = width - 10, top = 8, bottom = height - 40;
  const all = curves.flatMap(({ points }) => points), heights = all.map(([, y]) => Math.log10(y));
  const low = Math.floor(Math.min(0, ...heights)), high = Math.ceil(Math.max(1, ...heights));
  const most = Math.max(64, ...all.map(([x]) => x)), every = 2 ** Math.ceil(Math.log2(most / 5));
  const px = (x) => left + (x / most) * (right - left);
  const py = (log) => bottom - ((log - low) / (high - low)) * (bottom - top);
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (let log = low; log <= high; log++) {
    draw(svg, "line", { class: "tnn-grid", x1: left, x2: right, y1: py(log), y2: py(log) });
    draw(svg, "text", { x: left - 6, y: py(log) + 4, "text-anchor": "end" }, Number((10 ** log).toPrecision(1)));
  }
  for (let x = 0; x <= most; x += every) {
    draw(svg, "line", { class: "tnn-tick", x1: px(x), x2: px(x), y1: bottom, y2: bottom + 4 });
    draw(svg, "text", { x: px(x), y: bottom + 16, "text-anchor": "middle" }, x);
  }
  draw(svg, "path", { class: "tnn-frame", d: `M${left},${top}V${bottom}H${right}` });
  draw(svg, "text", { x: (left + right) / 2, y: height - 5, "text-anchor": "middle" }, "position");
  const middle = (top + bottom) / 2;
  draw(svg, "text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, "milliseconds");
  for (const { look, points } of curves) {
    const places = points.map(([x, y]) => [px(x).toFixed(1), py(Math.log10(y)).toFixed(1)]);
    draw(svg, "path", { class: `tnn-curve tnn-line ${look}`, d: places.length ? `M${places.join("L")}` : "" });
    for (const [cx, cy] of places) draw(svg, "circle", { class: `tnn-dot ${look}`, cx, cy, r: 1.75 });
  }
}

// ---- the widget ---------------------------------------------------------------------------

function field(label, input, ...more) {
  input.id = `tnn-writer-${++created}`;
  for (const node of more) node.setAttribute("for", input.id);
  return make("div", { class: "tnn-control" }, make("label", { for: input.id }, label), ...more, input);
}

function render({ model, el }) {
  const abort = new AbortController(), signal = abort.signal;
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  const prompt = make("input", { type: "text", maxlength: 200, spellcheck: "false", autocomplete: "off", autocapitalize: "off" });
  const slider = make("input", { type: "range", min: 0, max: 1.5, step: 0.1 });
  const value = make("output"), button = make("button", { type: "submit" }, "Start");
  const again = make("input", { type: "checkbox", id: `tnn-writer-${++created}` });
  const form = make("form", { class: "tnn-controls" },
    field("Prompt", prompt), field("Temperature", slider, value), button,
    make("div", { class: "tnn-check" }, again, make("label", { for: again.id }, "read everything again for each character")));
  const given = make("span", { class: "tnn-prompt" }), written = document.createTextNode("");
  const log = make("pre", { class: "tnn-log", role: "log", "aria-live": "off", "aria-label": "Text", tabindex: 0 }, given, written);
  const plot = make("div", { class: "tnn-panel" }), status = make("p", { class: "tnn-status", role: "status" });
  const heading = make("div", { class: "tnn-title", id: `tnn-writer-${++created}` }, model.get("title"));
  const root = make("div", { class: "tnn-writer", role: "group", "aria-labelledby": heading.id }, heading,
    make("p", { class: "tnn-description" }, model.get("description")), form,
    make("div", { class: "tnn-panels" }, log, plot), status, make("p", { class: "tnn-note" }, model.get("note")));
  el.append(root);

  const modes = [
    { name: "states", look: "tnn-c0", times: new Times(), value: make("span", { class: "tnn-value" }) },
    { name: "everything again", look: "tnn-c1", times: new Times(), value: make("span", { class: "tnn-value" }) },
  ];
  plot.append(make("div", { class: "tnn-panel-title" }, "Time of one character"));
  const svg = draw(plot, "svg", { role: "img" });
  const legend = make("ul", { class: "tnn-legend" });
  plot.append(legend);
  for (const mode of modes) {
    const item = make("li"), sample = draw(item, "svg", { viewBox: "0 0 26 10", width: 26, height: 10, "aria-hidden": "true" });
    draw(sample, "path", { class: `tnn-curve tnn-line ${mode.look}`, d: "M1,5H25" });
    item.append(mode.name, mode.value);
    legend.append(item);
  }

  let network, readers, tokens, decoder, job, count, frame = 0, painted = 0, pending = "";

  const report = () => modes.map(({ name, times }) => {
    const last = times.last();
    return last === undefined ? `${name}: not measured yet` : `${name}: ${show(last)} milliseconds a character at the end`;
  }).join("; ");

  function paint() {
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 24;
    written.appendData(pending);
    pending = "";
    if (atEnd) log.scrollTop = log.scrollHeight;
    for (const { times, value } of modes) value.textContent = times.last() === undefined ? "" : ` ${show(times.last())} ms`;
    drawTimes(svg, modes.map(({ look, times }) => ({ look, points: times.points() })), Math.max(220, plot.clientWidth || 320));
    painted = performance.now();
  }

  function begin() {
    network ??= readModel(model.get("weights"));
    readers = [new States(network), new Again(network)];
    tokens = [...new TextEncoder().encode(prompt.value)];
    given.textContent = prompt.value;
    written.data = pending = status.textContent = "";
    log.classList.remove("tnn-sample");
    if (tokens.length === 0) tokens.push(END);
    decoder = new TextDecoder();
    count = 0;
    job = undefined;
    modes[Number(again.checked)].times.clear();
    button.textContent = "Stop";
    frame = requestAnimationFrame(work);
  }

  function stop(why) {
    cancelAnimationFrame(frame);
    frame = 0;
    pending += decoder.decode();
    paint();
    button.textContent = "Start";
    svg.setAttribute("aria-label", `Milliseconds of one character against its position. ${report()}.`);
    status.textContent = `${why} after ${count} characters. ${report()}.`;
  }

  /** A frame: at most one character, at most BUDGET milliseconds. */
  function work() {
    const until = performance.now() + BUDGET;
    frame = requestAnimationFrame(work);
    for (let now = performance.now(); now < until;) {
      const mode = Number(again.checked);
      if (job?.mode !== mode) job = { mode, spent: 0, steps: readers[mode].read(tokens) };
      const { done, value } = job.steps.next(), then = performance.now();
      // States are up to date before the last step, which is the one to be timed.
      job.spent = (mode ? job.spent : 0) + then - now;
      now = then;
      if (done) {
        finish(value);
        break;
      }
    }
    if (frame && performance.now() - painted >= (calm.matches ? 1000 : 0)) paint();
  }

  function finish(found) {
    modes[job.mode].times.add(tokens.length, job.spent);
    job = undefined;
    const token = choose(found, Number(slider.value));
    if (token === END) return stop("The document ended");
    tokens.push(token);
    count++;
    pending += decoder.decode(Uint8Array.of(token), { stream: true });
    if (count === model.get("most")) stop("Stopped");
  }

  const say = () => {
    value.textContent = slider.value;
    slider.setAttribute("aria-valuetext", slider.value === "0" ? "0: always the most likely" : slider.value);
  };
  slider.addEventListener("input", say, { signal });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (frame) stop("Stopped");
    else begin();
  }, { signal });
  root.addEventListener("keydown", (event) => {
    event.stopPropagation(); // a notebook has shortcuts of its own
    if (event.key === "Escape" && frame) stop("Stopped");
  }, { signal });

  prompt.value = given.textContent = model.get("prompt");
  slider.value = model.get("temperature");
  written.data = model.get("sample");
  log.classList.add("tnn-sample");
  svg.setAttribute("aria-label", "Milliseconds of one character against its position: nothing is measured yet.");
  say();
  paint();
  let width = plot.clientWidth;
  const resize = new ResizeObserver(() => {
    if (Math.abs(plot.clientWidth - width) < 1) return;
    width = plot.clientWidth;
    paint();
  });
  resize.observe(plot);

  return () => {
    cancelAnimationFrame(frame);
    resize.disconnect();
    abort.abort();
  };
}

export default { render };
