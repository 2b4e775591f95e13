// The studio's page: its steps, and the state that all windows share, which is that of the folder.

import { get, post } from "./api.js";
import { consentPanel } from "./consent.js";
import { button, confirmDialog, h, messageArea, plural } from "./dom.js";
import { livePanel } from "./live.js";
import { phrasesPanel } from "./phrases.js";
import { recordPanel } from "./record.js";
import { speakPanel } from "./speak.js";
import { trainPanel } from "./train.js";

const STEPS = {
  consent: ["Consent", consentPanel, () => true],
  phrases: ["Phrases", phrasesPanel, (state) => Boolean(state.consent)],
  record: ["Record", recordPanel, (state) => state.consent && state.settings.phrases.length > 0],
  train: ["Train", trainPanel, (state) => state.enough || state.voice || state.training.active],
  speak: ["Speak", speakPanel, (state) => state.voice],
  live: ["Live", livePanel, (state) => state.voice],
};

class App {
  constructor(root) {
    this.root = root;
    this.area = messageArea("page-message");
    this.nav = h("ol", { class: "steps" });
    this.main = h("div", { id: "panel", tabindex: "-1" });
    this.notices = h("div", {});
    this.eraser = button("Delete everything …", () => this.erase(), { class: "b danger", id: "delete-everything", area: this.area });
    root.replaceChildren(
      h("h1", {}, "Your own voice"),
      h("nav", { "aria-label": "Steps" }, this.nav),
      this.notices,
      this.main,
      this.area,
      h("div", { class: "foot" }, (this.place = h("span", {})), this.eraser),
    );
  }

  async begin() {
    try {
      this.update(await get("state"));
    } catch (error) {
      this.area.say(error.message);
      return;
    }
    this.go(this.open(location.hash.slice(1)) ? location.hash.slice(1) : this.proposal());
    window.addEventListener("hashchange", () => {
      const wanted = location.hash.slice(1);
      if (wanted !== this.step && this.open(wanted)) this.go(wanted);
    });
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
    window.addEventListener("focus", () => this.refresh());
  }

  open(step) {
    return step in STEPS && Boolean(STEPS[step][2](this.state));
  }

  proposal() {
    const { state } = this;
    if (state.training.active) return "train";
    return ["speak", "record", "phrases"].find((step) => this.open(step)) ?? "consent";
  }

  // Another window may have changed the folder.
  async refresh() {
    try {
      this.update(await get("state"));
    } catch {
      return; // the next thing that is asked for will say it
    }
    if (!this.open(this.step)) this.go(this.proposal());
    else this.panel.draw?.();
  }

  update(state) {
    this.state = state;
    this.place.textContent = `Recordings: ${state.folder}`;
    this.eraser.hidden = !state.consent && !state.voice;
    this.notices.replaceChildren(...state.notices.map((notice) => h("div", { class: "failure", role: "note" }, notice)));
    this.drawSteps();
  }

  drawSteps() {
    this.nav.replaceChildren(
      ...Object.entries(STEPS).map(([name, [label]], index) =>
        h(
          "li",
          {},
          h(
            "button",
            {
              type: "button",
              id: `step-${name}`,
              disabled: !this.open(name),
              "aria-current": name === this.step ? "step" : null,
              onclick: () => this.go(name),
            },
            h("span", { class: "number" }, String(index + 1)),
            label,
          ),
        ),
      ),
    );
  }

  go(step) {
    this.panel?.close?.();
    this.area.say("");
    this.step = step;
    if (location.hash.slice(1) !== step) history.pushState(null, "", `#${step}`);
    this.panel = STEPS[step][1](this);
    this.main.replaceChildren(this.panel.root);
    this.drawSteps();
    this.main.focus({ preventScroll: true });
    window.scrollTo({ top: 0 });
  }

  async erase() {
    const { takes, voice, folder } = this.state;
    const content = h(
      "div",
      {},
      h("p", {}, `${plural(takes.length, "recording")}, the consent and the phrases in ${folder} will be gone. This cannot be undone.`),
      voice ? h("label", { class: "tick" }, h("input", { type: "checkbox", name: "voice", checked: true }), h("span", {}, "The trained voice too")) : null,
    );
    const answer = await confirmDialog("Delete everything?", content, "Delete everything");
    if (!answer) return;
    this.panel?.close?.();
    this.panel = null;
    this.update(await post("delete", { confirmed: true, voice: !voice || answer.voice === "on" }));
    this.go("consent");
    this.area.say("Everything was deleted.", "success");
  }
}

// Gradio draws the page: wait for the place that it makes for us.
function whenThere(id, action) {
  const found = document.getElementById(id);
  if (found) {
    action(found);
    return;
  }
  const observer = new MutationObserver(() => {
    const element = document.getElementById(id);
    if (!element) return;
    observer.disconnect();
    action(element);
  });
  observer.observe(document.documentElement, { childList: true, subtree: true });
}

whenThere("studio", (root) => new App(root).begin());
