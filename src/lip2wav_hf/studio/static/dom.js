// Elements from plain descriptions, messages, dialogues.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// A place for messages, read aloud by screen readers.
export function messageArea(id) {
  const area = h("div", { id, class: "messages", "aria-live": "polite" });
  area.say = (text, kind = "failure") => {
    area.replaceChildren();
    if (text) area.append(h("div", { class: kind, role: kind === "failure" ? "alert" : "status" }, text));
  };
  return area;
}

// Runs what a button does, once at a time, and says what went wrong.
export function button(label, action, { area, ...attributes } = {}) {
  const element = h("button", { type: "button", class: "b", ...attributes }, label);
  element.addEventListener("click", async () => {
    if (element.getAttribute("aria-busy") === "true") return;
    element.setAttribute("aria-busy", "true");
    try {
      area?.say("");
      await action();
    } catch (error) {
      if (!area) throw error;
      area.say(error.message);
    } finally {
      element.removeAttribute("aria-busy");
    }
  });
  return element;
}

// A question in a dialogue; resolves to the values of its form, or to null.
export function confirmDialog(title, content, action) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { class: "dialog", "aria-labelledby": "dialog-title" },
      h(
        "form",
        { method: "dialog" },
        h("h3", { id: "dialog-title" }, title),
        content,
        h(
          "div",
          { class: "row end" },
          h("button", { class: "b", value: "", autofocus: true }, "Cancel"),
          h("button", { class: "b danger", value: "yes" }, action),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      const values = Object.fromEntries(new FormData(dialog.querySelector("form")));
      const answer = dialog.returnValue === "yes" ? values : null;
      dialog.remove();
      resolve(answer);
    });
    document.getElementById("studio").append(dialog);
    dialog.showModal();
  });
}

export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
