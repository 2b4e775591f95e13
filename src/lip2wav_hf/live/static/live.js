// The live panel: the webcam's pictures to the page's own server, the speech that comes back to the loudspeaker.

import { explainDevice, withoutCamera } from "./devices.js";

const MOST_IN_WORK = 2; // pictures that were sent and not answered yet; more would only wait
const MOST_BUFFERED = 200_000; // bytes that have not left the browser
const LARGEST_SIDE = 640; // of the pictures that are sent, in pixels
const QUALITY = 0.85; // of the JPEG
const SHOW_EVERY = 1000; // ms
const REMEMBER = 5000; // ms over which the latency is a median
const OPENING = 180_000; // ms: the server may have to load the model
const ENDING = 5000; // ms to wait for the last words
const MOST_WORDS = 300; // that stay on the page
const SLOW = 15; // pictures a second below which the sound stutters
const WORDLESS = 10_000; // ms with a face and without a word, after which it says so
const NEW_SENTENCE = 1.0; // seconds of silence

const INSIDE = `
<div class="live-columns">
  <div>
    <div class="live-picture"><video muted playsinline aria-label="Live picture of your camera"></video></div>
    <label class="live-model" hidden>Model <select></select></label>
    <div class="live-row">
      <button type="button" class="live-start">Start</button>
      <button type="button" class="live-stop" disabled>Stop</button>
    </div>
    <div class="live-status" role="status"></div>
    <div class="live-message" role="alert" hidden></div>
  </div>
  <div>
    <h3 class="live-title">What it says</h3>
    <div class="live-words" role="log" aria-live="polite" aria-label="Words as they come" tabindex="0"></div>
    <p class="live-note" hidden></p>
    <dl class="live-numbers">
      <div><dt>Latency, from picture to sound</dt><dd data-number="latency">–</dd></div>
      <div><dt>Pictures sent a second</dt><dd data-number="rate">–</dd></div>
      <div><dt>Pictures left out, as the machine was busy</dt><dd data-number="skipped">0</dd></div>
      <div><dt>Frames filled in</dt><dd data-number="repeated">0</dd></div>
      <div><dt>Gaps in the sound</dt><dd data-number="gaps">0</dd></div>
    </dl>
  </div>
</div>`;

const HINT = "Press Start, look into the camera, and move your lips. The pictures go to this page's own server only, and are not kept.";
const AWAY = "The tab was hidden: the browser holds the pictures back until you return to it.";

export class LivePanel {
  // `models`: names to choose from, the first of them at the beginning; empty where the server has one only.
  constructor({ models = [] } = {}) {
    this.root = document.createElement("section");
    this.root.className = "live-voice";
    this.root.setAttribute("aria-label", "Live");
    this.root.innerHTML = INSIDE;
    const find = (selector) => this.root.querySelector(selector);
    this.video = find("video");
    this.startButton = find(".live-start");
    this.stopButton = find(".live-stop");
    this.words = find(".live-words");
    this.note = find(".live-note");
    this.status = find(".live-status");
    this.message = find(".live-message");
    this.choice = find("select");
    this.choice.append(...models.map((name) => new Option(name, name)));
    find(".live-model").hidden = models.length < 2;
    this.startButton.addEventListener("click", () => this.start());
    this.stopButton.addEventListener("click", () => this.finish());
    this.run = null;
    this.hadFocus = false;
    this.status.textContent = HINT;
    addEventListener("pagehide", () => this.end(""));
    document.addEventListener("visibilitychange", () => {
      if (this.run) this.status.textContent = document.hidden ? AWAY : this.run.state;
    });
  }

  async start() {
    if (this.run) return;
    const run = (this.run = new Run(this, this.choice.value));
    this.startButton.disabled = this.choice.disabled = true;
    this.stopButton.disabled = false;
    this.stopButton.focus({ preventScroll: true });
    this.say("");
    this.note.hidden = true;
    this.words.replaceChildren();
    this.lastWord = 0;
    this.show({ latency: "–", rate: "–", skipped: 0, repeated: 0, gaps: 0 });
    try {
      await run.begin();
    } catch (error) {
      if (this.run === run) this.end(error.message);
    }
  }

  // The button: nothing more is sent, but what has been said is heard to its end.
  async finish() {
    const { run } = this;
    if (!run) return;
    this.hadFocus = document.activeElement === this.stopButton; // which a button loses with being disabled
    this.stopButton.disabled = true;
    run.tell("The last words come …");
    await run.finish();
    if (this.run === run) this.end("");
  }

  // At once. Also for the page that holds the panel.
  end(message) {
    const { run } = this;
    if (!run) return;
    this.run = null;
    run.close();
    const focused = this.hadFocus || document.activeElement === this.stopButton;
    this.hadFocus = false;
    this.startButton.disabled = this.choice.disabled = false;
    this.stopButton.disabled = true;
    if (focused) this.startButton.focus({ preventScroll: true });
    this.status.textContent = message ? "" : HINT;
    this.say(message);
  }

  say(message) {
    this.message.hidden = !message;
    this.message.textContent = message;
  }

  show(numbers) {
    for (const [name, value] of Object.entries(numbers))
      this.root.querySelector(`[data-number=${name}]`).textContent = String(value);
  }

  // `written`: the text of each of the newest words, which may also change words that are there.
  addWords(words, written) {
    if (!words.length) return;
    const atEnd = this.words.scrollTop + this.words.clientHeight > this.words.scrollHeight - 30;
    for (const { word, start, end, confidence } of words) {
      const place = document.createElement("span");
      place.dir = "auto";
      place.textContent = word;
      place.title = `${Math.round(100 * confidence)} % sure`;
      place.classList.toggle("unsure", confidence < 0.5);
      if (this.words.childNodes.length) this.words.append(start - this.lastWord > NEW_SENTENCE ? document.createElement("br") : " ");
      this.words.append(place);
      this.lastWord = end;
    }
    const places = [...this.words.querySelectorAll("span")].slice(-written.length);
    written.slice(-places.length).forEach((text, number) => {
      if (places[number].textContent !== text) places[number].textContent = text;
    });
    while (this.words.childNodes.length > 2 * MOST_WORDS) this.words.firstChild.remove();
    if (atEnd) this.words.scrollTop = this.words.scrollHeight;
  }

  // For those who measure: each piece of sound, when it came and when it was played, in ms of performance.now().
  report(kind, detail) {
    this.root.dispatchEvent(new CustomEvent(`live-${kind}`, { detail, bubbles: true }));
  }
}

// From Start to Stop.
class Run {
  constructor(panel, model) {
    Object.assign(this, { panel, model, state: "", closed: false, sending: Promise.resolve() });
    Object.assign(this, { inWork: 0, sent: 0, skipped: 0, gaps: 0, lastTime: -Infinity, latencies: [], shownSent: 0, shownSkipped: 0 });
    this.canvas = new OffscreenCanvas(16, 16);
  }

  tell(text) {
    this.state = text;
    if (!this.closed) this.panel.status.textContent = text;
  }

  async begin() {
    const missing = withoutCamera("Open it on the machine that serves it, or over https.");
    if (missing) throw new Error(missing);
    if (!("requestVideoFrameCallback" in HTMLVideoElement.prototype) || !window.AudioWorkletNode)
      throw new Error("This browser cannot speak live. Use a current Chrome, Edge, Firefox or Safari.");
    this.tell("The camera opens …");
    // Within the click: browsers give sound to nobody who has not asked for it.
    this.context = new AudioContext({ sampleRate: 16000, latencyHint: "interactive" });
    const awake = this.context.resume();
    await this.openCamera();
    await awake;
    await this.openPlayer();
    this.tell("The model is made ready …");
    await this.openSocket();
    this.check();
    this.tell("Live");
    this.shownAt = this.lastWordAt = performance.now();
    this.timer = setInterval(() => this.measure(), SHOW_EVERY);
    this.watch();
  }

  check() {
    if (this.closed) throw new Error("");
  }

  async openCamera() {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: "user", width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 25 } },
        audio: false,
      });
    } catch (error) {
      throw new Error(await explainDevice(error, false));
    }
    this.stream = stream;
    if (this.closed) this.close();
    this.check();
    for (const track of stream.getTracks()) track.addEventListener("ended", () => this.fail("The camera has gone. Press Start to try again."));
    this.panel.video.srcObject = stream;
    await this.panel.video.play().catch(() => {});
  }

  async openPlayer() {
    await this.context.audioWorklet.addModule(new URL("player.js", import.meta.url));
    this.check();
    this.player = new AudioWorkletNode(this.context, "lip2wav-player", { numberOfInputs: 0, outputChannelCount: [1] });
    this.player.connect(this.context.destination);
    this.player.port.onmessage = ({ data }) => {
      if (data.gap && !this.finishing) this.gaps++;
      if (data.played !== undefined) this.played(data);
      if (data.drained) this.drained?.();
    };
  }

  openSocket() {
    const address = new URL("../socket", import.meta.url);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    if (this.model) address.searchParams.set("model", this.model);
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("The server does not answer. Look whether it still runs.")), OPENING);
      this.ready = resolve;
      this.socket.addEventListener("message", ({ data }) => (typeof data === "string" ? this.told(JSON.parse(data)) : this.heard(data)));
      this.socket.addEventListener("close", () => {
        const message = this.refused ?? "The connection to the server has ended. Look whether it still runs, and reload this page.";
        reject(new Error(message));
        this.ended?.();
        if (!this.finishing) this.fail(message);
      });
      for (const kind of ["close", "message"]) this.socket.addEventListener(kind, () => clearTimeout(late));
    });
  }

  told(message) {
    if (message.type === "error") {
      this.refused = message.message;
    } else if (message.type === "ready") {
      this.rate = message.sampling_rate;
      this.readsWords = message.reads_words;
      this.panel.note.textContent = message.doubt ?? "";
      this.panel.note.hidden = !message.doubt;
      this.ready();
    } else {
      if (message.type === "frame") this.inWork--;
      this.repeated = message.repeated;
      this.panel.addWords(message.words, message.written);
      this.face = message.face;
      if (!message.face || message.words.length) this.lastWordAt = performance.now();
      this.panel.report("frame", message);
    }
  }

  heard(data) {
    const now = performance.now();
    const time = new DataView(data).getFloat64(0, true);
    const samples = Float32Array.from(new Int16Array(data, 8), (sample) => sample / 32768);
    this.panel.report("sound", { time: 1000 * time, arrived: now, samples });
    this.player.port.postMessage({ samples, time });
  }

  // When the loudspeaker has a piece, by the clock of the pictures.
  played({ played, at }) {
    const { contextTime, performanceTime } = this.context.getOutputTimestamp();
    if (!performanceTime) return;
    const heard = performanceTime + 1000 * (at - contextTime);
    this.latencies.push([performance.now(), heard - 1000 * played]);
    this.panel.report("played", { time: 1000 * played, heard });
  }

  watch() {
    const { video } = this.panel;
    const onFrame = (now, metadata) => {
      if (this.closed || this.finishing) return;
      video.requestVideoFrameCallback(onFrame);
      this.send((metadata.captureTime ?? now) / 1000);
    };
    video.requestVideoFrameCallback(onFrame);
  }

  // A picture, and when it was taken; none while the server is behind.
  send(time) {
    const { videoWidth: width, videoHeight: height } = this.panel.video;
    if (this.socket.readyState !== WebSocket.OPEN || !width || time <= this.lastTime) return;
    if (this.inWork >= MOST_IN_WORK || this.socket.bufferedAmount > MOST_BUFFERED) {
      this.skipped++;
      return;
    }
    this.lastTime = time;
    this.inWork++;
    const scale = Math.min(1, LARGEST_SIDE / Math.max(width, height));
    const size = [Math.round(scale * width), Math.round(scale * height)];
    if (this.canvas.width !== size[0] || this.canvas.height !== size[1]) [this.canvas.width, this.canvas.height] = size;
    this.canvas.getContext("2d", { alpha: false }).drawImage(this.panel.video, 0, 0, ...size);
    const encoded = this.canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
    this.sending = this.sending.then(async () => {
      const head = new DataView(new ArrayBuffer(8));
      head.setFloat64(0, time, true);
      const content = new Blob([head, await encoded]);
      if (this.socket.readyState !== WebSocket.OPEN || this.finishing) return;
      this.socket.send(content);
      this.sent++;
    });
    this.sending.catch((error) => this.fail(`The browser cannot make a picture (${error.message}).`));
  }

  measure() {
    const now = performance.now();
    if (!this.panel.root.checkVisibility()) {
      this.panel.end("Live speech was stopped when you left it.");
      return;
    }
    this.latencies = this.latencies.filter(([at]) => at > now - REMEMBER);
    const sorted = this.latencies.map(([, latency]) => latency).sort((a, b) => a - b);
    if (!this.finishing && !document.hidden) this.tell(this.situation());
    const rate = (1000 * (this.sent - this.shownSent)) / (now - this.shownAt);
    this.slow = rate < SLOW && this.skipped > this.shownSkipped;
    this.shownSkipped = this.skipped;
    [this.shownSent, this.shownAt] = [this.sent, now];
    this.panel.show({
      latency: sorted.length ? `${Math.round(sorted[sorted.length >> 1])} ms` : "–",
      rate: rate.toFixed(0),
      skipped: this.skipped,
      repeated: this.repeated ?? 0,
      gaps: this.gaps,
    });
  }

  situation() {
    if (this.face === false) return "No face is in sight: look into the camera.";
    if (this.slow) return "Live, but this machine is too busy to keep up: the sound stutters.";
    if (this.readsWords && performance.now() - this.lastWordAt > WORDLESS)
      return "No words were recognised lately. If you speak, the sound is probably not what you say: look straight into the camera, with light from the front.";
    return "Live";
  }

  fail(message) {
    if (!this.closed && this.panel.run === this) this.panel.end(message);
  }

  async finish() {
    this.finishing = true;
    this.stopCamera();
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    await this.sending;
    const within = (promise, most) => Promise.race([promise, new Promise((resolve) => setTimeout(resolve, most))]);
    const ended = new Promise((resolve) => (this.ended = resolve));
    this.socket.send("stop");
    await within(ended, ENDING);
    const drained = new Promise((resolve) => (this.drained = resolve));
    this.player?.port.postMessage({ end: true });
    await within(drained, 1000);
    await new Promise((resolve) => setTimeout(resolve, 100)); // what the loudspeaker still has
  }

  stopCamera() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.panel.video.srcObject = null;
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
    this.stopCamera();
    this.socket?.close();
    this.context?.close().catch(() => {});
  }
}
