/* The players of a gallery. The muted video and all sounds of a clip run together, and all sounds but the chosen one
   are muted: switching moves nothing. */
"use strict";

(() => {
  const STEP = 0.5; // seconds that an arrow key moves
  const NEAR = 0.01; // seconds that pictures and sounds may be apart
  const FAR = 0.3; // and from where on they are not brought together by pace, but by a jump
  const PATIENCE = 1500; // milliseconds that the pictures wait for the sound at the start
  const HASTE = 6; // change of pace for each second that they are apart

  const live = document.getElementById("live");
  const say = (text) => { live.textContent = text; };

  /* Until a sound runs; not for ever, since the pictures can do without it. */
  function underWay(sound) {
    return new Promise((resolve) => {
      sound.addEventListener("playing", resolve, { once: true });
      setTimeout(resolve, PATIENCE);
    });
  }

  class Player {
    constructor(article) {
      this.article = article;
      this.duration = Number(article.dataset.duration);
      this.video = article.querySelector("video");
      this.sounds = [...article.querySelectorAll("audio")];
      this.rows = [...article.querySelectorAll(".sound")];
      this.radios = [...article.querySelectorAll("input[type=radio]")];
      this.labels = this.rows.map((row) => row.querySelector(".name").textContent);
      this.heads = [...article.querySelectorAll(".head")];
      this.button = article.querySelector(".play");
      this.slider = article.querySelector(".position");
      this.clock = article.querySelector(".clock");
      this.title = this.button.getAttribute("aria-label").replace("Play ", "");
      this.chosen = 0;
      this.isPlaying = this.isStarting = false;
      this.listen();
      this.choose(Math.max(this.radios.findIndex((radio) => radio.checked), 0), false);
      this.draw();
    }

    listen() {
      this.button.addEventListener("click", () => this.toggle());
      this.video.addEventListener("click", () => this.toggle());
      this.video.addEventListener("pause", () => { if (!this.isStarting) this.stop(); });
      this.video.addEventListener("ended", () => this.stop());
      this.video.addEventListener("playing", () => { if (this.isPlaying) this.start(); });
      for (const event of ["seeked", "timeupdate"]) this.video.addEventListener(event, () => this.draw());
      this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
      this.radios.forEach((radio, index) => radio.addEventListener("change", () => this.choose(index)));
      this.article.addEventListener("focusin", () => select(this, false));
      this.article.addEventListener("pointerdown", () => { this.load(); select(this, false); });
      this.article.querySelectorAll(".spectrogram").forEach((place, index) => this.listenTo(place, index));
    }

    /* A spectrogram: press or drag to go there, and to hear this sound. */
    listenTo(place, index) {
      const go = (event) => {
        const box = place.getBoundingClientRect();
        this.seek(((event.clientX - box.left) / box.width) * this.duration);
      };
      place.addEventListener("click", (event) => {
        this.choose(index);
        go(event);
      });
      place.addEventListener("pointermove", (event) => {
        if (event.buttons === 1 && event.pointerType === "mouse") go(event);
      });
    }

    get position() { return Math.min(this.video.currentTime, this.duration); }

    load() {
      for (const each of [this.video, ...this.sounds]) if (each.preload !== "auto") each.preload = "auto";
    }

    toggle() { if (this.isPlaying) this.stop(); else this.play(); }

    async play() {
      for (const other of players) if (other !== this) other.stop();
      select(this, false);
      this.load();
      if (this.video.ended || this.position > this.duration - 0.05) this.seek(0);
      this.isPlaying = this.isStarting = true;
      this.show();
      this.start(); // here and now: phones let sounds start only while a person presses something
      await underWay(this.sounds[this.chosen]);
      this.isStarting = false;
      if (!this.isPlaying) return;
      try {
        await this.video.play();
        if (this.isPlaying) say(`Playing ${this.title}, ${this.labels[this.chosen]}`);
      } catch (error) {
        if (error.name === "AbortError") return;
        this.stop();
        say("This browser cannot play the video.");
      }
    }

    start() {
      for (const sound of this.sounds) {
        if (!sound.paused || sound.ended) continue;
        sound.currentTime = this.video.currentTime;
        sound.play().catch(() => {});
      }
    }

    stop() {
      if (!this.isPlaying) return;
      this.isPlaying = this.isStarting = false;
      for (const each of [this.video, ...this.sounds]) each.pause();
      this.show();
      this.draw();
      say(`Paused at ${this.position.toFixed(1)} seconds`);
    }

    show() {
      this.article.classList.toggle("playing", this.isPlaying);
      this.button.setAttribute("aria-label", `${this.isPlaying ? "Pause" : "Play"} ${this.title}`);
      if (this.isPlaying) requestAnimationFrame(() => this.step());
    }

    step() {
      if (!this.isPlaying) return;
      this.align();
      this.draw();
      requestAnimationFrame(() => this.step());
    }

    /* The sound that is heard sets the pace and is never touched. The pictures and the muted sounds follow it, a little
       faster or slower than it, so that a switch finds them where they belong. */
    align() {
      const leader = this.sounds[this.chosen];
      const isLed = leader.readyState > 2 && !leader.paused && !leader.ended && !leader.seeking;
      leader.playbackRate = 1;
      for (const each of [this.video, ...this.sounds]) {
        if (each === leader || each.readyState < 2 || each.paused || each.seeking) continue;
        const ahead = isLed ? each.currentTime - leader.currentTime : 0;
        if (Math.abs(ahead) > FAR) each.currentTime = leader.currentTime;
        const rate = Math.abs(ahead) < NEAR ? 1 : Math.min(Math.max(1 - HASTE * ahead, 0.5), 2);
        if (each.playbackRate !== rate) each.playbackRate = rate;
      }
    }

    seek(seconds) {
      const target = Math.min(Math.max(seconds, 0), this.duration);
      this.load();
      this.video.currentTime = target;
      for (const sound of this.sounds) sound.currentTime = target;
      if (this.isPlaying) this.start();
      this.draw(target);
    }

    choose(index, isSaid = true) {
      if (index < 0 || index >= this.sounds.length) return;
      this.chosen = index;
      this.radios[index].checked = true;
      this.sounds.forEach((sound, place) => { sound.muted = place !== index; });
      this.rows.forEach((row, place) => row.classList.toggle("chosen", place === index));
      if (isSaid) say(`Now ${this.labels[index]}`);
    }

    draw(seconds = this.position) {
      const share = `${(100 * seconds) / this.duration}%`;
      for (const head of this.heads) head.style.left = share;
      this.slider.value = seconds;
      this.slider.setAttribute("aria-valuetext", `${seconds.toFixed(1)} of ${this.duration.toFixed(1)} seconds`);
      this.clock.textContent = `${seconds.toFixed(1)} / ${this.duration.toFixed(1)} s`;
    }
  }

  const players = [];
  let current = null;

  /* The clip that the keys are for. */
  function select(player, isShown = true, behavior = "auto") {
    if (player !== current) {
      current?.article.classList.remove("current");
      current = player;
      player.article.classList.add("current");
    }
    if (isShown) {
      player.article.scrollIntoView({ block: "start", behavior });
      player.article.focus({ preventScroll: true });
    }
  }

  function ofAddress() {
    const name = location.hash.slice(1); // names of clips are plain ASCII
    const player = players.find((each) => each.article.id === name);
    if (player) {
      player.load();
      select(player, true, "instant"); // a smooth way ends where the page moves meanwhile
    }
  }

  async function share(link) {
    history.replaceState(null, "", link.hash);
    try {
      await navigator.clipboard.writeText(link.href);
      say("The link to this clip was copied.");
      link.textContent = "Copied";
    } catch {
      say("The link to this clip is in the address bar.");
      link.textContent = "Link is in the address bar";
    }
    setTimeout(() => { link.textContent = "Copy link"; }, 2500);
  }

  const KEYS = {
    " ": (player) => player.toggle(),
    ArrowLeft: (player) => player.seek(player.position - STEP),
    ArrowRight: (player) => player.seek(player.position + STEP),
    n: () => move(1),
    p: () => move(-1),
  };

  function move(by) {
    const next = players[players.indexOf(current) + by];
    if (next) select(next);
  }

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !current) return;
    const place = event.target instanceof Element ? event.target : document.body;
    const isButton = place.closest("button, summary, a");
    const isInside = place.closest("article") === current.article;
    if (event.key === " " && isButton) return; // its own key
    let act = KEYS[event.key];
    if (/^[1-9]$/.test(event.key)) act = (player) => player.choose(Number(event.key) - 1);
    if (isInside && event.key === "ArrowUp") act = (player) => player.choose(player.chosen - 1);
    if (isInside && event.key === "ArrowDown") act = (player) => player.choose(player.chosen + 1);
    if (!act) return;
    event.preventDefault();
    act(current);
    if (event.key.startsWith("Arrow") && place.matches("input[type=radio]")) current.radios[current.chosen].focus();
  }

  /* The keys follow the eyes: when scrolling has ended, a clip out of sight gives them to the one in sight. */
  let scrolling = 0;

  function follow() {
    const visible = (player) => {
      const box = player.article.getBoundingClientRect();
      return Math.min(box.bottom, innerHeight) - Math.max(box.top, 0);
    };
    if (!current || current.isPlaying || visible(current) > 0) return;
    const best = players.reduce((one, other) => (visible(other) > visible(one) ? other : one));
    if (visible(best) > 0) select(best, false);
  }

  players.push(...[...document.querySelectorAll("article[data-duration]")].map((article) => new Player(article)));
  document.addEventListener("keydown", press);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a.share");
    if (!link) return;
    event.preventDefault();
    share(link);
  });
  addEventListener("scroll", () => {
    clearTimeout(scrolling);
    scrolling = setTimeout(follow, 200);
  }, { passive: true });
  addEventListener("hashchange", ofAddress);
  if (players.length) select(players[0], false);
  ofAddress();
})();
