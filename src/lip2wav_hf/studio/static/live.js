// Step 6: the voice speaks while the lips move.

import { LivePanel } from "../../live/static/live.js";
import { h } from "./dom.js";

export function livePanel(app) {
  const { settings, known } = app.state;
  const phrases = known.length ? known : settings.phrases;
  const live = new LivePanel();
  return {
    root: h(
      "div",
      {},
      h("h2", {}, "Speak while your lips move"),
      live.root,
      phrases.length > 0 && h("h3", {}, "It knows these"),
      phrases.length > 0 &&
        h("ul", { class: "preview", tabindex: "0", "aria-label": "Phrases that it knows" }, phrases.map((phrase) => h("li", { dir: "auto" }, phrase))),
    ),
    close: () => live.end(""),
  };
}
