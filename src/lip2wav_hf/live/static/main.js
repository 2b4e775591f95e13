// Puts the panel into each place that a page has for it, as soon as Gradio has drawn it.

import { LivePanel } from "./live.js";

function fill() {
  for (const place of document.querySelectorAll("[data-live-voice]:empty"))
    place.append(new LivePanel({ models: JSON.parse(place.dataset.liveVoice) }).root);
}

new MutationObserver(fill).observe(document.documentElement, { childList: true, subtree: true });
fill();
