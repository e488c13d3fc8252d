// Brings the explorers of a rendered page to life: no kernel, no widget manager, no other host.
// The page holds each widget's saved state as JSON; a model over it is all that explorer.js needs.
(() => {
  const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';
  const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';

  function makeModel(state) {
    const listeners = new Map();
    return {
      hasKernel: false,
      get: (name) => state[name],
      set(name, value) {
        state[name] = value;
        for (const listener of listeners.get(`change:${name}`) ?? []) listener();
      },
      save_changes() {},
      on(event, listener) {
        if (!listeners.has(event)) listeners.set(event, new Set());
        listeners.get(event).add(listener);
      },
      off(event, listener) {
        listeners.get(event)?.delete(listener);
      },
    };
  }

  const modules = new Map();
  function load(source) {
    if (!modules.has(source)) {
      const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      modules.set(source, import(address));
    }
    return modules.get(source);
  }

  const styled = new Set();
  function addStyle(css) {
    if (!css || styled.has(css)) return;
    styled.add(css);
    document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
  }

  async function show(view, states, models) {
    const id = JSON.parse(view.textContent).model_id, state = states[id]?.state;
    if (!state?._esm) return;
    if (!models.has(id)) models.set(id, makeModel(state));
    addStyle(state._css);
    const { default: widget } = await load(state._esm);
    const place = document.createElement("div");
    view.after(place);
    await widget.render({ model: models.get(id), el: place });
    view.parentElement.dataset.explorer = "alive";
  }

  function start() {
    const saved = document.querySelector(STATE);
    if (!saved) return;
    const states = JSON.parse(saved.textContent).state, models = new Map();
    for (const view of document.querySelectorAll(VIEW)) {
      show(view, states, models).catch((error) => {
        console.error("explorer:", error);
        view.after(Object.assign(document.createElement("p"), { textContent: `This explorer could not start: ${error.message}` }));
      });
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
