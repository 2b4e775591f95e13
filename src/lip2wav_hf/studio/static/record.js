// Step 3: one phrase after the other: read, look at the take, keep or repeat it.

import { post, remove, upload } from "./api.js";
import { button, confirmDialog, h, messageArea, plural } from "./dom.js";
import { Stage } from "./stage.js";

// Enough to read it slowly; whoever is ready earlier presses the button.
const secondsFor = (phrase) => Math.min(3 + 0.9 * phrase.split(/\s+/).length + 0.04 * phrase.length, 28);

export function recordPanel(app) {
  const { settings } = app.state;
  const silent = settings.silent;
  const area = messageArea("record-message");
  const prompt = h("p", { class: "prompt", id: "prompt", dir: "auto" });
  const position = h("p", { class: "position", role: "status" });
  const progress = h("progress", { id: "progress", "aria-label": "Takes recorded" });
  const findings = h("ul", { class: "problems", id: "findings" });
  const list = h("ol", { class: "phrases", "aria-label": "All phrases" });
  let current = settings.phrases[0];
  let pending = null;

  const takesOf = (phrase) => app.state.takes.filter((take) => take.transcription === phrase);
  const next = () => {
    const { phrases, takes } = settings;
    const start = phrases.indexOf(current);
    const ordered = [...phrases.slice(start), ...phrases.slice(0, start)];
    return ordered.find((phrase) => takesOf(phrase).length < takes);
  };

  const stage = new Stage({
    sound: !silent,
    longest: Math.min(app.state.longest, 28),
    area,
    verb: silent ? "Move your lips now" : "Speak now",
    onphase: (phase) => buttons(phase),
    ontake: async (blob) => {
      const query = new URLSearchParams({ phrase: current, silent });
      pending = await upload(`takes?${query}`, blob);
      findings.replaceChildren(
        ...(pending.problems.length
          ? pending.problems.map((problem) =>
              h("li", { class: problem.fatal ? "failure" : "" }, h("strong", {}, problem.message), ` ${problem.advice}`),
            )
          : [h("li", { class: "good" }, `A good take of ${pending.seconds.toFixed(1)} s.`)]),
      );
      stage.show(blob);
      keep.classList.toggle("primary", !pending.problems.some((problem) => problem.fatal));
      (pending.problems.some((problem) => problem.fatal) ? repeat : keep).focus();
    },
  });

  const record = button("", () => stage.toggle(), { class: "b primary big", id: "record", area });
  const keep = button(
    ["Keep ", h("kbd", {}, "K")],
    async () => {
      app.update(await post(`pending/${pending.id}/keep`));
      leave();
      const following = next();
      if (following) current = following;
      draw();
      const advice = app.state.enough ? "Train on them, or record more." : `Record more: ${tooFew()}`;
      if (!following) area.say(`All takes are there. ${advice}`, "done");
      (following || !app.state.enough ? record : train).focus();
    },
    { class: "b primary big", id: "keep", area },
  );
  const repeat = button(
    ["Repeat ", h("kbd", {}, "R")],
    async () => {
      app.update(await remove(`pending/${pending.id}`));
      leave();
      record.focus();
    },
    { class: "b big", id: "repeat", area },
  );
  const train = button("Train on these", () => app.go("train"), { class: "b", id: "to-train", "aria-describedby": "to-train-reason" });
  const reason = h("small", { id: "to-train-reason" });
  const tooFew = () => `a training needs ${app.state.least} takes, and there ${app.state.takes.length === 1 ? "is" : "are"} ${app.state.takes.length}.`;

  function leave() {
    pending = null;
    findings.replaceChildren();
    stage.back();
  }

  function buttons(phase) {
    const isReview = phase === "review";
    record.hidden = isReview;
    keep.hidden = repeat.hidden = !isReview;
    record.disabled = phase === "off" || phase === "work";
    const labels = { count: ["Cancel ", h("kbd", {}, "Esc")], record: ["Done ", h("kbd", {}, "Space")], work: ["Looking …"] };
    record.replaceChildren(...(labels[phase] ?? ["Record ", h("kbd", {}, "Space")]));
    record.classList.toggle("recording", phase === "record");
  }

  function draw() {
    const { phrases, takes } = settings;
    const { done, wanted } = app.state;
    stage.longest = secondsFor(current);
    prompt.textContent = current;
    position.textContent =
      `Phrase ${phrases.indexOf(current) + 1} of ${phrases.length}, ` +
      `take ${takesOf(current).length + 1}${takesOf(current).length < takes ? ` of ${takes}` : ""}. ` +
      `${done} of ${wanted} takes are recorded.`;
    progress.max = wanted;
    progress.value = done;
    train.disabled = !app.state.enough;
    reason.textContent = app.state.enough ? "" : `Not yet: ${tooFew()}`;
    list.replaceChildren(...phrases.map(row), ...others());
    list.querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest" });
  }

  function row(phrase) {
    const own = takesOf(phrase);
    const choose = h(
      "button",
      {
        type: "button",
        class: "phrase",
        "aria-current": String(phrase === current),
        onclick: () => {
          if (stage.phase !== "live" && stage.phase !== "off") return;
          current = phrase;
          draw();
          record.focus();
        },
      },
      h("span", { dir: "auto" }, phrase),
      h("span", { class: own.length >= settings.takes ? "count good" : "count", "aria-label": `${own.length} of ${settings.takes} takes` }, `${own.length}/${settings.takes}`),
    );
    return h("li", {}, choose, phrase === current && own.length ? takeList(own) : null);
  }

  // Takes of phrases that are no longer in the list: they are there, and are trained on.
  function others() {
    const left = app.state.takes.filter((take) => !settings.phrases.includes(take.transcription));
    if (!left.length) return [];
    return [h("li", {}, h("p", { class: "position" }, `${plural(left.length, "take")} of other phrases:`), takeList(left, true))];
  }

  function takeList(takes, named = false) {
    return h(
      "ul",
      { class: "takes" },
      takes.map((take, index) => {
        const name = named ? `“${take.transcription}”` : `Take ${index + 1}`;
        return h(
          "li",
          {},
          h("span", { dir: "auto" }, `${name}${take.sound === "no" ? ", silent" : ""}`),
          h("button", { type: "button", class: "b small", "aria-label": `Play ${name}`, onclick: () => play(take) }, "Play"),
          button("Delete", () => erase(take, name), { class: "b small", "aria-label": `Delete ${name}`, area }),
        );
      }),
    );
  }

  function play(take) {
    const video = h("video", { class: "picture", controls: true, playsinline: true, autoplay: true, src: `studio/takes/${take.file_name}` });
    const dialog = h(
      "dialog",
      { class: "dialog", "aria-label": take.transcription, onclose: () => dialog.remove() },
      h("p", { class: "prompt", dir: "auto" }, take.transcription),
      video,
      h("form", { method: "dialog", class: "row end" }, h("button", { class: "b", autofocus: true }, "Close")),
    );
    app.root.append(dialog);
    dialog.showModal();
  }

  async function erase(take, name) {
    const sure = await confirmDialog(`Delete ${name}?`, h("p", { dir: "auto" }, take.transcription), "Delete");
    if (!sure) return;
    app.update(await remove(`takes/${take.file_name}`));
    draw();
    record.focus();
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (document.querySelector("dialog[open]") || event.target.closest("input, textarea, select")) return;
    const letter = event.key.toLowerCase();
    if (stage.phase === "review" && letter === "k") keep.click();
    else if (stage.phase === "review" && letter === "r") repeat.click();
    else if (event.key === "Escape" && (stage.phase === "count" || stage.phase === "record")) stage.abandon("");
    else if ((event.key === " " || event.key === "Enter") && !event.target.closest("button, a, summary, video, [tabindex]")) {
      event.preventDefault();
      if (stage.phase !== "review") record.click();
    } else return;
    event.stopPropagation();
  }
  document.addEventListener("keydown", key);

  const root = h(
    "div",
    { class: "columns wide" },
    h(
      "div",
      {},
      position,
      progress,
      prompt,
      stage.root,
      findings,
      h("div", { class: "row center" }, record, keep, repeat),
      area,
      h("p", { class: "keys" }, h("kbd", {}, "Space"), " or ", h("kbd", {}, "Enter"), " record and stop, ", h("kbd", {}, "K"), " keep, ", h("kbd", {}, "R"), " repeat, ", h("kbd", {}, "Esc"), " cancel"),
      stage.devices,
    ),
    h("div", {}, h("h3", {}, "Phrases"), list, h("div", { class: "row" }, train, reason)),
  );
  current = next() ?? current;
  buttons("off");
  draw();
  stage.open().then(() => record.focus({ preventScroll: true }));
  return {
    root,
    draw: () => {
      if (!pending && stage.phase === "live") draw();
    },
    close: () => {
      document.removeEventListener("keydown", key);
      if (pending) remove(`pending/${pending.id}`).catch(() => {});
      stage.close();
    },
  };
}
