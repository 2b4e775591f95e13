// The camera and the microphone: opening them, what is wrong with them, their level, recording.

import { explainDevice, withoutCamera } from "../../live/static/devices.js";

// VP8 costs little, so that slow machines keep up; Safari records MP4.
const CONTAINERS = ["video/webm;codecs=vp8,opus", "video/webm;codecs=vp8", "video/webm", "video/mp4"];
const PICTURE_WIDTH = 320; // of the pictures that the live checks look at

export function unsupported() {
  const missing = withoutCamera("Start the studio with --certificate and --key to use it from a phone.");
  if (missing) return missing;
  if (!window.MediaRecorder) return "This browser cannot record video. Use a current Chrome, Edge, Firefox or Safari.";
  if (!CONTAINERS.some((type) => MediaRecorder.isTypeSupported(type)))
    return "This browser records neither WebM nor MP4. Use a current Chrome, Edge, Firefox or Safari.";
  return "";
}

export class Camera {
  constructor(video, { sound, onlost }) {
    Object.assign(this, { video, sound, onlost, stream: null, recorder: null, devices: {} });
    this.canvas = document.createElement("canvas");
  }

  async open() {
    const missing = unsupported();
    if (missing) throw new Error(missing);
    this.close();
    const choice = (kind) => (this.devices[kind] ? { deviceId: { exact: this.devices[kind] } } : {});
    const opening = (this.opening = Symbol());
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        video: {
          facingMode: "user",
          width: { ideal: 1280 },
          height: { ideal: 720 },
          frameRate: { ideal: 30 },
          ...choice("videoinput"),
        },
        // The voice as it is: what makes telephone calls clearer takes away from it.
        audio: this.sound && { echoCancellation: false, noiseSuppression: false, ...choice("audioinput") },
      });
    } catch (error) {
      throw new Error(await explainDevice(error, this.sound));
    }
    if (this.opening !== opening) {
      for (const track of stream.getTracks()) track.stop(); // closed in the meantime
      return;
    }
    this.stream = stream;
    for (const track of stream.getTracks())
      track.addEventListener("ended", () => {
        if (this.stream === stream) this.onlost(`The ${track.kind === "video" ? "camera" : "microphone"} has gone.`);
      });
    this.video.srcObject = stream;
    this.video.muted = true;
    await this.video.play().catch(() => {});
    if (this.sound) {
      this.context = new AudioContext();
      this.analyser = this.context.createAnalyser();
      this.analyser.fftSize = 2048;
      this.context.createMediaStreamSource(stream).connect(this.analyser);
    }
  }

  close() {
    this.opening = null;
    this.cancel();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
    this.context?.close();
    this.context = this.analyser = null;
  }

  get ready() {
    return Boolean(this.stream?.active) && this.video.videoWidth > 0;
  }

  async list(kind) {
    const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
    return devices.filter((device) => device.kind === kind && device.deviceId);
  }

  // Of the last 40 ms: the root mean square in dBFS, and the largest sample.
  level() {
    if (!this.analyser) return null;
    if (this.context.state === "suspended") this.context.resume();
    const samples = new Float32Array(this.analyser.fftSize);
    this.analyser.getFloatTimeDomainData(samples);
    let power = 0;
    let peak = 0;
    for (const sample of samples) {
      power += sample * sample;
      peak = Math.max(peak, Math.abs(sample));
    }
    return { level: 10 * Math.log10(power / samples.length + 1e-12), peak };
  }

  picture() {
    if (!this.ready) return Promise.resolve(null);
    const { videoWidth: width, videoHeight: height } = this.video;
    this.canvas.width = PICTURE_WIDTH;
    this.canvas.height = Math.round((PICTURE_WIDTH * height) / width);
    this.canvas.getContext("2d").drawImage(this.video, 0, 0, this.canvas.width, this.canvas.height);
    return new Promise((resolve) => this.canvas.toBlob(resolve, "image/jpeg", 0.85));
  }

  start() {
    const mimeType = CONTAINERS.find((type) => MediaRecorder.isTypeSupported(type));
    const recorder = new MediaRecorder(this.stream, {
      mimeType,
      videoBitsPerSecond: 4_000_000,
      audioBitsPerSecond: 128_000,
    });
    const pieces = [];
    recorder.addEventListener("dataavailable", (event) => event.data.size && pieces.push(event.data));
    this.recorder = recorder;
    const began = new Promise((resolve, reject) => {
      recorder.addEventListener("start", resolve);
      recorder.addEventListener("error", (event) => reject(event.error ?? new Error("The recorder failed.")));
    });
    this.finished = new Promise((resolve) => {
      recorder.addEventListener("stop", () => resolve(new Blob(pieces, { type: recorder.mimeType.split(";")[0] })));
    });
    recorder.start();
    return began;
  }

  async stop() {
    if (this.recorder?.state === "recording") this.recorder.stop();
    const blob = await this.finished;
    this.recorder = null;
    return blob;
  }

  cancel() {
    if (this.recorder?.state === "recording") this.recorder.stop();
    this.recorder = null;
  }
}
