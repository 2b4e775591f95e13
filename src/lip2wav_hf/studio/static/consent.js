// Step 1: who is recorded, what for, and that they agree.

import { post } from "./api.js";
import { button, h, messageArea } from "./dom.js";

export function consentPanel(app) {
  const { consent, statement, folder, takes } = app.state;
  const area = messageArea("consent-message");
  const name = h("input", { id: "name", required: true, maxlength: "80", autocomplete: "name", value: consent?.name ?? "" });
  const purpose = h("textarea", { id: "purpose", rows: "2", maxlength: "500" });
  purpose.value = consent?.purpose ?? "To train a voice of my own, for my own use.";
  const agreed = h("input", { id: "agreed", type: "checkbox", checked: Boolean(consent) });
  const agree = button(
    consent ? "Save" : "I agree",
    async () => {
      app.update(await post("consent", { name: name.value, purpose: purpose.value, agreed: agreed.checked }));
      app.go("phrases");
    },
    { class: "b primary", id: "agree", area },
  );
  return {
    root: h(
      "div",
      { class: "narrow" },
      h("h2", {}, "Whose voice is it?"),
      h(
        "p",
        {},
        "You say some phrases before the camera, aloud, or silently if you have no voice. A model learns how your mouth",
        " moves, and how you sound if it hears you. Then it speaks for you when you only move your lips. Ten takes are enough for a first voice; more are better.",
      ),
      h(
        "p",
        {},
        "Everything stays on this machine, in the folder ",
        h("code", {}, folder),
        ". Nothing is sent anywhere. One button deletes it.",
      ),
      h("label", { class: "field" }, "Name or initials of the person who is recorded", name),
      h("label", { class: "field" }, "What the recordings are for", purpose),
      h("label", { class: "tick" }, agreed, h("span", {}, statement)),
      consent && h("p", { class: "success" }, `Agreed on ${new Date(consent.at).toLocaleString()}.`),
      takes.length ? h("p", { class: "success" }, `${takes.length} recorded so far.`) : null,
      area,
      h("div", { class: "row" }, agree),
    ),
  };
}
