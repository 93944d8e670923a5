// The picture of the last seconds: features, scores and events.

const SHOWN_S = 8;
const RAMPS = {
  dark: [[16, 18, 27], [52, 36, 94], [122, 51, 121], [201, 80, 99], [245, 152, 92], [252, 240, 200]],
  light: [[247, 248, 250], [222, 228, 242], [168, 186, 226], [104, 130, 200], [62, 72, 150], [30, 26, 70]],
};

/** Return 256 pixels from quiet to loud; the quiet half stays near the background. */
function ramp(colors) {
  const steps = colors.length - 1;
  return Uint32Array.from({length: 256}, (_, i) => {
    const place = (i / 255) ** 1.7 * steps, low = Math.min(Math.floor(place), steps - 1);
    const mix = c => Math.round(colors[low][c] + (place - low) * (colors[low + 1][c] - colors[low][c]));
    return 0xff000000 | mix(2) << 16 | mix(1) << 8 | mix(0);
  });
}

class Picture {
  constructor(canvas, model, history) {
    Object.assign(this, {canvas, model, history});
    this.pen = canvas.getContext("2d");
    this.hops = Math.round(SHOWN_S / history.hopS);
    this.frames = document.createElement("canvas");
    this.frames.width = this.hops * model.hopFrames;
    this.frames.height = model.mels;
    this.pixels = new ImageData(this.frames.width, model.mels);
    this.words = new Uint32Array(this.pixels.data.buffer);
    this.ramps = {dark: ramp(RAMPS.dark), light: ramp(RAMPS.light)};
  }

  color(keyword, dark) {
    const hue = hueOf(keyword, this.model.keywords.length);
    return `oklch(${dark ? "80% .13" : "48% .15"} ${hue})`;
  }

  /** Draw the seconds before hop `end`; `thresholds` are dashed, `events` marked. */
  draw(end, thresholds, events, dark) {
    const ratio = devicePixelRatio || 1, {clientWidth: wide, clientHeight: high} = this.canvas;
    const width = Math.round(wide * ratio), height = Math.round(high * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, {width, height});
      this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.pen.clearRect(0, 0, wide, high);
    const split = Math.round(high * 0.55), start = end - this.hops;
    const x = hop => (hop - start) / this.hops * wide;
    this.drawFrames(start, dark);
    this.pen.imageSmoothingQuality = "high";
    this.pen.drawImage(this.frames, 0, 0, wide, split);
    const y = score => high - 18 - score * (high - split - 26);
    this.drawSeconds(start, x, split, high, dark);
    thresholds.forEach((threshold, k) => this.drawScores(k, start, x, y, threshold, dark));
    for (const event of events) this.drawEvent(event, x, split, dark);
  }

  drawFrames(start, dark) {
    const {mels, hopFrames} = this.model, colors = this.ramps[dark ? "dark" : "light"];
    const width = this.frames.width;
    for (let hop = 0; hop < this.hops; hop++) {
      const features = this.history.at("features", start + hop);
      for (let i = 0; i < hopFrames * mels; i++) {
        const place = (mels - 1 - i % mels) * width + hop * hopFrames + Math.floor(i / mels);
        this.words[place] = colors[features ? features[i] : 0];
      }
    }
    this.frames.getContext("2d").putImageData(this.pixels, 0, 0);
  }

  drawSeconds(start, x, split, high, dark) {
    const {pen, history} = this, perSecond = 1 / history.hopS;
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = pen.strokeStyle = dark ? "#97a1b0" : "#5d6776";
    pen.textAlign = "left";
    pen.fillText("score", 8, split + 15);
    pen.textAlign = "center";
    for (let s = Math.max(0, Math.ceil(start * history.hopS)); s <= (start + this.hops) * history.hopS; s++) {
      const place = x(s * perSecond);
      pen.globalAlpha = 0.25;
      pen.fillRect(place, split, 1, high - split - 16);
      pen.globalAlpha = 1;
      if (place > 20 && place < this.canvas.clientWidth - 20) pen.fillText(clock(s), place, high - 4);
    }
  }

  drawScores(keyword, start, x, y, threshold, dark) {
    const {pen, history} = this, first = Math.max(start, history.first);
    pen.strokeStyle = pen.fillStyle = this.color(keyword, dark);
    pen.lineWidth = 2;
    pen.lineJoin = "round";
    pen.beginPath();
    let highest = 0;
    for (let hop = first; hop < Math.min(start + this.hops, history.end); hop++) {
      const score = history.scores[(hop - history.first) * this.model.keywords.length + keyword];
      highest = Math.max(highest, score);
      pen.lineTo(x(hop), y(score));
    }
    pen.stroke();
    if (highest < 0.5 * threshold) return;
    pen.lineWidth = 1;
    pen.globalAlpha = 0.7;
    pen.setLineDash([4, 4]);
    pen.beginPath();
    pen.moveTo(0, y(threshold));
    pen.lineTo(this.canvas.clientWidth, y(threshold));
    pen.stroke();
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  }

  drawEvent(event, x, split, dark) {
    const {pen, history, model} = this;
    const left = x(event.start / history.hopS), right = x(event.end / history.hopS);
    if (right < 0 || left > this.canvas.clientWidth) return;
    const color = this.color(event.keyword, dark), name = model.keywords[event.keyword];
    pen.fillStyle = color;
    pen.globalAlpha = 0.18;
    pen.fillRect(left, 0, right - left, split);
    pen.globalAlpha = 1;
    pen.fillRect(left, split - 3, right - left, 3);
    pen.font = "600 13px system-ui, sans-serif";
    pen.textAlign = "center";
    const middle = (left + right) / 2, width = pen.measureText(name).width + 12;
    pen.beginPath();
    pen.roundRect(middle - width / 2, 6, width, 20, 10);
    pen.fill();
    pen.fillStyle = dark ? "#15181c" : "#fff";
    pen.fillText(name, middle, 20.5);
  }
}

/** Return a hue for one of `n` keywords. */
function hueOf(keyword, n) {
  return Math.round(250 + 360 * keyword / Math.max(n, 3)) % 360;
}

/** Return seconds as minutes:seconds, with `digits` behind the point. */
function clock(seconds, digits = 0) {
  const unit = 10 ** digits, rounded = Math.round(seconds * unit) / unit;
  const rest = (rounded % 60).toFixed(digits);
  return `${Math.floor(rounded / 60)}:${rest.padStart(digits ? digits + 3 : 2, "0")}`;
}
