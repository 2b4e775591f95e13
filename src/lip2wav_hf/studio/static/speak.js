// Step 5: mouth a phrase without a voice, hear it; take the model along, or publish it.

import { post, upload } from "./api.js";
import { button, confirmDialog, h, messageArea } from "./dom.js";
import { Stage } from "./stage.js";

export function speakPanel(app) {
  const { settings, folder, known } = app.state;
  const phrases = known.length ? known : settings.phrases;
  const area = messageArea("speak-message");
  const answer = h("div", { class: "answer", id: "answer", "aria-live": "polite" });
  const stage = new Stage({
    sound: false,
    longest: 15,
    area,
    verb: "Move your lips now",
    onphase: (phase) => {
      record.disabled = phase === "off" || phase === "work";
      const labels = { count: ["Cancel ", h("kbd", {}, "Esc")], record: ["Done ", h("kbd", {}, "Space")], work: ["Reading your lips …"] };
      record.replaceChildren(...(labels[phase] ?? ["Mouth a phrase ", h("kbd", {}, "Space")]));
      record.classList.toggle("recording", phase === "record");
    },
    ontake: async (blob) => {
      answer.replaceChildren();
      const found = await upload("speak", blob);
      show(found);
      stage.set("live");
      record.focus({ preventScroll: true });
    },
  });
  const record = button("", () => stage.toggle(), { class: "b primary big", id: "mouth", area });

  function show(found) {
    const sound = h("audio", { controls: true, src: `studio/answers/${found.wav}`, id: "speech", "aria-label": "Speech" });
    answer.replaceChildren(
      h("p", { class: "prompt", dir: "auto", id: "said" }, found.written || found.text || "(no words)"),
      sound,
      found.doubts.length ? h("p", { class: "doubts" }, `Probably wrong: ${found.doubts.join("; ")}.`) : "",
      h(
        "div",
        { class: "row" },
        h("a", { class: "b small", href: `studio/answers/${found.wav}`, download: "speech.wav", id: "get-wav" }, "Sound (.wav)"),
        h("a", { class: "b small", href: `studio/answers/${found.mp4}`, download: "speech.mp4", id: "get-mp4" }, "Video (.mp4)"),
      ),
    );
    sound.play().catch(() => {});
  }

  const name = h("input", { id: "repo", placeholder: "me/my-voice", autocomplete: "off" });
  const isPublic = h("input", { type: "checkbox", id: "public" });
  const published = messageArea("push-message");
  const push = button(
    "Push",
    async () => {
      if (!name.value.trim()) throw new Error("Name the repository first: owner/name.");
      await post("push", { repo_id: name.value, check: true });
      const kind = isPublic.checked ? "public" : "private";
      const sure = await confirmDialog(
        "Send the model to the Hugging Face Hub?",
        h("p", {}, `The model goes to the ${kind} repository ${name.value.trim()}. The recordings stay here. Whoever may read the repository can speak with this voice.`),
        "Push",
      );
      if (!sure) return;
      published.say("It is being checked and sent …", "success");
      const { url } = await post("push", { repo_id: name.value, public: isPublic.checked, confirmed: true });
      published.say(`Pushed: ${url}`, "success");
    },
    { id: "push", area: published },
  );

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape" && (stage.phase === "count" || stage.phase === "record")) stage.abandon("");
    else if ((event.key === " " || event.key === "Enter") && !event.target.closest("button, a, summary, video, audio, input, textarea, select, [tabindex]")) {
      event.preventDefault();
      record.click();
    }
  }
  document.addEventListener("keydown", key);

  const root = h(
    "div",
    { class: "columns" },
    h("div", {}, h("h2", {}, "Mouth it, and hear it"), stage.root, h("div", { class: "row center" }, record), area, answer, stage.devices),
    h(
      "div",
      {},
      h("h3", {}, "It knows these"),
      h("ul", { class: "preview", tabindex: "0", "aria-label": "Phrases that it knows" }, phrases.map((phrase) => h("li", { dir: "auto" }, phrase))),
      h("h3", {}, "Take it along"),
      h("p", {}, "The voice is an ordinary model, in ", h("code", {}, `${folder}/voice`), "."),
      h("pre", {}, `lip2wav speak clip.mp4 --model ${/\s/.test(folder) ? `"${folder}/voice"` : `${folder}/voice`} -o clip.wav`),
      h("div", { class: "row" }, h("a", { class: "b", href: "studio/my-voice.zip", download: "my-voice.zip", id: "get-model" }, "Download the model (.zip)")),
      h(
        "details",
        {},
        h("summary", {}, "Put it on the Hugging Face Hub"),
        h("p", {}, "With the login of this machine (", h("code", {}, "hf auth login"), " or ", h("code", {}, "HF_TOKEN"), "). The recordings are not sent."),
        h("label", { class: "field" }, "Repository", name),
        h("label", { class: "tick" }, isPublic, h("span", {}, "Public: everybody may speak with this voice")),
        published,
        h("div", { class: "row" }, push),
      ),
    ),
  );
  stage.open().then(() => record.focus({ preventScroll: true }));
  return {
    root,
    close: () => {
      document.removeEventListener("keydown", key);
      stage.close();
    },
  };
}
