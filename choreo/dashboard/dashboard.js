// Loads the page's content again once something has changed. Everything works without it.
"use strict";
(() => {
  const address = document.currentScript.dataset.changes;
  const live = () => document.getElementById("live");
  let stream = null;
  let wanted = false;
  let errors = 0;

  const isBusy = () => {
    const at = document.activeElement;
    const form = live().querySelector("form[method=post]");
    return Boolean(form) || (live().contains(at) && /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName));
  };

  const refresh = async () => {
    if (isBusy()) { wanted = true; return; }
    wanted = false;
    const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
    if (answer && answer.status === 401) { location.reload(); return; }
    document.body.classList.toggle("stale", !answer || answer.status >= 500);
    if (!answer || !answer.ok || isBusy()) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("live");
    if (!fresh || fresh.innerHTML === live().innerHTML) return;
    const open = [...live().querySelectorAll("details")].map((each) => each.open);
    const focused = [...live().querySelectorAll("a, button, summary, [tabindex]")].indexOf(document.activeElement);
    live().replaceWith(document.importNode(fresh, true));
    [...live().querySelectorAll("details")].forEach((each, n) => { each.open = Boolean(open[n]); });
    const again = [...live().querySelectorAll("a, button, summary, [tabindex]")][focused];
    if (again) again.focus({ preventScroll: true });
  };

  const listen = () => {
    if (stream || document.hidden) return;
    stream = new EventSource(address);
    stream.onmessage = refresh;
    stream.onopen = () => { errors = 0; };
    stream.onerror = () => {
      errors += 1;
      // A browser comes again by itself, but not after an answer that is no stream, as of a proxy.
      if (!stream || (stream.readyState !== EventSource.CLOSED && errors < 3)) return;
      stream.close();
      stream = null;
      setTimeout(look, 5000);
    };
  };

  const look = () => {
    if (document.hidden) {
      if (stream) stream.close();
      stream = null;
      return;
    }
    if (!stream) refresh();
    listen();
  };

  document.addEventListener("visibilitychange", look);
  document.addEventListener("focusout", () => { if (wanted) setTimeout(refresh, 100); });
  document.addEventListener("DOMContentLoaded", listen);
})();
