// Plays speech that comes piece by piece: waits a little before the first, so that late pieces leave no gap, waits more
// in quiet places where it came near one, and gives back what the waiting has grown to.

const TARGET = [0.045, 0.075]; // seconds that are kept waiting: at first, and at most after gaps
const STEP = 0.01; // by which a gap raises it; a near one raises it by half of that
const NEAR = 0.005; // seconds left: nearly a gap
const CALM = 30; // seconds without either that lower it by half a step
const ROOM = 8; // seconds that fit in
const QUIET = 0.01; // of full scale: what may be cut out unheard
const PATIENCE = 3; // seconds to look for a quiet place; then the cut is faded
const BLOCK = 128; // samples of a call

class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ring = new Float32Array(ROOM * sampleRate);
    this.written = this.read = 0; // samples, counted from the beginning
    this.marks = []; // where pieces begin, and the time of their pictures
    this.target = TARGET[0];
    this.playing = false;
    this.wait = 0; // samples until it begins
    this.ended = false;
    this.last = 0;
    this.resetWindow();
    this.excess = this.missing = 0; // samples that wait needlessly, or that should wait
    this.searched = 0;
    this.calm = 0;
    this.port.onmessage = ({ data }) => (data.samples ? this.take(data) : this.end());
  }

  end() {
    this.ended = true;
    if (!this.playing && this.written === this.read) this.port.postMessage({ drained: true });
  }

  resetWindow() {
    this.low = Infinity;
    this.seen = 0;
  }

  take({ samples, time }) {
    if (this.written === this.read && !this.playing) this.wait = Math.round(this.target * sampleRate);
    this.marks.push({ place: this.written, time });
    for (const sample of samples) this.ring[this.written++ % this.ring.length] = sample;
    this.skipTo(Math.max(this.read, this.written - this.ring.length));
  }

  skipTo(place) {
    this.read = place;
    while (this.marks.length > 1 && this.marks[1].place <= place) this.marks.shift();
  }

  at(place) {
    return this.ring[place % this.ring.length];
  }

  process(inputs, [[out]]) {
    const waiting = this.written - this.read;
    if (!this.playing && waiting > 0) {
      this.wait -= out.length;
      this.playing = this.wait <= 0;
    }
    if (!this.playing) return true;
    if (!waiting) {
      this.dry(out);
      return true;
    }
    if (this.hold(waiting, out)) return true;
    this.trim(waiting);
    this.play(out);
    return true;
  }

  play(out) {
    const number = Math.min(out.length, this.written - this.read);
    for (let i = 0; i < number; i++) {
      if (this.marks.length && this.marks[0].place <= this.read + i) {
        const { place, time } = this.marks.shift();
        this.port.postMessage({ played: time + (this.read + i - place) / sampleRate, at: currentTime + i / sampleRate });
      }
      out[i] = this.at(this.read + i);
    }
    this.read += number;
    this.last = out[number - 1];
    for (let i = number; i < out.length; i++) out[i] = this.last *= 0.9; // no click
    this.low = Math.min(this.low, this.written - this.read);
    this.seen += out.length;
    this.calm += out.length;
    if (this.calm > CALM * sampleRate) {
      this.calm = 0;
      this.target = Math.max(TARGET[0], this.target - STEP / 2);
    }
    if (this.seen < sampleRate) return;
    if (this.low < NEAR * sampleRate && this.missing <= 0) {
      this.target = Math.min(TARGET[1], this.target + STEP / 2);
      this.missing = Math.round(this.target * sampleRate) - this.low;
      this.calm = 0;
    }
    this.excess = Math.max(0, this.low - Math.round(this.target * sampleRate));
    if (this.excess < 2 * BLOCK) this.excess = this.searched = 0;
    this.resetWindow();
  }

  // Nothing is left: that is a gap, unless it was the end.
  dry(out) {
    for (let i = 0; i < out.length; i++) out[i] = this.last *= 0.9;
    this.playing = false;
    this.calm = this.excess = this.missing = this.searched = 0;
    this.resetWindow();
    if (!this.ended) this.target = Math.min(TARGET[1], this.target + STEP);
    this.port.postMessage(this.ended ? { drained: true } : { gap: true });
  }

  loud(from, number) {
    for (let i = 0; i < number; i++) if (Math.abs(this.at(from + i)) > QUIET) return true;
    return false;
  }

  // Where it is quiet, a longer pause is not heard: what comes next waits until enough does.
  hold(waiting, out) {
    if (this.missing <= 0 || waiting < out.length || this.loud(this.read, out.length)) return false;
    this.missing -= out.length;
    this.resetWindow();
    for (let i = 0; i < out.length; i++) out[i] = this.last *= 0.9;
    this.port.postMessage({ held: out.length });
    return true;
  }

  // What the queue never fell below, less the target, is only delay.
  trim(waiting) {
    if (!this.excess || waiting < this.excess + 2 * BLOCK) return;
    this.searched += BLOCK;
    let quiet = 0;
    while (quiet < this.excess && !this.loud(this.read + quiet, BLOCK)) quiet += BLOCK;
    const cut = Math.min(quiet || (this.searched > PATIENCE * sampleRate ? this.excess : 0), this.excess);
    if (!cut) return;
    for (let i = 0; i < BLOCK; i++) {
      const [from, to] = [this.read + i, this.read + cut + i];
      this.ring[to % this.ring.length] = this.at(from) + ((this.at(to) - this.at(from)) * i) / BLOCK;
    }
    this.skipTo(this.read + cut);
    this.excess = this.excess - cut < 2 * BLOCK ? 0 : this.excess - cut;
    this.searched = 0;
    this.port.postMessage({ trimmed: cut });
  }
}

registerProcessor("lip2wav-player", Player);
