// The page's only script: the search box, clicks on anything that carries data-act, the address (#customer) as the place
// where the reader is, and a word when nobody is there any more to answer.
const ASK_MS = 3000, PATIENCE_MS = 6000; // how often the kernel is asked whether it is there, and for how long it may be silent
const here = () => decodeURIComponent(location.hash.slice(1));

// A notice above everything; a page that is lost takes no clicks.
function notice(kind, said, button) {
  if (document.querySelector(".pd-notice." + kind)) return;
  document.querySelectorAll(".pd-notice").forEach((n) => n.remove());
  const box = Object.assign(document.createElement("div"), { className: "pd-notice " + kind });
  box.setAttribute("role", kind === "lost" ? "alert" : "status");
  const again = Object.assign(document.createElement("button"), { type: "button", textContent: button, onclick: () => location.reload() });
  box.append(Object.assign(document.createElement("p"), { textContent: said }), again);
  document.body.prepend(box);
}
function lost(is) {
  document.body.classList.toggle("pd-lost", is);
  document.querySelectorAll(".pd-page").forEach((n) => { n.inert = is; });
  if (!is) return document.querySelector(".pd-notice.lost")?.remove();
  document.body.classList.remove("pd-busy");
  notice("lost", "The connection to the page is lost. What you see is as it was before.", "Load it again");
}

function render({ model, el }) {
  el.innerHTML = `<form class="pd-search" role="search" aria-label="Find a customer">
    <label for="pd-query" class="pd-hidden-label">Customer number</label>
    <input id="pd-query" name="customer" type="search" autocomplete="off" spellcheck="false" placeholder="Customer number" aria-describedby="pd-said">
    <button type="submit">Find</button></form><p id="pd-said" class="pd-said" role="status" aria-live="polite"></p>`;
  const form = el.querySelector("form"), box = el.querySelector("input"), said = el.querySelector(".pd-said");
  let last = null; // what had the focus, so that a list drawn anew keeps it
  const busy = (on) => document.body.classList.toggle("pd-busy", on);
  const send = (act, value) => { busy(true); model.send({ act, value: value ?? "" }); };

  const onSubmit = (e) => { e.preventDefault(); send("find", box.value); };
  const onHash = () => send("open", here());
  const onClick = (e) => {
    const at = e.target.closest?.("[data-act]");
    if (!at || at.tagName === "SELECT") return;
    e.preventDefault(); last = at.dataset.act + "=" + (at.dataset.value ?? ""); send(at.dataset.act, at.dataset.value);
  };
  const onChange = (e) => {
    const at = e.target.closest?.("select[data-act]");
    if (at) { last = at.dataset.act + "="; send(at.dataset.act, at.value); }
  };
  const onKey = (e) => { if (e.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName)) { e.preventDefault(); box.focus(); box.select(); } };
  let silent = null; // runs out when nothing is heard
  const ask = () => {
    silent ??= setTimeout(() => lost(true), PATIENCE_MS);
    try { model.send({ act: "there" }); } catch { lost(true); } // the widget's own channel may be gone
  };
  const asking = setInterval(ask, ASK_MS);
  const onMessage = (m) => {
    clearTimeout(silent); silent = null; lost(false);
    if (m.newer) notice("newer", "There are newer results than these.", "Show them");
    if (m.said !== undefined) said.textContent = m.said;
    if (m.others) for (const id of m.others) { const a = document.createElement("a"); a.href = "#" + encodeURIComponent(id); a.textContent = id; said.append(" ", a); }
    if (m.go !== undefined && m.go !== here()) { location.hash = encodeURIComponent(m.go); return; }
    if (m.go !== undefined && !m.done) onHash();
    if (!m.done) return;
    document.body.dataset.pdView = m.view;
    if (m.customer !== undefined) document.title = (m.customer ? `Customer ${m.customer}` : "Payments at risk") + " · Predelinquency";
    if (m.customer) box.value = m.customer; // an answer to a search that found nobody names none
    requestAnimationFrame(() => {
      window.dispatchEvent(new Event("resize"));
      if (m.opened) { window.scrollTo(0, 0); document.querySelector(".pd-view-" + m.view + " h1")?.focus({ preventScroll: true }); }
      else if (last) [...document.querySelectorAll("[data-act]")].find((n) => n.dataset.act + "=" + (n.tagName === "SELECT" ? "" : n.dataset.value ?? "") === last)?.focus({ preventScroll: true });
      last = null;
      busy(false); // only now: what was drawn anew has its focus back
    });
  };
  form.addEventListener("submit", onSubmit);
  document.addEventListener("click", onClick);
  document.addEventListener("change", onChange);
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", onHash);
  model.on("msg:custom", onMessage);
  send("hello", here()); // newer results, or a customer in the address
  return () => {
    clearInterval(asking); clearTimeout(silent);
    document.removeEventListener("click", onClick); document.removeEventListener("change", onChange); document.removeEventListener("keydown", onKey);
    window.removeEventListener("hashchange", onHash); model.off("msg:custom", onMessage);
  };
}
export default { render };
