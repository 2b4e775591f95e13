// Step 2: which phrases, how often, with or without a voice.

import { post } from "./api.js";
import { button, h, messageArea, plural } from "./dom.js";

const LARGEST_FILE = 200_000; // bytes

// UTF-8, or UTF-16 with its mark, as some editors of Windows write it.
function decode(buffer) {
  const [first, second] = new Uint8Array(buffer);
  const marks = { fffe: "utf-16le", feff: "utf-16be" };
  const mark = [first, second].map((byte) => (byte ?? 0).toString(16)).join("");
  return new TextDecoder(marks[mark] ?? "utf-8").decode(buffer);
}

export function phrasesPanel(app) {
  const { settings, all_words: allWords } = app.state;
  const chosen = settings.phrases.length ? settings.kind : "own";
  const area = messageArea("phrases-message");
  const radio = (group, value, label, hint, checked) =>
    h(
      "label",
      { class: "choice" },
      h("input", { type: "radio", name: group, value, checked, onchange: () => refresh() }),
      h("span", {}, h("strong", {}, label), h("small", {}, hint)),
    );
  const kinds = h(
    "fieldset",
    {},
    h("legend", {}, "Phrases"),
    radio("kind", "own", "A list of my own", "What you want to say, one phrase on each line, in any language.", chosen === "own"),
    radio("kind", "digits", "Digits", "From zero to nine, one word each.", chosen === "digits"),
    radio("kind", "grid", "GRID sentences", "As in “bin blue at f two now”: 51 words, any combination of them later.", chosen === "grid"),
  );
  const text = h("textarea", { id: "own-text", rows: "8", spellcheck: "true", oninput: () => refreshSoon() });
  text.value = settings.kind === "own" ? settings.phrases.join("\n") : "";
  text.setAttribute("placeholder", "I would like a glass of water\nGood morning\nPlease call my daughter");
  const file = h("input", { type: "file", id: "own-file", accept: ".txt,text/plain", onchange: () => read() });
  const own = h(
    "div",
    {},
    h("label", { class: "field" }, "Your phrases, one on each line", text),
    h("label", { class: "field" }, "or take them from a text file", file),
  );
  const count = h("input", { type: "number", id: "count", min: "1", max: "200", value: String(allWords), oninput: () => refreshSoon() });
  const seed = h("input", { type: "number", id: "seed", min: "0", max: "999999", value: "0", oninput: () => refreshSoon() });
  const grid = h(
    "div",
    { class: "row" },
    h("label", { class: "field" }, "How many", count),
    h("label", { class: "field" }, "Choice number", seed),
  );
  if (settings.kind === "grid" && settings.phrases.length) count.value = String(settings.phrases.length);
  const takes = h("input", { type: "number", id: "takes", min: "1", max: "20", value: String(settings.takes) });
  const voices = h(
    "fieldset",
    {},
    h("legend", {}, "How"),
    radio("voice", "aloud", "Aloud", "With camera and microphone: the model learns lips and voice.", !settings.silent),
    radio("voice", "silent", "Silently", "With the camera alone, for people without a voice: the model learns the lips, and keeps its own voice.", settings.silent),
  );
  const list = h("ol", { class: "preview", tabindex: "0", "aria-label": "The phrases that will be recorded" });
  const summary = h("p", { class: "success", role: "status" });
  const problems = h("ul", { class: "problems" });
  const save = button(
    "Record these",
    async () => {
      await refresh();
      app.update(await post("choose", { ...request(), takes: Number(takes.value), silent: value("voice") === "silent" }));
      app.go("record");
    },
    { class: "b primary", id: "choose", area },
  );

  const value = (group) => root.querySelector(`input[name=${group}]:checked`).value;
  const request = () => {
    const kind = value("kind");
    if (kind === "own") return { kind, text: text.value };
    return kind === "grid" ? { kind, count: Number(count.value), seed: Number(seed.value) } : { kind };
  };
  let timer;
  const refreshSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(refresh, 250);
  };
  let latest = 0;
  async function refresh() {
    const number = ++latest;
    const kind = value("kind");
    own.hidden = kind !== "own";
    grid.hidden = kind !== "grid";
    let found;
    try {
      found = await post("propose", request());
    } catch (error) {
      found = { phrases: [], problems: [error.message], notes: [] };
    }
    if (number !== latest) return;
    const isEmpty = kind === "own" && !text.value.trim();
    problems.replaceChildren(
      ...(isEmpty ? [] : found.problems).map((problem) => h("li", { class: "failure" }, problem)),
      ...found.notes.map((note) => h("li", {}, note)),
    );
    list.replaceChildren(...found.phrases.map((phrase) => h("li", { dir: "auto" }, phrase)));
    list.hidden = !found.phrases.length;
    summary.textContent = found.phrases.length ? `${plural(found.phrases.length, "phrase")}.` : "";
  }
  async function read() {
    const [picked] = file.files;
    if (!picked) return;
    if (picked.size > LARGEST_FILE) {
      area.say(`${picked.name} is too large for a list of phrases: it has more than ${LARGEST_FILE / 1000} kB.`);
      return;
    }
    area.say("");
    text.value = decode(await picked.arrayBuffer());
    file.value = ""; // the same file, corrected, can be taken again
    refresh();
  }

  const root = h(
    "div",
    { class: "columns" },
    h(
      "div",
      {},
      h("h2", {}, "What will be said?"),
      kinds,
      own,
      grid,
      voices,
      h("label", { class: "field short" }, "Takes of each phrase", takes),
      h("small", {}, "Three takes of each are best for single words; one or two of each for many sentences."),
      area,
      h("div", { class: "row" }, save),
    ),
    h("div", {}, h("h3", {}, "These will be recorded"), summary, problems, list),
  );
  refresh();
  return { root };
}
