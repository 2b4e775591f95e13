// Step 4: the training, which goes on whether or not this page is open.

import { get, post } from "./api.js";
import { button, h, messageArea, plural, svg } from "./dom.js";

const STAGES = {
  loading: "Getting ready",
  checking: "Looking at the recordings",
  preparing: "Preparing them",
  before: "Measuring the model as it is",
  training: "Learning",
  after: "Measuring what was learnt",
  saving: "Saving the voice",
};
const ENDS = {
  time: "The time was over; trained again, with more minutes if you like, it goes on where it was.",
  asked: "It was stopped; trained again, it goes on where it was.",
};
const WIDTH = 560;
const HEIGHT = 180;
const MARGIN = { left: 44, right: 12, top: 10, bottom: 26 };

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

export function trainPanel(app) {
  const area = messageArea("train-message");
  const minutes = h("input", { type: "number", id: "minutes", min: "0.5", max: "120", step: "0.5", value: String(app.state.minutes) });
  const live = h("input", { type: "checkbox", id: "train-live" });
  const start = button(
    "Train",
    async () => {
      app.update(await post("train", { minutes: Number(minutes.value), live: live.checked }));
      draw();
      poll();
    },
    { class: "b primary big", id: "train", area },
  );
  const stop = button(
    "Stop, and keep the best",
    async () => {
      app.update(await post("stop"));
      draw();
    },
    { class: "b", id: "stop", area },
  );
  const setup = h(
    "div",
    {},
    h("label", { class: "tick" }, live, h("span", {}, "For live speech too: it reads better while the lips move, and whole takes a little worse")),
    h("div", { class: "row" }, h("label", { class: "field short" }, "Minutes at most", minutes), start),
  );
  const counts = h("p", { id: "counts" });
  const bar = h("progress", { max: 1, value: 0, id: "stage-progress", "aria-label": "Progress of this stage" });
  const stages = h("ol", { class: "stages" }, Object.entries(STAGES).map(([name, label]) => h("li", { "data-stage": name }, label)));
  const message = h("p", { class: "position", role: "status", id: "train-status" });
  const curve = h("figure", { class: "curve", id: "curve" });
  const remarks = h("div", { id: "train-notes", role: "status" });
  const running = h("div", {}, stages, bar, message, remarks, h("div", { class: "row" }, stop));
  const result = h("div", { id: "result" });

  function draw() {
    const { training, takes } = app.state;
    setup.hidden = training.active;
    running.hidden = !training.active;
    start.replaceChildren(training.state === "idle" ? "Train" : "Train again");
    start.classList.toggle("primary", !app.state.voice);
    start.disabled = !app.state.enough || app.state.notices.length > 0;
    const missing = app.state.wanted - app.state.done;
    counts.textContent = app.state.enough
      ? `The model learns from ${plural(takes.length, "take")}${missing > 0 ? `; ${missing} of those planned in step 2 ${missing === 1 ? "is" : "are"} missing` : ""}. You may close this page meanwhile: it goes on.`
      : `${plural(takes.length, "take")} so far; ${app.state.least} are needed, ten or more are better.`;
    const names = Object.keys(STAGES);
    for (const item of stages.children) {
      const place = names.indexOf(item.dataset.stage) - names.indexOf(training.stage);
      item.className = place < 0 ? "past" : place === 0 ? "now" : "";
      if (place === 0) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    }
    bar.value = training.fraction;
    stop.disabled = training.state === "stopping";
    const parts = [`${clock(training.seconds)} of at most ${clock(60 * training.minutes)}`];
    if (training.state === "stopping") parts.push("stopping: the best is being saved");
    message.textContent = [parts.join(", "), training.message].filter(Boolean).join(". ");
    if (remarks.childElementCount !== training.notes.length) remarks.replaceChildren(...training.notes.map((note) => h("p", {}, note)));
    drawCurve(training.history);
    drawResult(training);
  }

  function drawCurve(history) {
    curve.hidden = history.length < 2;
    if (curve.hidden) return;
    const steps = history.map(([step]) => step);
    const errors = history.map(([, error]) => error);
    const [low, high] = [Math.min(...errors), Math.max(...errors)];
    const last = Math.max(...steps, 1);
    const x = (step) => MARGIN.left + (step / last) * (WIDTH - MARGIN.left - MARGIN.right);
    const y = (error) => MARGIN.top + ((high - error) / (high - low || 1)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    const best = history[errors.indexOf(low)];
    const label = (px, py, text, anchor) => svg("text", { x: px, y: py, "text-anchor": anchor }, text);
    curve.replaceChildren(
      svg(
        "svg",
        { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `Error on the takes held back: ${high.toFixed(3)} to ${low.toFixed(3)}` },
        svg("line", { x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: HEIGHT - MARGIN.bottom, y2: HEIGHT - MARGIN.bottom, class: "axis" }),
        svg("polyline", { points: history.map(([step, error]) => `${x(step)},${y(error)}`).join(" ") }),
        svg("circle", { cx: x(best[0]), cy: y(best[1]), r: 4 }),
        label(MARGIN.left - 6, MARGIN.top + 8, high.toFixed(2), "end"),
        label(MARGIN.left - 6, HEIGHT - MARGIN.bottom, low.toFixed(2), "end"),
        label(WIDTH - MARGIN.right, HEIGHT - 8, `step ${last}`, "end"),
      ),
      h("figcaption", {}, "Error on the takes that were held back; the dot is the best, which is kept."),
    );
  }

  function drawResult(training) {
    result.hidden = training.active || (training.state === "idle" && !app.state.voice);
    if (result.hidden) return;
    const content = [];
    if (training.state === "failed") content.push(h("div", { class: "failure", role: "alert" }, training.error));
    if (training.state === "done") content.push(...summary(training));
    if (app.state.voice) content.push(h("div", { class: "row" }, button("Speak with it", () => app.go("speak"), { class: "b primary", id: "to-speak" })));
    result.replaceChildren(...content);
  }

  function summary({ result: found, takes, seconds }) {
    const fresh = app.state.takes.length - takes;
    return [
      h("h3", {}, found.few_steps ? "The voice has hardly learnt yet" : "The voice is ready"),
      h("p", {}, `It learnt from ${plural(found.clips, "take")} in ${plural(found.steps, "step")}${found.final_steps ? `, then from all in ${plural(found.final_steps, "step")}` : ""}${found.voice_steps ? `, then the voice in ${plural(found.voice_steps, "step")}` : ""}; ${clock(seconds)} min.`),
      found.scores.length
        ? h(
            "table",
            { id: "scores" },
            h("caption", {}, `On ${plural(found.held_out, "take")} that it had not learnt from`),
            h("thead", {}, h("tr", {}, h("th", {}), h("th", {}, "before"), h("th", {}, "now"))),
            h("tbody", {}, found.scores.map(([label, before, after]) => h("tr", {}, h("th", { scope: "row" }, label), h("td", {}, before), h("td", {}, after)))),
          )
        : null,
      found.given_voice
        ? h("p", { class: "success" }, "Its voice was given with lip2wav adapt --voice. Train again here makes one without it; to keep it, run that command again.")
        : null,
      found.missing ? h("p", { class: "success" }, found.missing) : null,
      found.stopped in ENDS ? h("p", {}, ENDS[found.stopped]) : null,
      found.notes.map((note) => h("p", { class: "success" }, note)),
      found.checks.length
        ? h(
            "details",
            {},
            h("summary", {}, `${plural(found.checks.length, "take")} with remarks`),
            h("ul", {}, found.checks.map((check) => h("li", {}, `${check.phrase || check.file}${check.usable ? "" : " (not used)"}: ${check.problems.join(" ")}`))),
          )
        : null,
      fresh > 0 ? h("p", {}, `Since then ${plural(fresh, "take")} ${fresh === 1 ? "was" : "were"} recorded. Train again to learn ${fresh === 1 ? "it" : "them"}.`) : null,
    ].filter(Boolean).flat();
  }

  let timer;
  async function poll() {
    clearTimeout(timer);
    try {
      const before = app.state.training.active;
      app.update({ ...app.state, training: await get("training") });
      if (before && !app.state.training.active) app.update(await get("state"));
      area.say("");
      draw();
    } catch (error) {
      area.say(error.message);
    }
    if (app.state.training.active) timer = setTimeout(poll, 1000);
  }

  draw();
  if (app.state.training.active) poll();
  return {
    root: h("div", { class: "narrow" }, h("h2", {}, "Let it learn"), counts, setup, running, area, curve, result),
    draw: () => {
      draw();
      if (app.state.training.active) poll();
    },
    close: () => clearTimeout(timer),
  };
}
