// Where a person is recorded: the live picture with its checks, a countdown, the recording.

import { upload } from "./api.js";
import { Camera } from "./camera.js";
import { button, h } from "./dom.js";

const LOOK_EVERY = 700; // ms
const COUNT_EVERY = 800; // ms
const QUIET = -45; // dBFS, of the loudest moment of a take
const LOUD = 0.985; // full scale is 1

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Stage {
  // `ontake(blob)` gets what was recorded; `onphase(phase)` is told "off", "live", "count", "record", "work", "review".
  constructor({ sound, longest, area, ontake, onphase = () => {}, verb }) {
    Object.assign(this, { sound, longest, area, ontake, onphase, verb });
    this.phase = "off";
    this.live = h("video", { class: "picture live", playsinline: true, muted: true, "aria-label": "Live picture" });
    this.replay = h("video", { class: "picture", playsinline: true, hidden: true }); // the browser's controls would lie on the mouth
    this.replay.setAttribute("aria-label", "The take just recorded");
    this.overlay = h("div", { class: "overlay", "aria-live": "assertive" });
    this.frame = h("div", { class: "frame" }, this.live, this.replay, this.overlay);
    this.face = h("span", { class: "chip", id: "check-face" }, "Face …");
    this.light = h("span", { class: "chip", id: "check-light" }, "Light …");
    this.bar = h("span", { class: "bar" }, h("span", { class: "fill" }));
    this.loudness = h("span", { class: "chip", id: "check-sound" }, "Sound …");
    this.chips = h(
      "div",
      { class: "chips" },
      this.face,
      this.light,
      sound ? [this.loudness, this.bar] : h("span", { class: "chip good", id: "check-sound" }, "No sound is recorded"),
    );
    this.retry = button("Try again", () => this.open(), { class: "b primary", id: "try-again", hidden: true });
    this.again = button("Play again", () => this.replay.play(), { class: "b small", id: "play-again", hidden: true });
    this.devices = h("details", { class: "devices" }, h("summary", {}, sound ? "Camera and microphone" : "Camera"));
    this.root = h("div", { class: "stage" }, this.frame, this.chips, h("div", { class: "row center" }, this.retry, this.again));
    this.camera = new Camera(this.live, { sound, onlost: (message) => this.lost(message) });
    this.live.addEventListener("resize", () => {
      if (this.phase === "record" && this.size && this.size !== this.shape()) this.abandon("The device was turned.");
    });
  }

  shape() {
    return `${this.live.videoWidth}x${this.live.videoHeight}`;
  }

  set(phase) {
    this.phase = phase;
    this.frame.dataset.phase = phase;
    this.live.hidden = phase === "review";
    this.replay.hidden = this.again.hidden = phase !== "review";
    this.chips.hidden = phase === "review" || phase === "off";
    this.onphase(phase);
  }

  async open() {
    this.closed = false;
    this.retry.hidden = true;
    this.overlay.textContent = "The camera opens …";
    this.area.say("");
    try {
      await this.camera.open();
    } catch (error) {
      this.lost(error.message);
      return;
    }
    if (this.closed) return;
    this.overlay.textContent = "";
    this.set("live");
    this.showDevices();
    this.watch();
  }

  lost(message) {
    this.camera.close();
    if (this.closed) return;
    this.overlay.textContent = "No picture";
    this.retry.hidden = false;
    this.set("off");
    this.area.say(message);
  }

  close() {
    this.closed = true;
    this.set("off");
    this.camera.close();
    if (this.replay.src) URL.revokeObjectURL(this.replay.src);
  }

  async showDevices() {
    const kinds = this.sound ? { videoinput: "Camera", audioinput: "Microphone" } : { videoinput: "Camera" };
    const rows = [];
    for (const [kind, label] of Object.entries(kinds)) {
      const found = await this.camera.list(kind);
      const current = this.camera.stream?.getTracks().map((track) => track.getSettings().deviceId) ?? [];
      const options = found.map((device, index) =>
        h("option", { value: device.deviceId, selected: current.includes(device.deviceId) }, device.label || `${label} ${index + 1}`),
      );
      const change = (event) => {
        this.camera.devices[kind] = event.target.value;
        this.open();
      };
      rows.push(h("label", { class: "field" }, label, h("select", { onchange: change }, options)));
    }
    this.devices.replaceChildren(this.devices.firstChild, ...rows);
  }

  // The live checks, until the camera closes.
  watch() {
    const stream = this.camera.stream;
    const current = () => this.camera.stream === stream && !this.closed;
    const meter = () => {
      if (!current()) return;
      if (this.sound) this.meter();
      requestAnimationFrame(meter);
    };
    meter();
    const look = async () => {
      while (current()) {
        const began = performance.now();
        if (this.phase !== "review" && this.phase !== "work" && !document.hidden) await this.look();
        await sleep(Math.max(LOOK_EVERY, 2 * (performance.now() - began))); // a busy machine is asked less often
      }
    };
    look();
  }

  meter() {
    const now = this.camera.level();
    if (!now) return;
    this.bar.firstChild.style.width = `${Math.max(0, Math.min(100, ((now.level + 60) / 60) * 100))}%`;
    if (this.phase === "record") {
      this.loudest = Math.max(this.loudest, now.level);
      this.peak = Math.max(this.peak, now.peak);
    }
    const recording = this.phase === "record";
    const level = recording ? this.loudest : now.level;
    const peak = recording ? this.peak : now.peak;
    const [kind, text] =
      peak >= LOUD
        ? ["bad", "Sound: too loud"]
        : level > QUIET
          ? ["good", "Sound is heard"]
          : recording
            ? ["bad", "Sound: no voice yet"]
            : ["", "Sound: quiet"];
    if (this.loudness.textContent !== text) {
      this.loudness.className = `chip ${kind}`;
      this.loudness.textContent = text;
    }
  }

  async look() {
    const picture = await this.camera.picture();
    if (!picture) return;
    try {
      const seen = await upload("look", picture);
      this.face.className = `chip ${seen.face ? "good" : "bad"}`;
      this.face.textContent = seen.face_hint;
      this.light.hidden = !seen.light_hint;
      this.light.className = `chip ${seen.light ? "good" : "bad"}`;
      this.light.textContent = seen.light_hint;
    } catch {
      this.face.className = "chip";
      this.face.textContent = "Face: not checked";
    }
  }

  // Record button and space bar: begin, or end. Returns at once: the same button stops what it began.
  toggle() {
    if (this.phase === "live") this.record();
    else if (this.phase === "record") this.finish();
    else if (this.phase === "count") this.abandon("");
  }

  async record() {
    if (!this.camera.ready) return;
    this.area.say("");
    this.set("count");
    const count = (this.count = Symbol());
    for (const number of ["3", "2", "1"]) {
      this.overlay.textContent = number;
      await sleep(COUNT_EVERY);
      if (this.count !== count || this.phase !== "count") return;
    }
    Object.assign(this, { loudest: -120, peak: 0, size: this.shape() });
    this.overlay.textContent = "";
    try {
      await this.camera.start();
    } catch (error) {
      this.lost(`The recording did not start (${error.message}).`);
      return;
    }
    if (this.count !== count) return; // cancelled in the meantime
    this.set("record");
    this.overlay.textContent = this.verb;
    this.limit = setTimeout(() => this.finish(), this.longest * 1000);
  }

  abandon(reason) {
    clearTimeout(this.limit);
    this.count = null;
    this.camera.cancel();
    this.overlay.textContent = "";
    this.set("live");
    if (reason) this.area.say(`${reason} Nothing was kept: record again.`);
  }

  async finish() {
    if (this.phase !== "record") return;
    clearTimeout(this.limit);
    this.set("work");
    this.overlay.textContent = "Looking at it …";
    const blob = await this.camera.stop();
    try {
      if (!blob.size) throw new Error("The browser recorded nothing. Try again; if it stays so, use another browser.");
      await this.ontake(blob);
    } catch (error) {
      this.overlay.textContent = "";
      this.set(this.camera.stream ? "live" : "off");
      this.area.say(error.message);
      return;
    }
    this.overlay.textContent = "";
  }

  show(source) {
    if (this.replay.src) URL.revokeObjectURL(this.replay.src);
    this.replay.src = typeof source === "string" ? source : URL.createObjectURL(source);
    this.set("review");
    this.replay.play().catch(() => {});
  }

  back() {
    this.replay.pause();
    this.set(this.camera.stream ? "live" : "off");
  }
}
