// What the page asks its own server; nothing else is ever asked.

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(`studio/${path}`, { cache: "no-store", ...options });
  } catch {
    throw new Error("The studio does not answer. Look whether `lip2wav studio` still runs in its window.");
  }
  let content;
  try {
    content = await response.json();
  } catch {
    throw new Error(`The studio answered ${response.status}. Open the address that it printed.`);
  }
  if (!response.ok) throw new Error(content.error ?? `The studio answered ${response.status}.`);
  return content;
}

export const get = (path) => ask(path);
export const post = (path, content) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(content ?? {}) });
export const remove = (path) => ask(path, { method: "DELETE" });
export const upload = (path, blob) =>
  ask(path, { method: "POST", headers: { "content-type": blob.type || "application/octet-stream" }, body: blob });
