// A plotly figure whose drawing code comes from the kernel: once a page, for all figures, and from nowhere else.
// every widget imports a copy of this module, so what is shared lies on the window
function plotly(model) {
  return window.pdPlotly ??= new Promise((done) => {
    if (window.Plotly) return done(window.Plotly);
    const got = (m, buffers) => {
      if (m.kind !== "plotly") return;
      model.off("msg:custom", got);
      // where a module loader is on the page, plotly would hide inside it
      const code = new TextDecoder().decode(buffers[0]);
      new Function("define", "module", "exports", code).call(window);
      done(window.Plotly);
    };
    model.on("msg:custom", got);
    model.send({ need: "plotly" });
  });
}

function initialize({ model }) { requestIdleCallback(() => plotly(model)); }

function render({ model, el }) {
  const place = document.createElement("div");
  place.className = "pd-chart"; place.setAttribute("role", "img"); place.style.width = "100%";
  el.append(place);
  const draw = async () => {
    const text = model.get("figure");
    if (!text) return;
    const fig = JSON.parse(text), Plotly = await plotly(model);
    place.setAttribute("aria-label", model.get("named"));
    if (place.clientWidth === 0) return;
    if (place.clientWidth < 600) fig.layout.font = { size: 10.5 };
    await Plotly.react(place, fig.data, fig.layout, { displayModeBar: false, responsive: true });
    place.dataset.drawn = model.get("named");
  };
  const seen = new ResizeObserver(() => (place.dataset.drawn === model.get("named") ? window.Plotly?.Plots.resize(place) : draw()));
  seen.observe(place);
  model.on("change:figure", draw);
  draw();
  return () => { seen.disconnect(); model.off("change:figure", draw); window.Plotly?.purge(place); };
}
export default { initialize, render };
